"""asyncio_dgram: await on a datagram stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncio_dgram
from asyncio_dgram.aio import DatagramServer

from benchmarks.servers import HOST, spell


async def _echo(stream: DatagramServer) -> None:
    while True:
        data, peer = await stream.recv()
        await stream.send(data, peer)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    stream = await asyncio_dgram.bind((HOST, 0))
    running = asyncio.create_task(_echo(stream))
    try:
        yield spell(stream.sockname)
    finally:
        running.cancel()
        await asyncio.wait([running])
        stream.close()
