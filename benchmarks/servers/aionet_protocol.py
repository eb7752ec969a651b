"""An asyncio Protocol, the same as in protocol.py, on aionet's transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST, spell
from benchmarks.servers.protocol import Echo


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo through aionet's create_server, which has the signature of the loop's."""
    server = await aionet.create_server(Echo, HOST, 0, backlog=4096)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
