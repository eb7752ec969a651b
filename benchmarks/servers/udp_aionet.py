"""aionet's datagram endpoint: an async/await handler through the public API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aionet
from benchmarks.servers import HOST
from benchmarks.servers.udp_protocol import SIZE

Handler = Callable[[aionet.DatagramEndpoint], Awaitable[None]]

RUN = 256  # datagrams for each send_many


async def _echo(endpoint: aionet.DatagramEndpoint) -> None:
    async for datagram in endpoint:
        await endpoint.sendto(datagram.data, datagram.peer)


async def _receive(endpoint: aionet.DatagramEndpoint) -> None:
    count = 0
    while True:
        many = await endpoint.recv_many()
        count += len(many)
        last = many[-1]
        if not last.data:  # nothing comes after a question
            count -= sum(not datagram.data for datagram in many)
            await endpoint.sendto(b"%d" % count, last.peer)


async def _send(endpoint: aionet.DatagramEndpoint) -> None:
    peer = (await endpoint.recvfrom()).peer
    datagrams = [bytes(SIZE)] * RUN
    while True:
        await endpoint.send_many(datagrams, peer)


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[str]:
    """Run a handler on an endpoint."""
    async with aionet.bind_datagram(f"udp://{HOST}:0") as endpoint:
        running = asyncio.ensure_future(handler(endpoint))
        try:
            yield str(endpoint.local)
        finally:
            running.cancel()
            await asyncio.wait([running])


def udp_echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return serve(_echo)


def udp_receive() -> AbstractAsyncContextManager[str]:
    """Count what comes."""
    return serve(_receive)


def udp_send() -> AbstractAsyncContextManager[str]:
    """Send without end."""
    return serve(_send)
