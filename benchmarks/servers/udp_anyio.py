"""anyio's UDP socket, on its asyncio backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, UDPSocket

from benchmarks.servers import HOST, spell


async def _echo(udp: UDPSocket) -> None:
    async for data, (host, port) in udp:
        await udp.sendto(data, host, port)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with await anyio.create_udp_socket(local_host=HOST) as udp, anyio.create_task_group() as tasks:
        tasks.start_soon(_echo, udp)
        address = udp.extra(SocketAttribute.local_address)  # noqa: S610  not Django's
        yield spell((str(address[0]), int(address[1])))
        tasks.cancel_scope.cancel()
