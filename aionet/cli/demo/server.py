"""The server that is measured, alone in its process: ``python -m aionet.cli.demo.server aionet --loop uvloop``.

It says its address as a line of JSON, answers each line on stdin with the CPU time that it has used so far, and ends
when stdin ends: so it also ends when whoever started it is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aionet
from aionet.cli.demo.child import pin, say

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    Serve = Callable[[], AbstractAsyncContextManager[str]]

_HOST: Final = "127.0.0.1"

# What aionet reads at a time by default; asyncio's streams do best with as much.
_READ_SIZE: Final = 256 * 1024


async def _echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


@asynccontextmanager
async def _aionet() -> AsyncGenerator[str]:
    async with aionet.serve((_HOST, 0), _echo) as server:
        yield str(server.addresses[0])


async def _streams_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_SIZE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def _streams() -> AsyncGenerator[str]:
    async with await asyncio.start_server(_streams_echo, _HOST, 0, limit=_READ_SIZE, backlog=4096) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


_SERVERS: Final[dict[str, Serve]] = {"aionet": _aionet, "streams": _streams}


async def _serve(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.fileno()
    ended = asyncio.Event()

    def answer() -> None:
        if os.read(stdin, 4096):
            usage = resource.getrusage(resource.RUSAGE_SELF)
            say(cpu=usage.ru_utime + usage.ru_stime)
        else:
            loop.remove_reader(stdin)
            ended.set()

    async with serve() as address:
        say(address=address)
        loop.add_reader(stdin, answer)
        await ended.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("server", choices=_SERVERS)
    parser.add_argument("--loop", required=True)
    parser.add_argument("--core", type=int)
    arguments = parser.parse_args()
    pin(arguments.core)
    aionet.run(_serve(_SERVERS[arguments.server]), loop=arguments.loop)


if __name__ == "__main__":
    main()
