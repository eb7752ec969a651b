"""Twisted's DatagramProtocol, on Twisted's own reactor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from benchmarks.servers import HOST, spell
from benchmarks.servers._on_twisted import reactor


class Echo(DatagramProtocol):
    """Sends back what comes."""

    transport: Any

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:  # noqa: N802  Twisted's name
        self.transport.write(datagram, addr)


@contextmanager
def udp_echo() -> Iterator[str]:
    """Echo what comes."""
    address = reactor.listenUDP(0, Echo(), interface=HOST).getHost()
    yield spell((address.host, address.port))  # the reactor closes what is open when it stops
