"""An asyncio Protocol, the same as in protocol.py, on aiofastnet's transport."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, spell
from benchmarks.servers.protocol import Echo

aiofastnet = importlib.import_module("aiofastnet")  # optional: so the type checkers need not have it either


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo through aiofastnet's create_server."""
    server = await aiofastnet.create_server(asyncio.get_running_loop(), Echo, HOST, 0, backlog=4096)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
