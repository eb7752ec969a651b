"""The reading half of a stream transport.

One read for each readiness event: the event is level-triggered, so what is left brings another one, and no connection
holds the loop for longer than one read. A connection starts with small reads; one that was filled moves it to large
reads, and back when little comes again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from aionet.system.buffers import BULK_SIZE, SMALL_SIZE, keep_memory_of_bulk_reads
from aionet.transport.base import SocketTransport
from aionet.wire.lifecycle import CLOSING_STATES, Event, State, advance

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextvars import Context

    from aionet.system.types import Buffer, SockAddr
    from aionet.system.wakeup import Wakeup

__all__ = ["ReadingTransport"]

_RECEIVING: Final = frozenset({State.OPEN, State.ENDING, State.SENT_END})


def _discard(_data: bytes) -> None:
    """Receive what nobody will read: the connection is closing."""


def _not_empty(buffer: Buffer) -> Buffer:
    """Refuse an empty buffer: the kernel would fill it with nothing, which is what the end of stream looks like."""
    if not memoryview(buffer).nbytes:
        message = "get_buffer() returned an empty buffer"
        raise RuntimeError(message)
    return buffer


class ReadingTransport(SocketTransport):
    """Reads what arrives and hands it to the protocol, in one of four ways.

    ``_read`` is None for small reads into bytes, the usual way; the other three are functions: bulk reads, reads into a
    BufferedProtocol's buffer, and one read into a buffer of the receiver's.

    A task that waits for anything at all sets ``receiver`` to the Wakeup that it awaits, and finds what came in
    ``chunk``, which it takes by setting it to None; what is not taken goes to the protocol.
    """

    __slots__ = ("_deliver", "_read", "_recv", "chunk", "receiver")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        peer: SockAddr | None,
        context: Context | None,
    ) -> None:
        super().__init__(loop, sock, protocol, peer, context)
        # Bound once: looking it up on the socket for every message costs more than the object.
        self._recv = sock.recv
        self.receiver: Wakeup | None = None
        self.chunk: bytes | None = None
        self._deliver: Callable[[bytes], object] = _discard
        self._read: Callable[[], bytes | None] | None = None
        self.set_protocol(protocol)

    def start(self) -> None:
        """Tell the protocol that it is connected, and begin to read."""
        self._start_reading()  # before, so that connection_made may pause it
        self._call_protocol(self._protocol.connection_made, self)

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
            self._watch()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._watch()

    def _on_readable(self, events: int) -> None:
        self._wrote = False  # the loop has come round
        try:
            data = self._recv(SMALL_SIZE) if self._read is None else self._read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._read_failed(exc)
            return
        if not data:
            if data is not None:
                self._on_end()
            return
        size = len(data)
        self._bytes_read += size
        if size == SMALL_SIZE:
            keep_memory_of_bulk_reads()
            self._read = self._read_bulk
        # Wakeup.wake and _call_protocol, without the frames that a message would pay for.
        receiver = self.receiver
        if receiver is not None and receiver.callback is not None:
            step, receiver.callback = receiver.callback, None
            self.chunk = data
            receiver.context.run(step, receiver)  # type: ignore[union-attr]  # set with the callback
            if self.chunk is None:  # pyright: ignore[reportUnnecessaryComparison] - taken
                return
            self.chunk = None
        try:
            self._deliver(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - a protocol's mistake ends its connection, not the loop
            self._protocol_failed(exc, self._deliver)

    def _read_failed(self, exc: OSError) -> None:
        self._lost(self._error or exc)

    # The other ways to read return what is to be handed on, b"" at the end of stream, None where there is nothing.

    def _read_bulk(self) -> bytes:
        data = self._recv(BULK_SIZE)
        if len(data) < SMALL_SIZE // 2:
            self._read = None
        return data

    def _read_into_protocol(self) -> bytes | None:
        protocol = cast("asyncio.BufferedProtocol", self._protocol)
        buffer = self._call_protocol(protocol.get_buffer, BULK_SIZE)
        if self._state not in _RECEIVING:  # what it raised has closed the transport
            return None
        try:
            size = self._sock.recv_into(_not_empty(buffer))
        except (BufferError, RuntimeError, TypeError, ValueError) as exc:
            self._protocol_failed(exc, protocol.get_buffer)
            return None
        if not size:
            return b""
        self._bytes_read += size
        self._call_protocol(protocol.buffer_updated, size)
        return None

    async def receive_into(self, buffer: memoryview, readable: Wakeup) -> int:
        """Read once straight into ``buffer`` and return how many bytes came; 0 where the end or the loss came first.

        ``readable`` is what the protocol wakes at the end. Cancelled: what arrives goes to the protocol.
        """
        count = 0
        usual = self._read

        def read() -> bytes | None:
            nonlocal count
            if not readable.waiting:  # cancelled in this very turn: the buffer is its owner's again
                self._read = usual
                return self._recv(SMALL_SIZE) if usual is None else usual()
            count = self._sock.recv_into(buffer)
            if not count:
                return b""
            self._read = usual
            self._bytes_read += count
            readable.wake()
            return None

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
        self._deliver = _discard
        self._read = None
