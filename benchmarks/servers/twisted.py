"""Twisted's Protocol, on Twisted's own reactor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.basic import LineReceiver

from benchmarks.servers import HOST, spell
from benchmarks.servers._on_twisted import reactor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from twisted.internet.ssl import CertificateOptions


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
def serve(protocol: type[Protocol], tls: CertificateOptions | None = None) -> Iterator[str]:
    """Serve with a protocol, behind TLS if its options are given."""
    factory = Factory.forProtocol(protocol)
    if tls is None:
        port = reactor.listenTCP(0, factory, backlog=4096, interface=HOST)
    else:
        port = reactor.listenSSL(0, factory, tls, backlog=4096, interface=HOST)
    address = port.getHost()
    yield spell((address.host, address.port))  # the reactor closes what is open when it stops


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return serve(Echo)


def lines() -> AbstractContextManager[str]:
    """Echo line by line."""
    return serve(Lines)
