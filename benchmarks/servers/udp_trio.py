"""trio's sockets: recvfrom and sendto, awaitable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from benchmarks.servers import HOST, spell
from benchmarks.servers.sock import RECV_SIZE


async def _echo(sock: trio.socket.SocketType) -> None:
    while True:
        data, peer = await sock.recvfrom(RECV_SIZE)
        await sock.sendto(data, peer)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((HOST, 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_echo, sock)
            yield spell(sock.getsockname())
            nursery.cancel_scope.cancel()
