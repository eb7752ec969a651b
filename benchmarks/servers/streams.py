"""asyncio's streams, with room for large messages: faster with them than the defaults, see streams_64k.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from benchmarks.servers import HOST, READ_SIZE, others_ended, spell

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    finally:
        writer.close()


async def _prefixed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            try:
                header = await reader.readexactly(4)
            except asyncio.IncompleteReadError:
                return
            message = await reader.readexactly(int.from_bytes(header))
            writer.write(header + message)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def _serve(handler: Handler) -> AsyncIterator[str]:
    # The reader stops reading when it holds twice the limit.
    server = await asyncio.start_server(handler, HOST, 0, limit=READ_SIZE, backlog=4096)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
        await others_ended()


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return _serve(_echo)


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return _serve(_lines)


def prefixed() -> AbstractAsyncContextManager[str]:
    """Echo message by message, each with four bytes of length in front."""
    return _serve(_prefixed)
