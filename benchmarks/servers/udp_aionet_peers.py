"""aionet's datagram endpoint, with room for a datagram of each of a thousand peers: what sessions are measured by."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST

# The system's own default holds some 270 datagrams; what comes beyond it would be lost, and waited for in vain.
ROOM = aionet.DatagramOptions(receive_buffer=2 * 1024 * 1024)


async def _echo(endpoint: aionet.DatagramEndpoint) -> None:
    async for datagram in endpoint:
        await endpoint.sendto(datagram.data, datagram.peer)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with aionet.bind_datagram(f"udp://{HOST}:0", options=ROOM) as endpoint:
        running = asyncio.ensure_future(_echo(endpoint))
        try:
            yield str(endpoint.local)
        finally:
            running.cancel()
            await asyncio.wait([running])
