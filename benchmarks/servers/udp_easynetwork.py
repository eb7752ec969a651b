"""EasyNetwork's UDP server: packets, made of the bytes by a serializer."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.servers import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramClient, AsyncDatagramRequestHandler

from benchmarks.servers import HOST, spell


class Raw(AbstractPacketSerializer[bytes, bytes]):
    """A datagram is a packet as it is."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        return data


class Echo(AsyncDatagramRequestHandler[bytes, bytes]):
    """Sends back each packet."""

    async def handle(self, client: AsyncDatagramClient[bytes]) -> AsyncGenerator[None, bytes]:
        await client.send_packet((yield))


@asynccontextmanager
async def udp_echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with AsyncUDPNetworkServer(HOST, 0, DatagramProtocol(Raw()), Echo()) as server:
        listening = asyncio.Event()
        serving = asyncio.create_task(server.serve_forever(is_up_event=listening))
        await listening.wait()
        address = server.get_addresses()[0]
        yield spell((address.host, address.port))
        serving.cancel()
        await asyncio.wait([serving])
