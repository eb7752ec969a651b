"""TLS inside the bytes of another TLS connection, with OpenSSL between two buffers in memory (wire/tls.py)."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aionet.system.tls_socket import RECORD_SIZE, SecureSocket, TLSSocket, name_in, read_records
from aionet.wire.tls import TLSEngine

if TYPE_CHECKING:
    from aionet.system.types import Buffer, SockAddr

__all__ = ["TLSLayer", "wrap_tls"]


class TLSLayer:
    """TLS inside the bytes of another TLS connection."""

    holds_back = True

    __slots__ = ("_engine", "_held", "_lower", "_out", "_taken", "context", "fileno", "met", "received", "tls")

    def __init__(
        self,
        lower: SecureSocket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None,
        session: ssl.SSLSession | None,
        received: bytes = b"",
    ) -> None:
        self._engine = TLSEngine(context, server_side=server_side, server_hostname=server_hostname, session=session)
        self.received = received
        self.tls: Any = self._engine.object._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - as in TLSSocket
        self._lower = lower
        self.context = context
        self.fileno = lower.socket.fileno
        self._held = b""
        self.met: OSError | None = None
        self._out = b""  # ciphertext that the lower connection has not yet taken
        self._taken: int | None = None  # plaintext of a write whose ciphertext is in _out

    @property
    def socket(self) -> socket.socket:
        """The socket at the bottom."""
        return self._lower.socket

    @property
    def family(self) -> int:
        """The socket's address family."""
        return self._lower.family

    @property
    def object(self) -> ssl.SSLObject:
        """The ssl module's object that users know."""
        return self._engine.object

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for, as far as the context is aionet's."""
        return name_in(self.object)

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

    def shutdown(self, how: int, /) -> None:
        """As SecureSocket.shutdown."""
        self._lower.shutdown(how)

    def recv_raw(self, size: int, /) -> bytes:
        """As SecureSocket.recv_raw."""
        return self._lower.recv_raw(size)

    def do_handshake(self) -> None:
        """As SecureSocket.do_handshake."""
        if self.received:
            self._engine.receive(self.received)
            self.received = b""
        while True:
            try:
                self._engine.do_handshake()
            except ssl.SSLWantReadError:
                self._send_out()
                self._receive()
            except OSError:
                with suppress(OSError):  # the alert that says why
                    self._send_out()
                raise
            else:
                self._send_out()
                return

    def read(self, size: int, buffer: Buffer | None = None) -> Any:  # noqa: ANN401 - bytes, or with a buffer a count
        """Read at most ``size`` bytes of plaintext."""
        while True:
            try:
                return self._engine.read(size, buffer)
            except ssl.SSLWantReadError:
                self._answer()
                self._receive()

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

    def _answer(self) -> None:
        """Send what OpenSSL says to a key update; behind a write that is blocked, it waits for that one's turn."""
        blocked = bool(self._out)
        self._out += self._engine.outgoing()
        if not blocked:
            with suppress(OSError):  # the next write meets it again
                self._send_out()

    def _receive(self) -> None:
        try:
            ciphertext = self._lower.read(RECORD_SIZE)
        except ssl.SSLZeroReturnError:
            ciphertext = b""
        except ssl.SSLEOFError as exc:
            if getattr(exc, "reason", None) is None:  # the system's, such as a reset
                raise
            ciphertext = b""  # cut off below, and so in here
        if ciphertext:
            self._engine.receive(ciphertext)
        else:
            self._engine.receive_eof()

    def send(self, plaintext: Buffer) -> int:
        """Write as OpenSSL does: after SSLWantWriteError call it again with the same data, or more."""
        if self._taken is None:
            self._send_out()
            self._taken = self._engine.write(plaintext)
        self._send_out()
        taken, self._taken = self._taken, None
        return taken

    def _send_out(self) -> None:
        self._out += self._engine.outgoing()
        while self._out:
            sent = self._lower.send(self._out)
            self._out = self._out[sent:]

    def pending(self) -> bool:
        """As SecureSocket.pending."""
        return bool(self._held) or self.met is not None or self._engine.pending() or self._lower.pending()

    def close_notify(self) -> None:
        """As SecureSocket.close_notify."""
        while waiting := self.tls.pending():
            self._held += self.read(waiting)
        self._engine.close_notify()
        self._send_out()

    def goodbye(self) -> None:
        """As SecureSocket.goodbye."""
        self.close_notify()
        self._lower.goodbye()


def wrap_tls(
    sock: socket.socket | SecureSocket,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    server_hostname: str | None,
    session: ssl.SSLSession | None = None,
    received: bytes = b"",
) -> SecureSocket:
    """Begin TLS on a connected socket, or inside a TLS connection; what it is given belongs to it from then on.

    ``received`` is what has been received of the handshake already.

    Raises:
        OSError: the connection is gone; then the socket is closed. ssl.SSLError where plain bytes were left behind.
        ValueError: the server's name cannot be one.

    """
    if isinstance(sock, socket.socket):
        try:
            return TLSSocket(
                sock,
                context,
                server_side=server_side,
                server_hostname=server_hostname,
                session=session,
                received=received,
            )
        except BaseException as exc:
            sock.close()
            _close_left_behind(exc)
            raise
    return TLSLayer(
        sock,
        context,
        server_side=server_side,
        server_hostname=server_hostname,
        session=session,
        received=received,
    )


def _close_left_behind(exc: BaseException) -> None:
    """Close the SSLSocket that the ssl module was making: it has taken the descriptor, and only the traceback knows it.

    Where a reset comes just before the handshake, the module raises without closing what it has (seen on 3.11 to 3.13).
    """
    traceback = exc.__traceback__
    while traceback is not None:
        made = traceback.tb_frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()
        traceback = traceback.tb_next
