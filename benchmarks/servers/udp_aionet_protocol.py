"""A DatagramProtocol, the same as in udp_protocol.py, on aionet's transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST, spell
from benchmarks.servers.udp_protocol import Echo


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    transport, _ = await aionet.create_datagram_endpoint(Echo, (HOST, 0))
    try:
        yield spell(transport.get_extra_info("sockname"))
    finally:
        transport.close()
