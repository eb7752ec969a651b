"""asyncio's DatagramProtocol: callbacks, on the datagram transport of the loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from benchmarks.servers import HOST, spell

SIZE = 1200
BATCH = 64  # sends for each turn of the loop


class Datagrams(asyncio.DatagramProtocol):
    """Knows its transport."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)


class Echo(Datagrams):
    """Sends back what comes."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


class Count(Datagrams):
    """Counts, and says how many when it is asked by an empty datagram."""

    count = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data:
            self.count += 1
        else:
            self.transport.sendto(b"%d" % self.count, addr)


class Send(Datagrams):
    """Sends to whoever says a word, while the transport takes it."""

    peer: tuple[str, int]
    paused = False

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = addr
        self.go_on()

    def go_on(self) -> None:
        """Send some, and let the loop come round."""
        data = bytes(SIZE)
        for _ in range(BATCH):
            if self.paused or self.transport.is_closing():
                return
            self.transport.sendto(data, self.peer)
        asyncio.get_running_loop().call_soon(self.go_on)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.go_on()


@asynccontextmanager
async def _serve(protocol: type[Datagrams]) -> AsyncIterator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(protocol, (HOST, 0))
    try:
        yield spell(transport.get_extra_info("sockname"))
    finally:
        transport.close()


def udp_echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return _serve(Echo)


def udp_receive() -> AbstractAsyncContextManager[str]:
    """Count what comes."""
    return _serve(Count)


def udp_send() -> AbstractAsyncContextManager[str]:
    """Send without end."""
    return _serve(Send)
