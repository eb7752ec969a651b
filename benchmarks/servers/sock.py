"""The loop's own socket calls: sock_accept, sock_recv, sock_sendall."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.servers import HOST, spell

# Not READ_SIZE: a buffer that malloc takes from mmap (128 KiB and more) would cost sock_recv a third of its speed.
RECV_SIZE = 64 * 1024


async def _echo(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await loop.sock_recv(client, RECV_SIZE):
            await loop.sock_sendall(client, data)


async def _accept(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    async with asyncio.TaskGroup() as clients:
        while True:
            client, _ = await loop.sock_accept(listener)
            clients.create_task(_echo(loop, client))


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo with one task for each client."""
    with socket.create_server((HOST, 0), backlog=4096) as listener:
        listener.settimeout(0)
        accepting = asyncio.create_task(_accept(asyncio.get_running_loop(), listener))
        try:
            yield spell(listener.getsockname())
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
