"""The options of ``aionet bench``, and the plan that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import click

from aionet.bench import conditions, expect, sizes
from aionet.bench.conditions import Condition
from aionet.bench.expect import Expect
from aionet.bench.plan import MODES, Plan, TLSPlan
from aionet.bench.sizes import Sizes
from aionet.errors import AionetError

if TYPE_CHECKING:
    from click import Context, Parameter

__all__ = ["CONDITION", "load_options", "plan_of"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Parsed(click.ParamType[object]):
    """What one of the engine's parsers makes of a text."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> object:  # noqa: ANN401 - click's
        """As click.ParamType.convert."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except AionetError as error:
            self.fail(str(error), param, ctx)


CONDITION: Final = _Parsed("condition", Condition.parse)

# In the order in which --help shows them.
_OPTIONS: Final = (
    click.option(
        "--mode",
        type=click.Choice(MODES),
        help="What is measured: the replies of a server that echoes; how much a server takes (sink) or sends (source);"
        " how many connections a second it accepts and answers; its replies to --request.  [default: echo; with"
        " --request, request-file]",
    ),
    click.option(
        "-c", "--connections", type=click.IntRange(1), default=10, show_default=True, help="Clients at a time."
    ),
    click.option(
        "--size",
        type=_Parsed("size", Sizes.parse),
        help=f"Bytes a message: {sizes.FORMS}.  [default: 64; in modes sink and source 65536, over UDP 1200]",
    ),
    click.option(
        "--pipeline",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Messages under way on each connection.",
    ),
    click.option(
        "-d", "--duration", type=float, default=10.0, show_default=True, help="How long to measure, in seconds."
    ),
    click.option(
        "--warmup", type=float, default=1.0, show_default=True, help="How long to drive the server before, in seconds."
    ),
    click.option(
        "--rate",
        type=float,
        help="Messages a second, sent on schedule whatever comes back (an open loop). Each latency counts from when the"
        " message was due.  [default: a closed loop, which sends when it is answered]",
    ),
    click.option(
        "--arrivals",
        type=click.Choice(["constant", "poisson"]),
        default="constant",
        show_default=True,
        help="Whether the schedule is regular, or random as independent users are.",
    ),
    click.option("--request", type=click.File("rb"), help="A file with the request to send; - is stdin."),
    click.option(
        "--expect", type=_Parsed("framing", Expect.parse), help=f"Where a reply to the request ends: {expect.FORMS}."
    ),
    click.option(
        "--processes", type=click.IntRange(1), default=1, show_default=True, help="Generators, a process each."
    ),
    click.option(
        "--loop",
        type=click.Choice(["auto", "asyncio", "uvloop"]),
        default="auto",
        show_default=True,
        help="The generators' event loop.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of sizes, contents and random arrivals."),
    click.option("--timeout", type=float, help="How long a reply may take, in seconds.  [default: 5; over UDP 1]"),
    click.option("--tls-ca", type=click.Path(dir_okay=False), help="The certificates to trust, and no others (PEM)."),
    click.option("--tls-server-name", help="The name to verify, and to ask for (SNI).  [default: the host]"),
    click.option("--tls-insecure", is_flag=True, help="Take any certificate."),
    click.option("--tls-resume", is_flag=True, help="Resume a former session where the server lets us."),
)


def load_options(command: _Command) -> _Command:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def plan_of(
    endpoint: str,
    mode: Any,  # noqa: ANN401 - click has checked it
    size: Sizes | None,
    timeout: float | None,
    request: IO[bytes] | None,
    *,
    tls_ca: str | None,
    tls_server_name: str | None,
    tls_insecure: bool,
    tls_resume: bool,
    **others: Any,  # noqa: ANN401 - as the plan takes them
) -> Plan:
    """Make the plan that the options ask for.

    Raises AionetError for what makes no sense together.
    """
    given: dict[str, Any] = {"size": size, "timeout": timeout}
    return Plan(
        endpoint=endpoint,
        mode=mode or ("echo" if request is None else "request-file"),
        request=None if request is None else request.read(),
        tls=TLSPlan(verify=not tls_insecure, ca_file=tls_ca, server_name=tls_server_name, resume=tls_resume),
        **{name: value for name, value in given.items() if value is not None},
        **others,
    )


FAIL_ON_HELP: Final = f"End with status 1 if this holds; more than once for several: {conditions.FORMS}."
