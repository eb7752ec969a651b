"""Everything that aionet raises, as one tree.

Whose fault it is shows in the class; the standard type that users already catch is the second parent::

    AionetError
    ├── ClosedError              OSError (EBADF)         you closed it
    │   └── ClosedStreamError
    ├── BusyError                RuntimeError            two tasks want what one task can have
    ├── BrokenStreamError        ConnectionError         the network, or the peer's machine
    │   ├── StreamResetError     ConnectionResetError
    │   └── StreamBrokenPipeError  BrokenPipeError
    ├── ConnectError             ConnectionError         no address could be reached
    │   └── ConnectTimeoutError  TimeoutError
    ├── ResolveError             socket.gaierror         the name has no address
    ├── ListenError              OSError                 the address cannot be served
    ├── DatagramError            OSError                 the network, or what the system refuses to send
    │   └── DatagramRefusedError ConnectionRefusedError
    ├── LimitError                                       a bound that you set
    │   ├── FrameTooLargeError   ValueError
    │   ├── DatagramTooLargeError  OSError (EMSGSIZE)
    │   ├── StreamTimeoutError   TimeoutError
    │   ├── SessionTimeoutError  TimeoutError
    │   └── AmplificationError
    ├── ProtocolError                                    the peer's bytes
    │   ├── IncompleteReadError  asyncio.IncompleteReadError (EOFError)
    │   ├── FrameError
    │   │   └── MessageError
    │   ├── ProxyProtocolError   ValueError
    │   └── TLSError             ConnectionError         what the peer says is not TLS as agreed
    │       ├── TLSHandshakeError
    │       │   ├── TLSCertificateError
    │       │   └── TLSHandshakeTimeoutError  TimeoutError
    │       └── TruncatedStreamError
    ├── AddressError             ValueError              an address or endpoint that cannot be
    ├── OptionError              ValueError              an option out of range
    └── MissingExtraError        ImportError             a library that an extra installs

Classes with an errno take ``(errno, message)``, as OSError does; the others take the message alone.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.address import Address

__all__ = [
    "AddressError",
    "AionetError",
    "AmplificationError",
    "BrokenStreamError",
    "BusyError",
    "ClosedError",
    "ClosedStreamError",
    "ConnectError",
    "ConnectTimeoutError",
    "DatagramError",
    "DatagramRefusedError",
    "DatagramTooLargeError",
    "FrameError",
    "FrameTooLargeError",
    "IncompleteReadError",
    "LimitError",
    "ListenError",
    "MessageError",
    "MissingExtraError",
    "OptionError",
    "ProtocolError",
    "ProxyProtocolError",
    "ResolveError",
    "SessionTimeoutError",
    "StreamBrokenPipeError",
    "StreamResetError",
    "StreamTimeoutError",
    "TLSCertificateError",
    "TLSError",
    "TLSHandshakeError",
    "TLSHandshakeTimeoutError",
    "TruncatedStreamError",
]


class AionetError(Exception):
    """The root of every error that aionet raises on purpose."""

    def __str__(self) -> str:
        # The message comes last: OSError would print "[Errno 104] ..." before words that already say it.
        return str(self.args[-1]) if self.args else ""


class ClosedError(AionetError, OSError):
    """You closed the thing that you now use. ``errno`` is EBADF."""

    @classmethod
    def of(cls, operation: str, what: str) -> Self:
        """Build the error for an operation on something that its owner has closed."""
        return cls(errno.EBADF, f"{operation} on {what}: it is closed")


class ClosedStreamError(ClosedError):
    """You closed the stream, and then used it."""


class BusyError(AionetError, RuntimeError):
    """Another task is already inside this operation, and only one can be."""


class BrokenStreamError(AionetError, ConnectionError):
    """The connection is gone, and you did not close it. ``errno`` and ``__cause__`` are the system's."""


class StreamResetError(BrokenStreamError, ConnectionResetError):
    """The peer reset the connection."""


class StreamBrokenPipeError(BrokenStreamError, BrokenPipeError):
    """The peer no longer reads what is sent to it."""


class ConnectError(AionetError, ConnectionError):
    """No address of the endpoint could be connected to; ``attempts`` holds each with its own error."""

    attempts: tuple[tuple[Address, OSError], ...]

    def __init__(self, number: int, message: str, attempts: tuple[tuple[Address, OSError], ...] = ()) -> None:
        super().__init__(number, message)
        self.attempts = attempts

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, str(self), self.attempts)

    @classmethod
    def of(cls, operation: str, attempts: Sequence[tuple[Address, OSError]]) -> Self:
        """Build the error for an operation all of whose attempts failed."""
        cause = attempts[0][1] if attempts else None
        number = (cause and cause.errno) or errno.EADDRNOTAVAIL
        error = cls(number, f"{operation}: {_listed(attempts) or 'no address'}", tuple(attempts))
        error.__cause__ = cause
        return error


