"""asyncudp: await on a socket that a DatagramProtocol fills."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncudp  # type: ignore[import-untyped]

from benchmarks.servers import HOST, spell


async def _echo(sock: asyncudp.Socket) -> None:
    while True:
        data, peer = await sock.recvfrom()
        sock.sendto(data, peer)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with await asyncudp.create_socket(local_addr=(HOST, 0)) as sock:
        running = asyncio.create_task(_echo(sock))
        try:
            yield spell(sock.getsockname())
        finally:
            running.cancel()
            await asyncio.wait([running])
