"""asyncio's Protocol: callbacks, on the transport of the loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from benchmarks.servers import HOST, spell


class Echo(asyncio.Protocol):
    """Sends back what comes, and stops reading while the peer does not take it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo through the loop's own create_server."""
    server = await asyncio.get_running_loop().create_server(Echo, HOST, 0, backlog=4096)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()
