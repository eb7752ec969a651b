"""Run a service on trio."""

import signal
import sys
from functools import partial

import trio

from benchmarks.servers import Service
from benchmarks.servers._control import obey, report, say


async def obey_stdin(scope: trio.CancelScope) -> None:
    """Do what stdin asks for; its end ends the scope."""
    while True:
        await trio.lowlevel.wait_readable(sys.stdin)
        if not obey():
            scope.cancel()
            return


async def obey_signals(scope: trio.CancelScope) -> None:
    """SIGTERM ends the scope."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def serve(service: Service) -> None:
    """Serve until stdin ends or SIGTERM comes."""
    async with service() as address:
        say(address=address)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_stdin, nursery.cancel_scope)
            nursery.start_soon(obey_signals, nursery.cancel_scope)
        report()


def run(service: Service) -> None:
    """Serve on trio's loop."""
    trio.run(partial(serve, service))
