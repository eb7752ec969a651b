"""TLSTransport: a StreamTransport whose bytes go through TLS.

What differs from a plain one, and why:

* OpenSSL says what it waits for. Mostly a read wants to read and a write wants to write. A key update, or a
  renegotiation in TLS 1.2, can make either want the other; then both halves are tried again at the next event.
* What OpenSSL has decrypted is announced by nobody. A read of a record's size leaves nothing behind; after one into a
  smaller buffer the loop is asked to come back.
* A write is whole or is to be made again with the same data, so the queue gives the same data until it advances.
* A half ends with close_notify; the socket's own end comes with the close. From then on nobody reads, so what arrives
  is thrown away, until the peer has ended too.
* The socket's end without a close_notify before it is TruncatedStreamError: whoever can cut a wire could end messages.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final, cast

from aionet.errors import TLSError, TruncatedStreamError
from aionet.system.buffers import BULK_SIZE
from aionet.system.exhaustion import EXHAUSTED, REST
from aionet.system.poller import READABLE, WRITABLE
from aionet.system.secure_socket import RECORD_SIZE
from aionet.transport.handshake import tls_reason
from aionet.transport.handshaking import HandshakingTransport
from aionet.wire.flow import FileRegion
from aionet.wire.lifecycle import CLOSING_STATES, Event, State, advance

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from contextvars import Context

    from aionet.options import Limits
    from aionet.system.secure_socket import SecureSocket
    from aionet.system.types import SockAddr
    from aionet.system.wakeup import Wakeup

__all__ = ["TLSTransport"]

_DISCARD: Final = 64 * 1024
# One write's worth: OpenSSL makes four records of it, and says nothing of how far it has come.
_PIECE: Final = 64 * 1024
# What one turn writes: a peer that keeps up must not hold the loop.
_TURN: Final = 1024 * 1024

_OPEN: Final = State.OPEN
_PEER_ENDED: Final = State.PEER_ENDED
_END_IS_NEXT: Final = frozenset({State.ENDING, State.LAST_ENDING, State.CLOSING, State.LAST_CLOSING})
_WANTS: Final = (ssl.SSLWantWriteError, ssl.SSLWantReadError)


class TLSTransport(HandshakingTransport):
    """asyncio's Transport over a TLS connection, on any event loop.

    It begins with ``handshake``, which tells when it is done; then call ``start``, as on a StreamTransport. ``keep`` is
    handed the session of a client at its end, for the next connection to resume.
    """

    __slots__ = ("_crossed", "_pending_scheduled", "_piece")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: SecureSocket,
        protocol: asyncio.BaseProtocol,
        *,
        server_side: bool,
        peer: SockAddr | None = None,
        context: Context | None = None,
        limits: Limits | None = None,
        close_timeout: float | None = 5.0,
        keep: Callable[[ssl.SSLSession], None] | None = None,
    ) -> None:
        self._piece = b""  # of a file, encrypted and not yet taken
        self._crossed = False  # OpenSSL wants to write for a read, or to read for a write
        self._pending_scheduled = False
        super().__init__(
            loop,
            sock,
            protocol,
            server_side=server_side,
            peer=peer,
            context=context,
            limits=limits,
            close_timeout=close_timeout,
            keep=keep,
        )
        if sock.holds_back:
            self._recv = self._recv_held

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read_failed(self, exc: OSError) -> None:
        exc, self._secure.met = self._secure.met or exc, None
        if isinstance(exc, ssl.SSLWantReadError):
            return
        if isinstance(exc, ssl.SSLWantWriteError):
            self._cross()
        elif isinstance(exc, ssl.SSLZeroReturnError):
            self._on_end()
        else:
            super()._read_failed(_error_of(exc))

    def _recv_held(self, size: int, _flags: int = 0, /) -> bytes:
        """Be ``_recv`` where what it leaves behind has to be asked for."""
        data = self._secure.recv(size)
        if self._secure.pending():
            self._read_on_soon()
        return data

    def _read_bulk(self) -> bytes:
        buffer = _bulk_buffer()
        size = self._secure.recv_into(buffer)
        if self._secure.pending():
            self._read_on_soon()
        elif size < RECORD_SIZE // 2:
            self._read = None
        return buffer[:size].tobytes()

    def _read_into_protocol(self) -> bytes | None:
        data = super()._read_into_protocol()
        self._check_pending()
        return data

    async def receive_into(self, buffer: memoryview, readable: Wakeup) -> int:
        """As StreamTransport's."""
        try:
            return await super().receive_into(buffer, readable)
        finally:
            self._check_pending()

    def _start_reading(self) -> None:
        super()._start_reading()
        self._check_pending()

    def _check_pending(self) -> None:
        if self._handshake is not None or self._state in CLOSING_STATES:
            return
        if self._secure.pending():
            self._read_on_soon()

    def _read_on_soon(self) -> None:
        if not self._pending_scheduled:
            self._pending_scheduled = True
            self._loop.call_soon(self._read_on, context=self._context)

    def _read_on(self) -> None:
        self._pending_scheduled = False
        if self._reading:
            self._on_readable(READABLE)

    def _discard_rest(self) -> None:
        super()._discard_rest()
        self._read = self._throw_away

    def _throw_away(self) -> bytes | None:
        try:
            return None if self._secure.read(RECORD_SIZE) else b""
        except ssl.SSLZeroReturnError:
            return b""
        except _WANTS:
            raise
        except ssl.SSLError:  # our close_notify met data, and OpenSSL reads no more; or it is the socket's end
            return None if self._secure.recv_raw(_DISCARD) else b""

    # --- wants that cross ---------------------------------------------------------------------------------------------

    def _cross(self) -> None:
        self._crossed = True
        self._watch()

    def _watch(self) -> None:
        if self._crossed:
            self._poller.watch(self._fd, READABLE | WRITABLE, self._on_crossed)
        else:
            super()._watch()

    def _on_crossed(self, events: int) -> None:
        self._crossed = False
        self._watch()
        if self._reading:
            self._on_readable(events)
        if self._writing:
            self._on_writable(events)

    # --- writing ------------------------------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview) -> bool:
        """As StreamTransport.send."""
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("send")
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        if self._wrote or self._queue.size:
            return self._send_after_another(data)
        self._wrote = True
        size = len(data)
        if not size:
            return False  # OpenSSL would make a record of it
        sent = 0
        try:
            if size <= _PIECE:
                sent = self._send(data)
            else:
                view = memoryview(data)
                while sent < size and sent < _TURN:
                    sent += self._send(view[sent : sent + _PIECE])
        except _WANTS as exc:
            self._write_blocked(exc)
        except OSError as exc:
            error = _error_of(exc, writing=True)
            self._write_failed(error)
            raise error from exc
        self._bytes_written += sent
        return sent != size and self._queue_rest(data, sent)

    def _write_blocked(self, exc: OSError) -> None:
        if isinstance(exc, ssl.SSLWantReadError):
            self._writing = True
            self._cross()

    def _send_queue(self) -> bool:
        queue = self._queue
        written = 0
        try:
            while queue.size and written < _TURN:
                piece = queue.record(RECORD_SIZE, _PIECE)
                if isinstance(piece, FileRegion):
                    self._send_file(piece)
                    return True  # one chunk a turn
                sent = self._send(piece)
                written += sent
                self._bytes_written += sent
                queue.advance(sent)
        except _WANTS as exc:
            self._write_blocked(exc)
        except OSError as exc:
            self._write_failed(_error_of(exc, writing=True))
            return False
        return True

    def _send_file(self, region: FileRegion) -> None:
        written = 0
        while written < _TURN:
            data = self._piece or _read_file(region)
            if not data:
                self._queue.end_region()
                return
            self._piece = data  # to be given again, unless it is taken: the file may change meanwhile
            sent = self._send(data)
            self._piece = b""
            written += sent
            self._bytes_written += sent
            whole = sent == len(region)
            self._queue.advance(sent)
            if whole:
                return

    # --- our end ------------------------------------------------------------------------------------------------------

    def _send_end(self) -> None:
        if self._state not in _END_IS_NEXT or self._handshake is not None:
            return
        closing = self._state in CLOSING_STATES
        try:
            if closing:
                self._secure.goodbye()
            else:
                self._secure.close_notify()
                self._recv = self._recv_held  # it may have taken something out of OpenSSL
                self._check_pending()
        except _WANTS:
            self._watch_writable()
            return
        except OSError as exc:
            if exc.errno in EXHAUSTED:  # close_notify takes descriptors: see tls_socket.py
                self._loop.call_later(REST, self._send_end, context=self._context)
            else:
                self._lost(self._error or _error_of(exc, writing=True))
            return
        self._unwatch_writable()
        following = advance(self._state, Event.FLUSHED)
        if following is State.CLOSED:
            self._lost(None)  # the peer has ended, so nothing is left unread
            return
        if closing:
            try:
                self._secure.shutdown(socket.SHUT_WR)
            except OSError as exc:
                self._lost(self._error or exc)
                return
        self._state = following

    def close(self) -> None:
        """As StreamTransport.close, with a close_notify before our end. While hands are shaken: abort."""
        half_closed = self._state is State.SENT_END
        super().close()
        if half_closed and self._state is State.LINGERING:
            # close_notify is long sent, and the peer may wait for the end of the socket itself.
            try:
                self._secure.shutdown(socket.SHUT_WR)
            except OSError as exc:
                self._lost(exc)


