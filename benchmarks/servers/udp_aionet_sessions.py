"""aionet's datagram server: an async/await handler for each peer, through the public API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST
from benchmarks.servers.udp_aionet_peers import ROOM


async def _echo(session: aionet.DatagramSession) -> None:
    async for data in session:
        await session.send(data)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with aionet.serve_datagram(f"udp://{HOST}:0", _echo, options=ROOM) as server:
        yield str(server.addresses[0])
