"""asyncio's streams with their default limit and reads of 64 KiB: how most programs use them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, others_ended, spell


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    server = await asyncio.start_server(_echo, HOST, 0, backlog=4096)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
        await others_ended()
