"""asyncio's streams behind TLS, as in streams.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, READ_SIZE, others_ended, spell
from benchmarks.servers._certificate import server_context


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    server = await asyncio.start_server(_echo, HOST, 0, limit=READ_SIZE, backlog=4096, ssl=server_context())
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
        await others_ended()