class ConnectTimeoutError(ConnectError, TimeoutError):
    """The connect timeout passed before any address answered; ``attempts`` are those that had failed by then."""

    @classmethod
    def after(cls, operation: str, seconds: float, attempts: Sequence[tuple[Address, OSError]]) -> Self:
        """Build the error for an operation that took longer than it may."""
        message = f"{operation}: no answer within {seconds:g} s"
        return cls(errno.ETIMEDOUT, "; ".join(filter(None, (message, _listed(attempts)))), tuple(attempts))


def _listed(attempts: Sequence[tuple[Address, OSError]]) -> str:
    return "; ".join(f"{address}: {error.strerror or error}" for address, error in attempts)


class ResolveError(AionetError, socket.gaierror):
    """The name could not be resolved. ``errno`` is one of socket.EAI_*."""


class ListenError(AionetError, OSError):
    """The address cannot be listened on."""


class DatagramError(AionetError, OSError):
    """A datagram could not be sent, or the network said so of an earlier one; the endpoint stays open.

    ``errno`` and ``__cause__`` are the system's.
    """


class DatagramRefusedError(DatagramError, ConnectionRefusedError):
    """The peer's machine said that nobody receives there (ICMP port unreachable); of a Unix socket, the system."""


class LimitError(AionetError):
    """A bound that you set was reached."""


class FrameTooLargeError(LimitError, ValueError):
    """A message is longer than its limit; the stream still stands where the message begins."""

    limit: int

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.limit)


class DatagramTooLargeError(LimitError, OSError):
    """The datagram is larger than the protocol, the path or the send buffer takes; nothing was sent.

    ``errno`` is EMSGSIZE.
    """


class StreamTimeoutError(LimitError, TimeoutError):
    """A deadline of the stream passed, and the stream was aborted. ``errno`` is ETIMEDOUT."""


class SessionTimeoutError(LimitError, TimeoutError):
    """The peer of a datagram session was silent for too long, and the session is over. ``errno`` is ETIMEDOUT."""


class AmplificationError(LimitError):
    """The datagram is more than may be sent to a peer that may have forged its address; nothing was sent."""


class ProtocolError(AionetError):
    """The peer's bytes are not what they should be."""


class IncompleteReadError(ProtocolError, asyncio.IncompleteReadError):
    """The stream ended inside a message: ``partial`` is what came, ``expected`` how many bytes should have."""

    def __init__(self, message: str, partial: bytes, expected: int | None) -> None:
        Exception.__init__(self, message)
        self.partial = partial
        self.expected = expected

    def __reduce__(self) -> tuple[type[Self], tuple[str, bytes, int | None]]:
        return type(self), (str(self), self.partial, self.expected)


class FrameError(ProtocolError):
    """Bytes that are no frame, so that nobody can tell where it ends; the stream still stands where it begins."""


class MessageError(FrameError):
    """A frame whose content makes no sense: ``content``, which was taken. The stream stands at the next one."""

    content: Any

    def __init__(self, message: str, content: Any) -> None:  # noqa: ANN401 - what the framer was to decode
        super().__init__(message)
        self.content = content

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.content)


class ProxyProtocolError(ProtocolError, ValueError):
    """What should be a PROXY protocol header is none, or a bad one."""


class TLSError(ProtocolError, ConnectionError):
    """TLS failed, and with it the connection. ``__cause__`` is the ssl module's error, ``errno`` is EPROTO."""


class TLSHandshakeError(TLSError):
    """The handshake failed: no secure connection came about, and nothing was sent on it."""


class TLSCertificateError(TLSHandshakeError):
    """The peer's certificate is not to be trusted: its issuer, its name or its dates are wrong."""


class TLSHandshakeTimeoutError(TLSHandshakeError, TimeoutError):
    """The handshake took longer than it may."""


class TruncatedStreamError(TLSError):
    """The connection ended without the peer's close_notify: somebody may have cut off what came last."""


class AddressError(AionetError, ValueError):
    """An address or endpoint string that cannot be understood."""


class OptionError(AionetError, ValueError):
    """An option, limit or timeout that is out of range."""


class MissingExtraError(AionetError, ImportError):
    """A library is missing; the message names the command that installs it."""
