"""anyio's streams, on its asyncio backend."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.servers import HOST, READ_SIZE, spell


async def _echo(stream: SocketStream) -> None:
    async with stream:
        try:
            while True:
                await stream.send(await stream.receive(READ_SIZE))
        except anyio.EndOfStream:
            pass


async def _lines(stream: SocketStream) -> None:
    buffered = BufferedByteReceiveStream(stream)
    async with stream:
        try:
            while True:
                line = await buffered.receive_until(b"\n", READ_SIZE)
                await stream.send(line + b"\n")
        except anyio.IncompleteRead:
            pass


@asynccontextmanager
async def _serve(handler: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    async with (
        await anyio.create_tcp_listener(local_host=HOST, local_port=0, backlog=4096) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, handler)
        address = listener.listeners[0].extra(SocketAttribute.local_address)  # noqa: S610  not Django's
        yield spell((str(address[0]), int(address[1])))
        tasks.cancel_scope.cancel()


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return _serve(_echo)


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return _serve(_lines)
