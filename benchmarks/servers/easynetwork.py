"""EasyNetwork's TCP server: packets, made of the bytes by a serializer."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

from benchmarks.servers import HOST, READ_SIZE, spell


class Raw(BufferedIncrementalPacketSerializer[bytes, bytes, memoryview]):
    """Whatever has come is a packet, as EasyNetwork's page on serializers writes them for its buffered protocol."""

    def incremental_serialize(self, packet: bytes) -> Generator[bytes]:
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        return (yield), b""

    def create_deserializer_buffer(self, sizehint: int) -> memoryview:
        return memoryview(bytearray(sizehint))

    def buffered_incremental_deserialize(self, buffer: memoryview) -> Generator[None, int, tuple[bytes, bytes]]:
        length = yield
        return bytes(buffer[:length]), b""


class Echo(AsyncStreamRequestHandler[Any, Any]):
    """Sends back each packet."""

    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        await client.send_packet((yield))


@asynccontextmanager
async def serve(protocol: Any, **given: Any) -> AsyncIterator[str]:  # noqa: ANN401  two kinds of protocol, without a common base
    """Serve with a protocol, and with what else the server is to be given."""
    server: AsyncTCPNetworkServer[Any, Any] = AsyncTCPNetworkServer(
        HOST, 0, protocol, Echo(), backlog=4096, max_recv_size=READ_SIZE, log_client_connection=False, **given
    )
    async with server:
        listening = asyncio.Event()
        serving = asyncio.create_task(server.serve_forever(is_up_event=listening))
        await listening.wait()
        address = server.get_addresses()[0]
        yield spell((address.host, address.port))
        serving.cancel()
        await asyncio.wait([serving])


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return serve(BufferedStreamProtocol(Raw()))


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return serve(StreamProtocol(StringLineSerializer("LF", encoding="ascii")))
