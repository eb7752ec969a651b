"""Run one server on one loop in this process: `python -m benchmarks.servers streams echo --loop uvloop`.

Prints its address as a line of JSON. A line on stdin asks for a garbage collection and the CPU time so far; the end of
stdin or SIGTERM asks for the CPU time the last time.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable

from benchmarks.servers import Service

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory(name: str) -> LoopFactory:
    """The factory of the loop with that name: asyncio's own, or that of the package called so."""
    module = importlib.import_module(name)
    factory: LoopFactory = module.new_event_loop
    return factory


def report() -> None:
    """Print the CPU seconds of this process, after a collection: whoever asks may look at the memory next."""
    gc.collect()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    say(cpu=usage.ru_utime + usage.ru_stime)


def say(**values: object) -> None:
    """Print one line of JSON at once."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def run(service: Service) -> None:
    """Serve until stdin ends or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def obey() -> None:
        if os.read(sys.stdin.fileno(), 4096):
            report()
        else:
            loop.remove_reader(sys.stdin.fileno())
            stopped.set()

    async with service() as address:
        say(address=address)
        loop.add_reader(sys.stdin.fileno(), obey)
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        report()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers")
    parser.add_argument("file")
    parser.add_argument("service")
    parser.add_argument("--loop", default="asyncio")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.servers.{arguments.file}")
    service: Service = getattr(module, arguments.service)
    with asyncio.Runner(loop_factory=loop_factory(arguments.loop)) as runner:
        runner.run(run(service))


if __name__ == "__main__":
    main()
