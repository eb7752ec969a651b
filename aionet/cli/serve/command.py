"""The command ``aionet serve``."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Any

import click

from aionet.cli.events import Events, counted
from aionet.cli.parameters import ENDPOINT, json_option, loop_option
from aionet.cli.running import run_command
from aionet.cli.serve.handler import HandlerError, import_handler
from aionet.cli.status import INTERRUPTED, TERMINATED
from aionet.cli.tls import ServerTLS, server_tls_options
from aionet.options import Limits, Timeouts
from aionet.server.server import serve
from aionet.server.signals import handled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.address import Endpoint
    from aionet.cli.serve.handler import Handler
    from aionet.server.server import Server
    from aionet.tls import TLSConfig

__all__ = ["serve_command"]


@click.command("serve")
@click.argument("handler", metavar="MODULE:HANDLER")
@click.option(
    "--bind",
    "endpoints",
    type=ENDPOINT,
    multiple=True,
    default=["tcp://127.0.0.1:8000"],
    show_default=True,
    help="An endpoint to listen on; more than once for several.",
)
@server_tls_options
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    help="Connections at a time; more wait to be accepted.  [default: 10 000, or what RLIMIT_NOFILE allows]",
)
@click.option(
    "--drain",
    "drain_seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds that handlers have left after Ctrl-C or SIGTERM.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="info",
    show_default=True,
    help="What is logged, on stderr.",
)
@json_option("Say where it listens and how it ended as lines of JSON, on stderr.")
@loop_option
def serve_command(
    handler: str,
    endpoints: Sequence[Endpoint],
    loop: str,
    max_connections: int | None,
    drain_seconds: float,
    log_level: str,
    *,
    as_json: bool,
    **tls_options: Any,  # noqa: ANN401 - to ServerTLS
) -> None:
    """Run an async function of yours for each connection.

    MODULE:HANDLER is such as app:handle for the function handle of app.py; it takes an aionet.Stream. The module may be
    in the current folder.

    Ctrl-C and SIGTERM drain: the handlers are told (Stream.draining) and may finish, which ends with status 0. A second
    one aborts what is left.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        imported = import_handler(handler)
    except HandlerError as error:
        raise click.BadParameter(str(error), param_hint="MODULE:HANDLER") from error
    tls = ServerTLS.taken_from(tls_options).config(endpoints)
    timeouts, limits = Timeouts(drain=drain_seconds), Limits(max_connections=max_connections)
    events = Events(as_json=as_json, verbose=True)
    run_command(_serve(imported, list(endpoints), tls, timeouts, limits, events), loop)


async def _serve(
    handler: Handler,
    endpoints: list[Endpoint],
    tls: TLSConfig | None,
    timeouts: Timeouts,
    limits: Limits,
    events: Events,
) -> int:
    async with serve(list(endpoints), handler, tls=tls, timeouts=timeouts, limits=limits) as server:
        for refused in server.refused_options:
            logging.getLogger("aionet").warning("%s", refused)
        events.listening(server.addresses)
        status = await _until_signals(server, events)
        _tell_end(server, events)
    return status


async def _until_signals(server: Server, events: Events) -> int:
    """Serve; the first signal drains. Returns the status: that of the second signal, if there was one."""
    signals: list[signal.Signals] = []

    def arrived(number: signal.Signals) -> None:
        signals.append(number)
        open_now = len(server.connections)
        if len(signals) == 1:
            events.say("draining", f"draining {counted(open_now, 'connection')}; again to abort", connections=open_now)

    with (
        handled([signal.SIGINT], lambda: arrived(signal.SIGINT)),
        handled([signal.SIGTERM], lambda: arrived(signal.SIGTERM)),
    ):
        await server.serve_forever()
    second = signals[1] if len(signals) > 1 else None
    return {None: 0, signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}[second]


def _tell_end(server: Server, events: Events) -> None:
    done = server.statistics()
    accepted, failed = counted(done.accepted, "connection"), counted(done.handler_errors, "handler")
    events.say(
        "closed",
        f"closed: {accepted} accepted, {failed} failed, {done.aborted} aborted",
        accepted=done.accepted,
        handler_errors=done.handler_errors,
        aborted=done.aborted,
    )
