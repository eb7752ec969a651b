"""Run a service on an asyncio loop: the loop's own, or that of the package with its name."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Callable

from benchmarks.servers import Service
from benchmarks.servers._control import obey, report, say

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory(name: str) -> LoopFactory:
    """The factory of the loop with that name: asyncio's own, or that of the package called so."""
    module = importlib.import_module(name)
    factory: LoopFactory = module.new_event_loop
    return factory


async def serve(service: Service) -> None:
    """Serve until stdin ends or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def asked() -> None:
        if not obey():
            loop.remove_reader(sys.stdin.fileno())
            stopped.set()

    async with service() as address:
        say(address=address)
        loop.add_reader(sys.stdin.fileno(), asked)
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        report()


def run(service: Service, loop: str) -> None:
    """Serve on a new loop of that kind."""
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(serve(service))
