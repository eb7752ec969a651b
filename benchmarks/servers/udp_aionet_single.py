"""aionet's datagram endpoint, each datagram sent by itself."""

from contextlib import AbstractAsyncContextManager

import aionet
from benchmarks.servers.udp_aionet import serve
from benchmarks.servers.udp_protocol import SIZE


async def _send(endpoint: aionet.DatagramEndpoint) -> None:
    peer = (await endpoint.recvfrom()).peer
    data = bytes(SIZE)
    while True:
        await endpoint.sendto(data, peer)


def udp_send() -> AbstractAsyncContextManager[str]:
    """Send without end."""
    return serve(_send)
