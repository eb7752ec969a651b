"""What both halves of a datagram endpoint share: the transport, addresses, and the words for what went wrong."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from aionet.address import InetAddress, UnixAddress, from_sockaddr
from aionet.errors import (
    AddressError,
    AionetError,
    ClosedError,
    DatagramError,
    DatagramRefusedError,
    DatagramTooLargeError,
)

if TYPE_CHECKING:
    from aionet.options import DatagramOptions
    from aionet.system.types import SockAddr
    from aionet.transport.datagram_queue import DatagramQueue

__all__ = ["EndpointBase", "PeerLike"]

PeerLike = InetAddress | UnixAddress | tuple[Any, ...] | str


class EndpointBase:
    """A datagram socket, as long as nobody has closed it."""

    __slots__ = ("__weakref__", "_family", "_local", "_options", "_peer", "_transport")

    def __init__(self, transport: DatagramQueue, options: DatagramOptions) -> None:
        self._transport = transport
        self._options = options
        sock: socket.socket = transport.get_extra_info("socket")
        self._family = sock.family
        self._local = from_sockaddr(sock.family, transport.get_extra_info("sockname"))
        peer = transport.get_extra_info("peername")
        self._peer = None if peer is None else from_sockaddr(sock.family, peer)

    def _sockaddr(self, peer: PeerLike) -> SockAddr:
        """Return a peer's address as this socket takes it; a host name would be looked up there and then: refused."""
        if isinstance(peer, tuple):
            peer = InetAddress(*peer)
        elif isinstance(peer, str):
            peer = UnixAddress(peer)
        if peer.family == self._family:
            return peer.sockaddr
        if self._family == socket.AF_INET6 and isinstance(peer, InetAddress):
            return InetAddress(f"::ffff:{peer.host}", peer.port).sockaddr  # RFC 4291 section 2.5.5.2
        raise AddressError(f"{peer}: an address of another family than {self._local}")

    def _raise_if_over(self, operation: str) -> None:
        """Raise if the endpoint is closed, or, once, what the network said of an earlier datagram."""
        transport = self._transport
        if transport.is_closing():
            raise ClosedError.of(operation, str(self._local))
        if transport.error is not None:
            error, transport.error = transport.error, None
            raise self._failure(operation, error, self._peer) from error

    def _failure(self, operation: str, exc: OSError, peer: PeerLike | None) -> AionetError:
        """Return the error that users are told for one of the system's."""
        arrow = "<-" if operation.startswith("recv") else "->"
        both = f"{operation} on {self._local} {arrow} {'(nobody)' if peer is None else peer}"
        if self._transport.is_closing() or exc.errno == errno.EBADF:
            return ClosedError.of(operation, str(self._local))
        match exc.errno:
            case errno.EMSGSIZE:
                return DatagramTooLargeError(exc.errno, f"{both}: larger than the protocol or the path takes")
            case errno.ECONNREFUSED:
                return DatagramRefusedError(exc.errno, f"{both}: nobody receives there")
            case errno.EACCES if not self._options.broadcast:
                return DatagramError(
                    exc.errno, f"{both}: {exc.strerror}; broadcasting takes DatagramOptions(broadcast=True)"
                )
            case errno.EDESTADDRREQ | errno.ENOTCONN:
                return DatagramError(exc.errno, f"{both}: not connected: expected sendto, or connect_datagram")
            case _:
                return DatagramError(exc.errno, f"{both}: {exc.strerror or exc}")
