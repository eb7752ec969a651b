"""TLS without a descriptor: ciphertext in, ciphertext out, nothing else.

OpenSSL works on two buffers in memory here (ssl.MemoryBIO) instead of on a socket. That is for where there is no
descriptor whose bytes are TLS: TLS inside TLS, and networks that are simulated.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

__all__ = ["TLSEngine"]


class TLSEngine:
    """One end of a TLS connection; its errors are the ssl module's, SSLWantReadError for "more ciphertext, please".

    Give it what arrives with ``receive`` and ``receive_eof``; after each other call, send what ``outgoing`` returns.
    """

    __slots__ = ("_ended", "_incoming", "_outgoing", "object")

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None, session: ssl.SSLSession | None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ended = False
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname, session=session
        )

    def receive(self, ciphertext: bytes) -> None:
        """Take what has arrived."""
        self._incoming.write(ciphertext)

    def receive_eof(self) -> None:
        """No more ciphertext will come."""
        self._ended = True

    def outgoing(self) -> bytes:
        """Take what has to be sent."""
        return self._outgoing.read()

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            if not self._close_incoming():
                raise
            self.object.do_handshake()

    def read(self, size: int, buffer: Any = None) -> bytes | int:  # noqa: ANN401 - a writable buffer
        """Return at most ``size`` bytes of plaintext, or put them into ``buffer`` and return how many.

        Raises SSLZeroReturnError or returns nothing after the peer's close_notify, SSLEOFError at an end without it.
        """
        try:
            return self._read(size, buffer)
        except ssl.SSLWantReadError:
            if not self._close_incoming():
                raise
            return self._read(size, buffer)

    def _read(self, size: int, buffer: Any) -> bytes | int:  # noqa: ANN401 - as above
        if buffer is None:
            return self.object.read(size)
        return self.object.read(size, buffer)

    def _close_incoming(self) -> bool:
        # Only once all is read: OpenSSL would take the end for one in the middle of what still waits.
        if self._ended and not self._incoming.eof:
            self._incoming.write_eof()
            return True
        return False

    def write(self, plaintext: bytes | bytearray | memoryview) -> int:
        """Encrypt; return how much was taken."""
        return self.object.write(plaintext)

    def pending(self) -> bool:
        """Whether something waits in here that could be read without more ciphertext."""
        return self.object.pending() > 0 or self._incoming.pending > 0 or (self._ended and not self._incoming.eof)

    def close_notify(self) -> None:
        """Say that we end. What the peer sends can still be read, but for plaintext that is decrypted already.

        The ssl module calls SSL_shutdown twice, and the second call reads: application data that it finds is lost and
        ends the connection. So it finds nothing.
        """
        waiting = self._incoming.read()
        with suppress(ssl.SSLError):  # it wants to read the peer's end, which comes when it comes
            self.object.unwrap()
        if waiting:
            self._incoming.write(waiting)
