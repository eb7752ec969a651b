"""TLS on a descriptor: ssl.SSLSocket, where OpenSSL reads and writes the descriptor itself.

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
from typing import TYPE_CHECKING, Any, Final

from aionet.system.secure_socket import SecureSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.system.types import Buffer

__all__ = ["TLSSocket"]

# What a close_notify takes, and a rest of a record before it; most handshakes' replies, too.
_FAREWELL: Final = 64 * 1024


class TLSSocket(SecureSocket):
    """TLS on a connected, non-blocking socket, which it owns from then on."""

    holds_back = False

    __slots__ = ("_farewell", "_reply", "_sock")

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
        self._sock = context.wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=server_hostname,
            session=session,
        )
        # The object below SSLSocket: two frames of Python less for each message.
        tls: Any = getattr(self._sock, "_sslobj")  # noqa: B009 - the type checkers do not know of it
        if tls is None:  # what had arrived is plain, and must not be read as if it had come through TLS
            self._sock.close()
            raise ConnectionResetError(errno.ECONNRESET, "the connection was gone before the handshake")
        super().__init__(context, tls, received)
        self._farewell: bytes | None = None
        self._reply = b""  # to what had been received of the handshake, not yet sent

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

    def shutdown(self, how: int, /) -> None:
        """As SecureSocket.shutdown."""
        socket.socket.shutdown(self._sock, how)

    def recv_raw(self, size: int, /) -> bytes:
        """As SecureSocket.recv_raw."""
        return socket.socket.recv(self._sock, size)

    # --- TLS ----------------------------------------------------------------------------------------------------------

    def do_handshake(self) -> None:
        """As SecureSocket.do_handshake."""
        while self.received:
            received, self.received = self.received[:_FAREWELL], self.received[_FAREWELL:]
            reply, error = self._apart(self.tls.do_handshake, received)
            self._reply += reply
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