_local = threading.local()


def _bulk_buffer() -> memoryview:
    """Return this thread's buffer, in which records come together; its content is good until the next read."""
    try:
        return cast("memoryview", _local.view)
    except AttributeError:
        view = _local.view = memoryview(bytearray(BULK_SIZE))
        return view


def _read_file(region: FileRegion) -> bytes:
    offset, count = region.offset + region.sent, min(len(region), _PIECE)
    try:
        if isinstance(region.file, int):
            return os.pread(region.file, count, offset)
        region.file.seek(offset)
        return region.file.read(count)
    except Exception as exc:  # noqa: BLE001 - whatever the object raises is for whoever handed it over
        region.error = exc
        return b""


def _error_of(exc: OSError, *, writing: bool = False) -> OSError:
    """Return what the ssl module's error means for the connection.

    Of what the system said, the module keeps nothing (since Python 3.10): it is an SSLEOFError without a reason, or an
    SSLZeroReturnError from a write. Reading, that is nearly always a reset, and writing to a dead peer a broken pipe.
    """
    if not isinstance(exc, ssl.SSLError):
        return exc
    error: OSError
    if isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        if writing:
            error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        elif getattr(exc, "reason", None) is None:
            error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        else:
            error = TruncatedStreamError(errno.EPROTO, "the connection ended without close_notify")
    else:
        error = TLSError(errno.EPROTO, tls_reason(exc))
    error.__cause__ = exc
    return error
