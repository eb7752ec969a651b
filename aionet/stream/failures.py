"""Why an operation on a stream fails, in the words and the class that the user is told it in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from aionet.address import from_sockaddr
from aionet.errors import (
    AionetError,
    BrokenStreamError,
    ClosedStreamError,
    StreamBrokenPipeError,
    StreamResetError,
)
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    from aionet.stream.protocol import StreamProtocol
    from aionet.system.types import SockAddr
    from aionet.transport.stream import StreamTransport

__all__ = ["broken", "ends", "failure_of"]


def ends(transport: StreamTransport, arrow: str) -> str:
    """Name both ends of a connection, ours first."""
    family = transport.family
    return f"{_name(family, transport.local_sockaddr)} {arrow} {_name(family, transport.peer_sockaddr)}"


def _name(family: int, sockaddr: SockAddr | None) -> str:
    # Once the peer has reset, the system no longer tells who it was: not where it has not been asked before.
    return "(unknown)" if sockaddr is None else str(from_sockaddr(family, sockaddr))


def broken(operation: str, transport: StreamTransport, cause: OSError) -> BrokenStreamError:
    """Build the error for a connection that broke; ``__cause__`` is what the system said."""
    error: BrokenStreamError
    both = ends(transport, "<-" if operation.startswith("recv") else "->")
    if isinstance(cause, ConnectionResetError):
        error = StreamResetError(cause.errno, f"{operation} on {both}: reset by peer")
    elif isinstance(cause, BrokenPipeError):
        error = StreamBrokenPipeError(cause.errno, f"{operation} on {both}: the peer no longer receives")
    else:
        error = BrokenStreamError(cause.errno, f"{operation} on {both}: {cause.strerror or cause}")
    error.__cause__ = cause
    return error


def failure_of(
    operation: str, transport: StreamTransport, protocol: StreamProtocol, *, closed: bool
) -> AionetError | None:
    """Return the error that an operation on this stream must raise, or None while the stream is good."""
    if closed:
        return ClosedStreamError.of(operation, ends(transport, "<->"))
    if protocol.failure is not None:
        return copy.copy(protocol.failure)  # one object raised again and again would gather tracebacks
    if transport.error is not None:
        return broken(operation, transport, transport.error)
    if transport.state is State.CLOSED:
        return ClosedStreamError.of(operation, ends(transport, "<->"))
    return None
