"""Twisted's Protocol, on Twisted's own reactor."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorTCP, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.protocols.basic import LineReceiver

from benchmarks.servers import HOST, spell


class Echo(Protocol):
    """Sends back what comes, and stops reading while the peer does not take it."""

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        transport = cast("Server", self.transport)
        transport.setTcpNoDelay(enabled=True)
        transport.registerProducer(transport, streaming=True)  # what pauses is the reading of the same connection

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        cast("Server", self.transport).write(data)


class Lines(LineReceiver):
    """Sends back line by line."""

    delimiter = b"\n"

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        cast("ITCPTransport", self.transport).setTcpNoDelay(enabled=True)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  Twisted's name
        self.sendLine(line)


@contextmanager
def _serve(protocol: type[Protocol]) -> Iterator[str]:
    port = IReactorTCP(reactor).listenTCP(0, Factory.forProtocol(protocol), backlog=4096, interface=HOST)
    address = cast("IPv4Address", port.getHost())
    yield spell((address.host, address.port))  # the reactor closes what is open when it stops


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return _serve(Echo)


def lines() -> AbstractContextManager[str]:
    """Echo line by line."""
    return _serve(Lines)
