"""The reading half of a stream transport.

One read for each readiness event: the event is level-triggered, so what is left brings another one, and no connection
holds the loop for longer than one read. A connection starts with small reads, where ``recv`` allocating its own bytes
is the cheapest way; a read that was filled moves it to the thread's shared buffer, and back when little comes again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from aionet.system.buffers import BULK_SIZE, shared_buffer
from aionet.transport.base import SocketTransport
from aionet.wire.lifecycle import CLOSING_STATES, Event, State, advance

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from aionet.system.types import SockAddr
    from aionet.system.wakeup import Wakeup

__all__ = ["ReadingTransport"]

# recv(16 KiB) allocates from the heap (glibc maps from 128 KiB on) and gives the rest back in place. For 1 kB that is
# 0.4 us less than reading into a shared buffer and copying it out.
_SMALL_READ: Final = 16 * 1024

_RECEIVING: Final = frozenset({State.OPEN, State.ENDING, State.SENT_END})


def _discard(_data: bytes) -> None:
    """Receive what nobody will read: the connection is closing."""


class ReadingTransport(SocketTransport):
    """Reads what arrives and hands it to the protocol, in one of four ways.

    ``_read`` is None for small reads into bytes, the usual way, whose frame the other three would lengthen: bulk reads,
    reads into a BufferedProtocol's buffer, and one read into a buffer of the receiver's.
    """

    __slots__ = ("_deliver", "_read", "_reading", "_recv")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        peer: SockAddr | None,
    ) -> None:
        super().__init__(loop, sock, protocol, peer)
        # Bound once: looking it up on the socket for every message costs more than the object.
        self._recv = sock.recv
        self._reading = False  # registered for readability
        self._deliver: Callable[[bytes], object] = _discard
        self._read: Callable[[], None] | None = None
        self.set_protocol(protocol)

    def start(self) -> None:
        """Tell the protocol that it is connected, and begin to read."""
        self._call_protocol(self._protocol.connection_made, self)
        self.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the callbacks to another protocol."""
        self._protocol = protocol
        if self._state in CLOSING_STATES:
            return
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._read = self._read_into_protocol
        else:
            self._read = None
            self._deliver = cast("asyncio.Protocol", protocol).data_received

    def is_reading(self) -> bool:
        """Whether the protocol is being told of what arrives."""
        return self._reading and self._state in _RECEIVING

    def pause_reading(self) -> None:
        """Call no data_received until resume_reading."""
        if self._state in _RECEIVING:
            self._stop_reading()

    def resume_reading(self) -> None:
        """Take up reading again."""
        if self._state in _RECEIVING:
            self._start_reading()

    def _start_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _on_readable(self) -> None:
        self._wrote = False  # the loop has come round
        if self._read is not None:
            self._read()
            return
        try:
            data = self._recv(_SMALL_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lost(self._error or exc)
            return
        if not data:
            self._on_end()
            return
        size = len(data)
        self._bytes_read += size
        if size == _SMALL_READ:
            self._read = self._read_bulk
        try:
            self._deliver(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - as _call_protocol, whose frame the hot path cannot afford
            self._protocol_failed(exc, self._deliver)

    def _recv_into(self, buffer: bytearray | memoryview) -> int:
        """Read into a buffer; return 0 where there is nothing to tell the protocol of: nothing came, or it is over."""
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as exc:
            self._lost(self._error or exc)
            return 0
        if not size:
            self._on_end()
        self._bytes_read += size
        return size

    def _read_bulk(self) -> None:
        buffer = shared_buffer()
        size = self._recv_into(buffer)
        if size:
            if size < _SMALL_READ // 2:
                self._read = None
            self._call_protocol(self._deliver, buffer[:size].tobytes())

    def _read_into_protocol(self) -> None:
        protocol = cast("asyncio.BufferedProtocol", self._protocol)
        buffer = self._call_protocol(protocol.get_buffer, BULK_SIZE)
        if self._state not in _RECEIVING:  # what it raised has closed the transport
            return
        if not memoryview(buffer).nbytes:
            self._protocol_failed(RuntimeError("get_buffer() returned an empty buffer"), protocol.get_buffer)
            return
        size = self._recv_into(buffer)
        if size:
            self._call_protocol(protocol.buffer_updated, size)

    async def receive_into(self, buffer: memoryview, readable: Wakeup) -> int:
        """Read once straight into ``buffer`` and return how many bytes came; 0 where the end or the loss came first.

        ``readable`` is what the protocol wakes at the end. Cancelled: what arrives goes to the protocol.
        """
        count = 0
        usual = self._read

        def read() -> None:
            nonlocal count
            self._read = usual
            if not readable.waiting:  # cancelled in this very turn: the buffer is its owner's again
                self._on_readable()
                return
            count = self._recv_into(buffer)
            if count:
                readable.wake()
            elif self._reading:  # nothing came after all
                self._read = read

        self._read = read
        try:
            await readable
        finally:
            if self._read is read:
                self._read = usual
        return count

    def _on_end(self) -> None:
        self._stop_reading()
        if self._error is not None:  # a write had failed, and this was the rest of what the peer said
            self._lost(self._error)
        elif self._state is State.LINGERING:
            self._lost(None)
        elif self._state is State.CLOSING:
            self._state = advance(self._state, Event.PEER_END)
        else:
            self._state = advance(self._state, Event.PEER_END)
            protocol = cast("asyncio.Protocol", self._protocol)
            if not self._call_protocol(protocol.eof_received):
                self.close()

    def _discard_rest(self) -> None:
        """Read on for the peer's end alone: the protocol has closed."""
        self._deliver = _discard
        self._read = None
        if self._state in (State.CLOSING, State.LINGERING):
            self._start_reading()

    def _release(self) -> None:
        super()._release()
        self._stop_reading()
        self._deliver = _discard
        self._read = None
