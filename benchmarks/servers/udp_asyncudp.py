"""asyncudp: await on a socket that a DatagramProtocol fills."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.servers import HOST, spell

asyncudp = importlib.import_module("asyncudp")  # optional: so the type checkers need not have it either


async def _echo(sock: Any) -> None:  # noqa: ANN401 - as above
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
