"""Run one server on one loop in this process: `python -m benchmarks.servers streams echo --loop uvloop`.

Prints its address as a line of JSON. A line on stdin asks for a garbage collection and the CPU time so far; the end of
stdin or SIGTERM asks for the CPU time the last time.
"""

import argparse
import importlib

from benchmarks.servers import _on_asyncio


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers")
    parser.add_argument("file")
    parser.add_argument("service")
    parser.add_argument("--loop", default="asyncio")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.servers.{arguments.file}")
    service = getattr(module, arguments.service)
    if arguments.loop in {"gevent", "trio", "twisted"}:  # which bring a loop of their own
        importlib.import_module(f"benchmarks.servers._on_{arguments.loop}").run(service)
    else:
        _on_asyncio.run(service, arguments.loop)


if __name__ == "__main__":
    main()
