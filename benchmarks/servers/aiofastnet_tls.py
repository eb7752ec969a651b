"""An asyncio Protocol on aiofastnet's TLS transport."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, spell
from benchmarks.servers._certificate import server_context
from benchmarks.servers.protocol import Echo

aiofastnet = importlib.import_module("aiofastnet")  # optional: so the type checkers need not have it either


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo through aiofastnet's create_server."""
    loop = asyncio.get_running_loop()
    server = await aiofastnet.create_server(loop, Echo, HOST, 0, backlog=4096, ssl=server_context())
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
