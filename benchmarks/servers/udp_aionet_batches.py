"""aionet's datagram endpoint, which hands over what the kernel gives as it is."""

from contextlib import AbstractAsyncContextManager

import aionet
from benchmarks.servers.udp_aionet import serve


async def _receive(endpoint: aionet.DatagramEndpoint) -> None:
    count = 0
    while True:
        batch = await endpoint.recv_batch()
        if batch.data:
            count += batch.datagrams
        else:
            await endpoint.sendto(b"%d" % count, batch.peer)


def udp_receive() -> AbstractAsyncContextManager[str]:
    """Count what comes."""
    return serve(_receive)
