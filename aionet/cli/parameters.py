"""Parameters that several commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from aionet.address import Endpoint
from aionet.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable

    EndpointParameterType = click.ParamType[Endpoint]
else:
    EndpointParameterType = click.ParamType  # generic since click 8.4 only

__all__ = ["ENDPOINT", "SECONDS", "json_option", "loop_option"]

SECONDS: Final = click.FloatRange(min=0, min_open=True)


class EndpointParameter(EndpointParameterType):
    """An endpoint such as tcp://host:port or unix:/path."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:  # noqa: ANN401 - click's signature
        """Parse it, or fail as click wants it."""
        try:
            return Endpoint.parse(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)


ENDPOINT: Final = EndpointParameter()


def loop_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--loop``."""
    return click.option(
        "--loop",
        type=click.Choice(["auto", "asyncio", "uvloop"]),
        default="auto",
        show_default=True,
        help="The event loop; auto is uvloop where it is installed.",
    )(command)


def json_option(description: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--json``, which is ``as_json`` in Python."""
    return click.option("--json", "as_json", is_flag=True, help=description)
