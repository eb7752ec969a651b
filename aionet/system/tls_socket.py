"""TLS on a descriptor: ssl.SSLSocket, where OpenSSL reads and writes the descriptor itself.

What a TLSTransport needs below itself is SecureSocket; the other one is TLS inside TLS (tls_layer.py). Both raise what
the ssl module raises: SSLWantReadError and SSLWantWriteError say what to wait for.

How one half ends. TLS has a message for it, close_notify, after which the peer may still send (RFC 8446 6.1). The ssl
module sends it and then calls SSL_shutdown once more, which reads; if it meets application data, OpenSSL throws that
away and the connection is dead. To read everything first does not help: more may arrive in between. So while
close_notify is made, the descriptor's number belongs to a socket that nobody writes to (dup2 is atomic, and the epoll
set keeps the file behind the number): OpenSSL reads nothing there, and what it writes there is sent by us. Where
nobody will read any more, none of this is needed. In the same way OpenSSL is given what somebody has received of a
handshake before he knew that it was one.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.system.types import Buffer, SockAddr

__all__ = ["RECORD_SIZE", "SecureSocket", "TLSSocket", "discard_input", "name_in", "read_records"]

# The plaintext of a TLS record at most (RFC 8446 5.1). A read of so much leaves nothing inside OpenSSL.
RECORD_SIZE: Final = 16 * 1024
# What a close_notify takes, and a rest of a record before it; most handshakes' replies, too.
_FAREWELL: Final = 64 * 1024
# What is thrown away at once: see discard_input.
_DISCARD: Final = 256 * 1024


class SecureSocket(Protocol):
    """What a TLSTransport needs below itself; ``tls`` is the ssl module's object, for questions."""

    tls: Any
    context: ssl.SSLContext
    met: OSError | None
    holds_back: bool  # whether a read of a record's size may leave plaintext that no readiness announces

    @property
    def read(self) -> Callable[..., Any]:
        """Read a record at most: read(size) or read(size, buffer)."""
        ...

    @property
    def send(self) -> Callable[[Buffer], int]:
        """Write; after SSLWantWriteError write the same again, or more."""
        ...

    @property
    def socket(self) -> socket.socket:
        """The socket at the bottom."""
        ...

    @property
    def object(self) -> ssl.SSLSocket | ssl.SSLObject:
        """The ssl module's object that users know."""
        ...

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for, as far as the context is aionet's."""
        ...

    @property
    def received(self) -> bytes:
        """What has been received of the handshake, and OpenSSL has not read yet."""
        ...

    @property
    def family(self) -> int:
        """The socket's address family."""
        ...

    def do_handshake(self) -> None:
        """Go on with the handshake."""

    def recv(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes of plaintext, those first that close_notify had to take out of OpenSSL."""
        ...

    def recv_into(self, buffer: Buffer, /) -> int:
        """Read plaintext into a buffer, those bytes first that close_notify had to take out of OpenSSL.

        It takes record after record, as long as they are full. ``met`` is then what came behind them, if not more.
        """
        ...

    def pending(self) -> bool:
        """Whether there may be plaintext that no readiness will announce."""
        ...

    def close_notify(self) -> None:
        """Say that our half ends; reading goes on. SSLWantWriteError: call it again when the socket is writable."""

    def goodbye(self) -> None:
        """Say that our half ends, and read nothing more. SSLWantWriteError as in close_notify."""

    def shutdown(self, how: int, /) -> None:
        """Shut the socket down, not TLS."""

    def recv_raw(self, size: int, /) -> bytes:
        """Receive ciphertext, to throw it away."""
        ...


class TLSSocket:
    """TLS on a connected, non-blocking socket, which it owns from then on."""

    holds_back = False

    __slots__ = ("_farewell", "_held", "_reply", "_sock", "context", "family", "fileno", "met", "received", "tls")

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None,
        session: ssl.SSLSession | None,
        received: bytes = b"",
    ) -> None:
        self.family = sock.family
        self._sock = context.wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=server_hostname,
            session=session,
        )
        # The object below SSLSocket: two frames of Python less for each message.
        self.tls: Any = getattr(self._sock, "_sslobj")  # noqa: B009 - the type checkers do not know of it
        if self.tls is None:  # what had arrived is plain, and must not be read as if it had come through TLS
            self._sock.close()
            raise ConnectionResetError(errno.ECONNRESET, "the connection was gone before the handshake")
        self.context = context
        self.fileno = self._sock.fileno
        self._held = b""
        self.met: OSError | None = None
        self._farewell: bytes | None = None
        self.received = received  # of the handshake, before there was this
        self._reply = b""  # to it, not yet sent

    @property
    def read(self) -> Callable[..., Any]:
        """As SecureSocket.read."""
        return self.tls.read  # type: ignore[no-any-return]

    @property
    def send(self) -> Callable[[Buffer], int]:
        """As SecureSocket.send."""
        return self.tls.write  # type: ignore[no-any-return]

    @property
    def socket(self) -> ssl.SSLSocket:
        """The ssl module's socket."""
        return self._sock

    @property
    def object(self) -> ssl.SSLSocket:
        """The same, which is also what users know."""
        return self._sock

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for, as far as the context is aionet's."""
        return name_in(self._sock)

    # --- what a transport asks of a socket ----------------------------------------------------------------------------

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """As socket.setsockopt."""
        self._sock.setsockopt(level, option, value)

    def getsockname(self) -> SockAddr:
        """As socket.getsockname."""
        return self._sock.getsockname()

    def getpeername(self) -> SockAddr:
        """As socket.getpeername."""
        return self._sock.getpeername()

    def close(self) -> None:
        """Close the descriptor, at once."""
        self._sock.close()

    def shutdown(self, how: int, /) -> None:
        """As SecureSocket.shutdown."""
        socket.socket.shutdown(self._sock, how)

    def recv_raw(self, size: int, /) -> bytes:
        """As SecureSocket.recv_raw."""
        return socket.socket.recv(self._sock, size)

    # --- TLS ----------------------------------------------------------------------------------------------------------

    def do_handshake(self) -> None:
        """As SecureSocket.do_handshake."""
        if self.received:
            received, self.received = self.received, b""
            self._reply, error = self._apart(self.tls.do_handshake, received)
            if error is not None and not isinstance(error, ssl.SSLWantReadError):
                with suppress(OSError):  # the alert that says why
                    self._send_reply()
                raise error
        self._send_reply()
        self.tls.do_handshake()

    def _send_reply(self) -> None:
        while self._reply:
            self._reply = self._reply[self._send_raw(self._reply) :]

    def _send_raw(self, ciphertext: bytes) -> int:
        try:
            return socket.socket.send(self._sock, ciphertext)
        except BlockingIOError as exc:
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the kernel is full") from exc

    def recv(self, size: int, /) -> bytes:
        """As SecureSocket.recv."""
        if not self._held:
            return self.read(size)  # type: ignore[no-any-return]
        data, self._held = self._held[:size], self._held[size:]
        return data

    def recv_into(self, buffer: Buffer, /) -> int:
        """As SecureSocket.recv_into."""
        view = memoryview(buffer).cast("B")
        if self._held:
            data = self.recv(len(view))
            view[: len(data)] = data
            return len(data)
        if self.met is not None:
            met, self.met = self.met, None
            raise met
        size, self.met = read_records(self.read, view)
        return size

    def pending(self) -> bool:
        """As SecureSocket.pending."""
        return bool(self._held) or self.met is not None or self.tls.pending() > 0

    def close_notify(self) -> None:
        """As SecureSocket.close_notify."""
        if self._farewell is None:
            while waiting := self.tls.pending():
                self._held += self.read(waiting)
            # It wants to read the peer's end, which comes when it comes.
            self._farewell, _ = self._apart(self.tls.shutdown)
        while self._farewell:
            self._farewell = self._farewell[self._send_raw(self._farewell) :]

    def _apart(self, step: Callable[[], Any], received: bytes = b"") -> tuple[bytes, ssl.SSLError | None]:
        """Have OpenSSL do something while it reads ``received`` and no more; return what it wrote, and its error."""
        fd = self._sock.fileno()
        error = None
        ours = os.dup(fd)
        try:
            theirs, mine = socket.socketpair()
            with theirs, mine:
                theirs.setblocking(False)
                mine.setblocking(False)
                mine.sendall(received)
                os.dup2(theirs.fileno(), fd, inheritable=False)
                try:
                    step()
                except ssl.SSLError as exc:
                    error = exc
                finally:
                    os.dup2(ours, fd, inheritable=False)
                written = b""
                with suppress(BlockingIOError):
                    while piece := mine.recv(_FAREWELL):
                        written += piece
                return written, error
        finally:
            os.close(ours)

    def goodbye(self) -> None:
        """As SecureSocket.goodbye."""
        if self._farewell is not None:
            self.close_notify()
            return
        try:
            self.tls.shutdown()
        except ssl.SSLWantWriteError:
            raise
        except ssl.SSLError:  # it is sent, and what the peer says to it does not matter
            return


def read_records(read: Callable[..., Any], view: memoryview) -> tuple[int, OSError | None]:
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


def name_in(tls: ssl.SSLSocket | ssl.SSLObject) -> str | None:
    """Return the name that the client asks for."""
    name = tls.server_hostname
    if name is None:
        return getattr(tls, "requested_name", None)
    # An address is no name, and is not sent as one (RFC 6066 section 3).
    return None if ":" in name or name.replace(".", "").isdigit() else name


def discard_input(sock: SecureSocket) -> None:
    """Throw away what has arrived: a socket that is closed with unread input answers with a reset.

    The reset would overtake the alert that says why a handshake has failed.
    """
    with suppress(OSError):
        for _ in range(_DISCARD // RECORD_SIZE):
            if not sock.recv_raw(RECORD_SIZE):
                return
