"""The loop's own socket calls: sock_recvfrom, sock_sendto."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, spell
from benchmarks.servers.sock import RECV_SIZE


async def _echo(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        data, peer = await loop.sock_recvfrom(sock, RECV_SIZE)
        await loop.sock_sendto(sock, data, peer)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((HOST, 0))
        running = asyncio.create_task(_echo(sock))
        try:
            yield spell(sock.getsockname())
        finally:
            running.cancel()
            await asyncio.wait([running])
