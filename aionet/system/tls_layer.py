"""TLS inside the bytes of another TLS connection, with OpenSSL between two buffers in memory (wire/tls.py)."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aionet.system.secure_socket import RECORD_SIZE, SecureSocket
from aionet.system.tls_socket import TLSSocket
from aionet.wire.tls import TLSEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.system.types import Buffer

__all__ = ["TLSLayer", "wrap_tls"]


class TLSLayer(SecureSocket):
    """TLS inside the bytes of another TLS connection."""

    holds_back = True

    __slots__ = ("_engine", "_lower", "_out", "_taken")

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
        tls: Any = self._engine.object._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - as in TLSSocket
        super().__init__(context, tls, received)
        self._lower = lower
        self._out = b""  # ciphertext that the lower connection has not yet taken
        self._taken: int | None = None  # plaintext of a write whose ciphertext is in _out

    @property
    def socket(self) -> socket.socket:
        """The socket at the bottom."""
        return self._lower.socket

    @property
    def object(self) -> ssl.SSLObject:
        """The ssl module's object that users know."""
        return self._engine.object

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

    @property
    def read(self) -> Callable[..., Any]:
        """As SecureSocket.read."""
        return self._read

    def _read(self, size: int, buffer: Buffer | None = None) -> Any:  # noqa: ANN401 - bytes, or with a buffer a count
        while True:
            try:
                return self._engine.read(size, buffer)
            except ssl.SSLWantReadError:
                self._answer()
                self._receive()

    def _answer(self) -> None:
        """Send what OpenSSL says to a handshake in the middle; behind a blocked write, it waits for that one's turn."""
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

    @property
    def send(self) -> Callable[[Buffer], int]:
        """As SecureSocket.send."""
        return self._write

    def _write(self, plaintext: Buffer) -> int:
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
            self._held += self._read(waiting)
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
        OSError: the connection is gone. ssl.SSLError where plain bytes were left behind.
        ValueError: the server's name cannot be one.

    After either the socket is closed.

    """
    make = partial(TLSSocket, sock) if isinstance(sock, socket.socket) else partial(TLSLayer, sock)
    try:
        return make(
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
