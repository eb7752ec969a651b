"""What a TLSTransport needs below itself: TLS on a descriptor (tls_socket.py), or inside another TLS (tls_layer.py).

Both raise what the ssl module raises: SSLWantReadError and SSLWantWriteError say what to wait for.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from aionet.system.types import Buffer, SockAddr

__all__ = ["RECORD_SIZE", "SecureSocket", "discard_input"]

# The plaintext of a TLS record at most (RFC 8446 5.1). A read of so much leaves nothing inside OpenSSL.
RECORD_SIZE: Final = 16 * 1024
# What is thrown away at once: see discard_input.
_DISCARD: Final = 256 * 1024


class SecureSocket:
    """TLS over a connected, non-blocking socket, which it owns; ``tls`` is the ssl module's object, for questions.

    ``received`` is what has been received of the handshake, and OpenSSL has not read yet; ``met`` what came behind the
    bytes of the last recv_into, if not more of them.
    """

    __slots__ = ("_held", "context", "met", "received", "tls")

    holds_back: bool  # whether a read of a record's size may leave plaintext that no readiness announces

    def __init__(self, context: ssl.SSLContext, tls: Any, received: bytes) -> None:  # noqa: ANN401 - the module's own
        self.context = context
        self.tls = tls
        self.received = received
        self.met: OSError | None = None
        self._held = b""  # plaintext that close_notify had to take out of OpenSSL

    # --- the subclass's ---------------------------------------------------------------------------------------------

    @property
    def socket(self) -> socket.socket:
        """The socket at the bottom."""
        raise NotImplementedError

    @property
    def object(self) -> ssl.SSLSocket | ssl.SSLObject:
        """The ssl module's object that users know."""
        raise NotImplementedError

    @property
    def read(self) -> Callable[..., Any]:
        """Read a record at most: read(size), which returns the bytes, or read(size, buffer), which counts them."""
        raise NotImplementedError

    @property
    def send(self) -> Callable[[Buffer], int]:
        """Write; after SSLWantWriteError write the same again, or more."""
        raise NotImplementedError

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        raise NotImplementedError

    def pending(self) -> bool:
        """Whether there may be plaintext that no readiness will announce."""
        raise NotImplementedError

    def close_notify(self) -> None:
        """Say that our half ends; reading goes on. SSLWantWriteError: call it again when the socket is writable."""
        raise NotImplementedError

    def goodbye(self) -> None:
        """Say that our half ends, and read nothing more. SSLWantWriteError as in close_notify."""
        raise NotImplementedError

    def shutdown(self, how: int, /) -> None:
        """Shut the socket down, not TLS."""
        raise NotImplementedError

    def recv_raw(self, size: int, /) -> bytes:
        """Receive ciphertext, to throw it away."""
        raise NotImplementedError

    # --- reading ----------------------------------------------------------------------------------------------------

    def recv(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes of plaintext, those first that close_notify had to take out of OpenSSL."""
        if not self._held:
            return self.read(size)  # type: ignore[no-any-return]
        data, self._held = self._held[:size], self._held[size:]
        return data

    def recv_into(self, buffer: Buffer, /) -> int:
        """Read plaintext into a buffer, those bytes first that close_notify had to take out of OpenSSL.

        It takes record after record, as long as they are full.
        """
        view = memoryview(buffer).cast("B")
        if self._held:
            data = self.recv(len(view))
            view[: len(data)] = data
            return len(data)
        if self.met is not None:
            met, self.met = self.met, None
            raise met
        size, self.met = _read_records(self.read, view)
        return size

    # --- what a transport asks of a socket ----------------------------------------------------------------------------

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for, as far as the context is aionet's."""
        tls = self.object
        name = tls.server_hostname
        if name is None:
            return getattr(tls, "requested_name", None)
        # An address is no name, and is not sent as one (RFC 6066 section 3).
        return None if ":" in name or name.replace(".", "").isdigit() else name

    @property
    def family(self) -> int:
        """The socket's address family."""
        return self.socket.family

    def fileno(self) -> int:
        """As socket.fileno."""
        return self.socket.fileno()

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """As socket.setsockopt."""
        self.socket.setsockopt(level, option, value)

    def getsockname(self) -> SockAddr:
        """As socket.getsockname."""
        return self.socket.getsockname()

    def getpeername(self) -> SockAddr:
        """As socket.getpeername."""
        return self.socket.getpeername()

    def close(self) -> None:
        """Close the descriptor, at once."""
        self.socket.close()


def _read_records(read: Callable[..., Any], view: memoryview) -> tuple[int, OSError | None]:
    """Read record after record, as long as they are full; return how much, and what was met behind it."""
    size = count = read(len(view), view)
    while count == RECORD_SIZE and size < len(view):
        try:
            count = read(len(view) - size, view[size:])
        except ssl.SSLWantReadError:
            break
        except OSError as exc:
            return size, exc
        if not count:
            return size, ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "the peer has ended")
        size += count
    return size, None


def discard_input(sock: SecureSocket) -> None:
    """Throw away what has arrived: a socket that is closed with unread input answers with a reset.

    The reset would overtake the alert that says why a handshake has failed.
    """
    with suppress(OSError):
        for _ in range(_DISCARD // RECORD_SIZE):
            if not sock.recv_raw(RECORD_SIZE):
                return
