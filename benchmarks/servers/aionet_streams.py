"""aionet's streams: an async/await handler through the public API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aionet
from benchmarks.servers import HOST

Handler = Callable[[aionet.Stream], Awaitable[None]]


async def _echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def _lines(stream: aionet.Stream) -> None:
    while line := await stream.recv_line():
        await stream.send(line)


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[str]:
    """Serve with a handler, and give the address."""
    async with aionet.serve(f"tcp://{HOST}:0", handler) as server:
        yield str(server.addresses[0])


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return serve(_echo)


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return serve(_lines)
