"""aionet's AsyncSocket: the socket functions, awaitable."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST, spell
from benchmarks.servers.sock import RECV_SIZE


async def _echo(client: aionet.AsyncSocket) -> None:
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await client.recv(RECV_SIZE):
            await client.sendall(data)


async def _accept(listener: aionet.AsyncSocket) -> None:
    async with asyncio.TaskGroup() as clients:
        while True:
            client, _ = await listener.accept()
            clients.create_task(_echo(client))


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo with one task for each client."""
    with aionet.AsyncSocket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((HOST, 0))
        listener.listen(4096)
        accepting = asyncio.create_task(_accept(listener))
        try:
            yield spell(listener.getsockname())
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
