"""asyncio's Protocol behind TLS, as in protocol.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, spell
from benchmarks.servers._certificate import server_context
from benchmarks.servers.protocol import Echo


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo through the loop's own create_server."""
    server = await asyncio.get_running_loop().create_server(Echo, HOST, 0, backlog=4096, ssl=server_context())
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
