"""Twisted's Protocol, on Twisted's own reactor."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.basic import LineReceiver

from benchmarks.servers import HOST, spell
from benchmarks.servers._on_twisted import reactor


class Echo(Protocol):
    """Sends back what comes, and stops reading while the peer does not take it."""

    transport: Any

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.transport, True)  # what pauses is the reading of the same connection

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        self.transport.write(data)


class Lines(LineReceiver):
    """Sends back line by line."""

    transport: Any
    delimiter = b"\n"

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        self.transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  Twisted's name
        self.sendLine(line)  # type: ignore[no-untyped-call]


@contextmanager
def _serve(protocol: type[Protocol]) -> Iterator[str]:
    port = reactor.listenTCP(0, Factory.forProtocol(protocol), backlog=4096, interface=HOST)
    address = port.getHost()
    yield spell((address.host, address.port))  # the reactor closes what is open when it stops


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return _serve(Echo)


def lines() -> AbstractContextManager[str]:
    """Echo line by line."""
    return _serve(Lines)
