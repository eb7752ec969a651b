"""Why an operation on a stream fails, in the words and the class that the user is told it in."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from aionet.address import from_sockaddr
from aionet.errors import (
    AionetError,
    BrokenStreamError,
    ClosedStreamError,
    StreamBrokenPipeError,
    StreamResetError,
    StreamTimeoutError,
    TLSError,
)
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    from aionet.stream.protocol import StreamProtocol
    from aionet.system.types import SockAddr
    from aionet.transport.stream import StreamTransport
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["broken", "client", "ends", "failure_of", "too_late"]


def ends(transport: StreamTransport, arrow: str) -> str:
    """Name both ends of a connection, ours first; where a proxy stands between them, the client and the proxy."""
    family = transport.family
    peer = client(family, transport.peer_sockaddr, transport.proxy)
    return f"{_name(family, transport.local_sockaddr)} {arrow} {peer}"


def client(family: int, peer: SockAddr | None, proxy: ProxyHeader | None) -> str:
    """Name the other end of a connection, and the proxy that stands between."""
    name = _name(family, peer)
    return name if proxy is None or proxy.source is None else f"{proxy.source} via {name}"


def _name(family: int, sockaddr: SockAddr | None) -> str:
    # Once the peer has reset, the system no longer tells who it was: not where it has not been asked before.
    return "(unknown)" if sockaddr is None else str(from_sockaddr(family, sockaddr))


def _arrow(operation: str) -> str:
    return "<-" if operation.startswith(("recv", "peek")) else "->"


def broken(operation: str, transport: StreamTransport, cause: OSError) -> BrokenStreamError | TLSError:
    """Build the error for a connection that broke; ``__cause__`` is what the system, or the ssl module, said."""
    error: BrokenStreamError | TLSError
    both = ends(transport, _arrow(operation))
    if isinstance(cause, TLSError):
        error = type(cause)(cause.errno, f"{operation} on {both}: {cause}")
        error.__cause__ = cause.__cause__
        return error
    if isinstance(cause, ConnectionResetError):
        error = StreamResetError(cause.errno, f"{operation} on {both}: reset by peer")
    elif isinstance(cause, BrokenPipeError):
        error = StreamBrokenPipeError(cause.errno, f"{operation} on {both}: the peer no longer receives")
    else:
        error = BrokenStreamError(cause.errno, f"{operation} on {both}: {cause.strerror or cause}")
    error.__cause__ = cause
    return error


def too_late(operation: str, transport: StreamTransport, deadline: str) -> StreamTimeoutError:
    """Build the error for a deadline that has passed."""
    return StreamTimeoutError(errno.ETIMEDOUT, f"{operation} on {ends(transport, _arrow(operation))}: {deadline}")


def failure_of(
    operation: str, transport: StreamTransport, protocol: StreamProtocol, *, closed: bool
) -> AionetError | None:
    """Return the error that an operation on this stream must raise, or None while the stream is good."""
    if closed:
        return ClosedStreamError.of(operation, ends(transport, "<->"))
    if protocol.late is not None:
        return too_late(operation, transport, protocol.late)
    if transport.error is not None:
        return broken(operation, transport, transport.error)
    if transport.state is State.CLOSED:
        return ClosedStreamError.of(operation, ends(transport, "<->"))
    return None
