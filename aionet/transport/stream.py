"""StreamTransport: a connected stream socket, driven by the loop's readiness callbacks.

How it reads. One read for each readiness event: the event is level-triggered, so what is left brings another one, and
no connection holds the loop for longer than one read. A connection starts with small reads, where ``recv`` allocating
its own bytes is the cheapest way; a read that was filled moves it to the thread's shared buffer, and back when little
comes again.

How it writes. Nothing queued: ``send`` at once, in the caller's own frame, so that an error is raised there and a reply
leaves before anything else runs. A second write before the loop has come round, or anything the kernel did not take, is
queued; small writes of one turn leave together in one ``sendmsg``.

How it closes. The peer must be able to read all that was sent. The kernel answers bytes that arrive at a closed socket
with a reset, and a reset destroys what the peer has not yet read or the kernel not yet sent. So ``close`` flushes, sends
our end (shutdown), and reads on, throwing away what comes, until the peer has ended too; at most ``close_timeout``. When
a write fails, what the peer said before it went is still read first.

Who owns what: the transport alone owns the descriptor, and closes it in ``_lost`` and nowhere else. The states are those
of wire/lifecycle.py. The write queue is wire/flow.py's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import warnings
from asyncio.trsock import TransportSocket
from typing import TYPE_CHECKING, Any, Final, cast

from aionet.errors import ClosedStreamError
from aionet.options import Limits
from aionet.system.buffers import BULK_SIZE, shared_buffer
from aionet.wire.flow import FileRegion, WriteQueue
from aionet.wire.lifecycle import CLOSING_STATES, Event, State, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aionet.system.types import Buffer, SockAddr
    from aionet.system.wakeup import Wakeup

__all__ = ["StreamTransport"]

# Small reads: recv(16 KiB) allocates from the heap (glibc maps from 128 KiB on) and gives the rest back in place.
# Measured against reading 1 kB into a shared buffer and copying it out: 0.4 us less for each message.
_SMALL_READ: Final = 16 * 1024
# Writes of up to this size wait for others of the same turn; a larger one is worth a system call of its own.
_SMALL_WRITE: Final = 16 * 1024
# What one turn moves from a file: os.sendfile may else hold the loop for as long as the peer keeps up.
_FILE_CHUNK: Final = 1024 * 1024

_CLOSE_TIMEOUT: Final = 5.0
# What a file system without sendfile answers.
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset

_OPEN: Final = State.OPEN
_PEER_ENDED: Final = State.PEER_ENDED
_CLOSED: Final = State.CLOSED
_RECEIVING: Final = frozenset({State.OPEN, State.ENDING, State.SENT_END})


def _discard(_data: bytes) -> None:
    """Receive what nobody will read: the connection is closing."""


class StreamTransport(asyncio.Transport):
    """asyncio's Transport over a non-blocking stream socket, on any event loop.

    ``limits`` gives the write queue's high and low water in bytes, ``close_timeout`` (seconds, default 5) how long a
    close may wait for the peer before it becomes an abort.
    """

    __slots__ = (
        "__weakref__",
        "_bytes_read",
        "_bytes_written",
        "_close_handle",
        "_close_timeout",
        "_deliver",
        "_error",
        "_fd",
        "_flush_scheduled",
        "_local",
        "_loop",
        "_on_flushed",
        "_peer",
        "_protocol",
        "_queue",
        "_read_otherwise",
        "_reading",
        "_recv",
        "_send",
        "_sock",
        "_state",
        "_unbroken",
        "_writing",
        "_wrote",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        *,
        peer: SockAddr | None = None,
        limits: Limits | None = None,
        close_timeout: float | None = _CLOSE_TIMEOUT,
    ) -> None:
        super().__init__()
        limits = limits or _DEFAULT_LIMITS
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        # Bound once: looking a method up on the socket for every message costs more than the two objects.
        self._recv = sock.recv
        self._send = sock.send
        self._peer = peer
        self._local: SockAddr | None = None
        self._state = _OPEN
        self._error: OSError | None = None
        self._queue = WriteQueue(limits.high_water, limits.low_water)
        self._reading = False  # registered for readability
        self._writing = False  # registered for writability
        self._unbroken = 0
        self._wrote = False  # something was sent since the loop last came round
        self._flush_scheduled = False
        self._on_flushed: list[Callable[[], None]] | None = None
        self._close_timeout = close_timeout
        self._close_handle: asyncio.TimerHandle | None = None
        self._bytes_read = 0
        self._bytes_written = 0
        self.set_protocol(protocol)

    def __repr__(self) -> str:
        return f"<StreamTransport fd={self._fd} {self._state.name} write_queue={self._queue.size}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._state is not _CLOSED:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._sock.close()

    def abandon(self) -> None:
        """Abort from a finalizer, which may run in any thread and after the loop."""
        if self._loop.is_closed():
            self._state = _CLOSED
            self._sock.close()
        else:
            self._loop.call_soon_threadsafe(self.abort)

    # --- the protocol -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Tell the protocol that it is connected, and begin to read."""
        self._call_protocol(self._protocol.connection_made, self)
        if self._state in _RECEIVING and not self._reading:
            self.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the callbacks to another protocol."""
        self._protocol = protocol
        self._deliver: Callable[[bytes], object] = _discard
        self._read_otherwise: Callable[[], None] | None = None
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._read_otherwise = self._read_into_protocol
        else:
            self._deliver = cast("asyncio.Protocol", protocol).data_received

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that the callbacks go to."""
        return self._protocol

    def _call_protocol(self, callback: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - what the callback returns
        try:
            return callback(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - a protocol's mistake ends its connection, not the loop
            self._report(exc, callback)
            self.abort()
            return None

    def _report(self, exc: BaseException, callback: Callable[..., object]) -> None:
        name = getattr(callback, "__qualname__", repr(callback))
        self._loop.call_exception_handler(
            {"message": f"{name} raised", "exception": exc, "transport": self, "protocol": self._protocol}
        )

    # --- facts --------------------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return ``socket``, ``sockname`` or ``peername``, else ``default``."""
        if name == "peername":
            return self.peer_sockaddr if self.peer_sockaddr is not None else default
        if name == "sockname":
            return self.local_sockaddr if self.local_sockaddr is not None else default
        if name == "socket":
            return TransportSocket(self._sock)
        return default

    @property
    def family(self) -> int:
        """The socket's address family."""
        return self._sock.family

    @property
    def peer_sockaddr(self) -> SockAddr | None:
        """The peer's address as the socket API gives it, or None where the system no longer knows."""
        if self._peer is None and self._state is not _CLOSED:
            try:
                self._peer = self._sock.getpeername()
            except OSError:
                return None
        return self._peer

    @property
    def local_sockaddr(self) -> SockAddr | None:
        """Our own address as the socket API gives it, or None where the system no longer knows."""
        if self._local is None and self._state is not _CLOSED:
            try:
                self._local = self._sock.getsockname()
            except OSError:
                return None
        return self._local

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def error(self) -> OSError | None:
        """What broke the connection, if something did."""
        return self._error

    @property
    def bytes_read(self) -> int:
        """Bytes received so far."""
        return self._bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes that the kernel has taken so far."""
        return self._bytes_written

    # --- reading ------------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol is being told of what arrives."""
        return self._reading and self._state in _RECEIVING

    def pause_reading(self) -> None:
        """Call no data_received until resume_reading."""
        if self._reading and self._state in _RECEIVING:
            self._stop_reading()

    def resume_reading(self) -> None:
        """Take up reading again."""
        if not self._reading and self._state in _RECEIVING:
            self._start_reading()

    def _start_reading(self) -> None:
        self._reading = True
        self._loop.add_reader(self._fd, self._on_readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _on_readable(self) -> None:
        self._wrote = False
        if self._read_otherwise is not None:
            self._read_otherwise()
            return
        try:
            data = self._recv(_SMALL_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lost(self._error or exc)
            return
        size = len(data)
        if size == _SMALL_READ:
            self._read_otherwise = self._read_bulk
        if not size:
            self._on_end()
            return
        self._bytes_read += size
        try:
            self._deliver(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - as in _call_protocol, whose frame the hot path cannot afford
            self._report(exc, self._deliver)
            self.abort()

    def _read_bulk(self) -> None:
        buffer = shared_buffer()
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lost(self._error or exc)
            return
        if size < _SMALL_READ // 2:
            self._read_otherwise = None
        self._received(buffer[:size].tobytes(), size)

    def _received(self, data: bytes, size: int) -> None:
        if not size:
            self._on_end()
            return
        self._bytes_read += size
        try:
            self._deliver(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - as in _call_protocol, whose frame the hot path cannot afford
            self._report(exc, self._deliver)
            self.abort()

    async def receive_into(self, buffer: memoryview, readable: Wakeup) -> int:
        """Read once straight into ``buffer`` and return how many bytes came; 0 where the end or the loss did first.

        ``readable`` is what the protocol wakes at the end. Cancelled: what arrives goes to the protocol.
        """
        count = 0

        def read() -> None:
            nonlocal count
            self._read_otherwise = None
            if not readable.waiting:  # cancelled in this very turn: the buffer is the caller's again
                self._on_readable()
                return
            try:
                count = self._sock.recv_into(buffer)
            except (BlockingIOError, InterruptedError):
                self._read_otherwise = read
                return
            except OSError as exc:
                self._lost(self._error or exc)
                return
            if count:
                self._bytes_read += count
                readable.wake()
            else:
                self._on_end()

        self._read_otherwise = read
        try:
            await readable
        finally:
            if self._read_otherwise is read:
                self._read_otherwise = None
        return count

    def _read_into_protocol(self) -> None:
        protocol = cast("asyncio.BufferedProtocol", self._protocol)
        buffer = self._call_protocol(protocol.get_buffer, BULK_SIZE)
        if buffer is None:
            return
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lost(self._error or exc)
            return
        if not size:
            self._on_end()
            return
        self._bytes_read += size
        self._call_protocol(protocol.buffer_updated, size)

    def _on_end(self) -> None:
        self._stop_reading()
        if self._error is not None:  # a write had failed, and this was the rest of what the peer said
            self._lost(self._error)
            return
        was_closing = self._state in CLOSING_STATES
        if self._state is State.LINGERING:
            self._lost(None)
            return
        self._state = advance(self._state, Event.PEER_END)
        if was_closing:
            return
        protocol = cast("asyncio.Protocol", self._protocol)
        if not self._call_protocol(protocol.eof_received):
            self.close()

    # --- writing ------------------------------------------------------------------------------------------------------

    def send(self, data: Buffer) -> bool:
        """Send now what the kernel takes, queue the rest; say whether more than high water is queued.

        The buffer is the caller's again on return.

        Raises:
            OSError: the system's, when the connection turns out to be broken.
            ClosedStreamError: the transport is closed, or its write half is.

        """
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("send")
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        if self._wrote or self._queue.size:
            return self._send_after_another(data)
        self._wrote = True
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as exc:
            self._write_failed(exc)
            raise
        self._bytes_written += sent
        return sent != len(data) and self._queue_rest(data, sent)

    def _send_after_another(self, data):
        size = len(data)
        if self._queue.size or size <= _SMALL_WRITE:
            if not size: return self._queue.paused
            self._queue.append(data if type(data) is bytes else bytes(data))
            return self._flush_later()
        self._unbroken += size
        if self._send_now(data):
            return True
        if self._unbroken > 1<<20:
            self._unbroken = 0
            return True
        return False

    def _send_now(self, data):
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as exc:
            self._write_failed(exc)
            raise
        self._bytes_written += sent
        return sent != len(data) and self._queue_rest(data, sent)

    def _queue_rest(self, data, sent):
        queue = self._queue
        queue.append(memoryview(data)[sent:] if type(data) is bytes else bytes(data[sent:]))
        self._watch_writable()
        self._check_high_water()
        return queue.paused

    def send_many(self, buffers: Iterable[Buffer]) -> bool:
        """Send several buffers as one: in one system call as far as it takes them. Else as ``send``."""
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("send")
        # Checked and copied before anything is queued: a bad item leaves the stream as it was.
        owned = [data if type(data) is bytes else bytes(memoryview(data)) for data in buffers]
        for data in owned:
            if data:
                self._queue.append(data)
        if self._queue.size and not self._writing:
            self._flush()
            if self._error is not None:
                raise self._error
        self._check_high_water()
        return self._queue.paused

    def send_region(self, region: FileRegion) -> None:
        """Queue a part of a file; it leaves in order with what is sent before and after."""
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("sendfile")
        self._queue.append(region)
        if not self._writing:
            self._flush()
        self._check_high_water()

    def write(self, data: Buffer) -> None:
        """Send now or queue; never raises for a broken connection, which connection_lost reports.

        Raises:
            RuntimeError: after write_eof.

        """
        if not data and not isinstance(data, (bytes, bytearray, memoryview)):
            message = f"data must be a bytes-like object, not {type(data).__name__}"
            raise TypeError(message)
        self._check_not_ended()
        if self._state is _OPEN or self._state is _PEER_ENDED:
            try:
                self.send(data)
            except OSError:  # asyncio's contract: writing to a lost connection is not the writer's error
                return

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Write several buffers, in one system call as far as it takes them."""
        self._check_not_ended()
        if self._state is _OPEN or self._state is _PEER_ENDED:
            try:
                self.send_many(list_of_data)
            except OSError:  # as in write
                return

    def _check_not_ended(self) -> None:
        if self._error is None and self._state in _SENDING_ENDED:
            message = "Cannot call write() after write_eof()"
            raise RuntimeError(message)

    def _refusal(self, operation: str) -> OSError:
        if self._error is not None:
            return self._error
        what = "after send_eof" if self._state in _SENDING_ENDED else "a closed transport"
        return ClosedStreamError.of(operation, what)

    def _flush_later(self) -> None:
        if self._writing:
            self._check_high_water()
            return self._queue.paused
        elif self._queue.size > self._queue.high:
            # Only gathered, not refused by the kernel: it may well take all of it.
            self._flush()
            self._check_high_water()
            return True
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return False

    def is_writing_paused(self):
        return self._queue.paused

    def _check_high_water(self) -> None:
        if self._queue.must_pause():
            self._call_protocol(self._protocol.pause_writing)

    def _watch_writable(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._flush)

    def _unwatch_writable(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def _flush(self) -> None:
        self._flush_scheduled = False
        self._wrote = False
        if self._state is _CLOSED:
            return
        if not self._send_queue():
            return
        queue = self._queue
        if queue.size:
            self._watch_writable()
        else:
            self._unwatch_writable()
        if queue.may_resume():
            self._call_protocol(self._protocol.resume_writing)
        if not queue.size:
            self._flushed()

    def _send_queue(self) -> bool:
        """Send until the queue is empty or the kernel is full; say whether the connection still stands."""
        queue = self._queue
        try:
            while queue.size:
                head = queue.head()
                if isinstance(head, FileRegion):
                    self._send_file(head)
                    return True
                sent = self._sock.sendmsg(head)
                self._bytes_written += sent
                wanted = sum(map(len, head))
                queue.advance(sent)
                if sent < wanted:
                    return True
        except (BlockingIOError, InterruptedError):
            return True
        except OSError as exc:
            self._write_failed(exc)
            return False
        return True

    def _send_file(self, region: FileRegion) -> None:
        offset, count = region.offset + region.sent, min(len(region), _FILE_CHUNK)
        try:
            sent = os.sendfile(self._fd, region.file, offset, count)
        except OSError as exc:
            if exc.errno not in _NO_SENDFILE:
                raise
            data = os.pread(region.file, min(count, BULK_SIZE), offset)
            sent = self._send(data) if data else 0
        if sent:
            self._bytes_written += sent
            self._queue.advance(sent)
        else:
            self._queue.end_region()

    def _write_failed(self, exc: OSError) -> None:
        """Nothing more can be sent. What the peer said last may still be read; the read side then finds the end."""
        self._error = exc
        if self._reading and self._state in (State.OPEN, State.ENDING):
            self._state = State.SENT_END
            self._unwatch_writable()
            self._queue.clear()
        else:
            self._lost(exc)

    def call_when_flushed(self, callback: Callable[[], None]) -> None:
        """Call back once the kernel has taken all that is queued now or the connection is lost."""
        if not self._queue.size or self._state is _CLOSED:
            self._loop.call_soon(callback)
        elif self._on_flushed is None:
            self._on_flushed = [callback]
        else:
            self._on_flushed.append(callback)

    def _call_flushed(self) -> None:
        callbacks, self._on_flushed = self._on_flushed, None
        for callback in callbacks or ():
            self._loop.call_soon(callback)

    def _flushed(self) -> None:
        if self._on_flushed is not None:
            self._call_flushed()
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            self._end_sending()

    def can_write_eof(self) -> bool:
        """Return True: the write half can be closed alone."""
        return True

    def write_eof(self) -> None:
        """Send our end after what is queued; reading goes on."""
        if self._state is _OPEN or self._state is _PEER_ENDED:
            self._state = advance(self._state, Event.SEND_END)
            if self._queue.size and not self._writing:
                self._flush()
            elif not self._queue.size:
                self._end_sending()

    def _end_sending(self) -> None:
        """The queue is empty and our end was asked for: send it."""
        if self._state not in _SEND_END_NEXT:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self._lost(self._error or exc)
            return
        following = advance(self._state, Event.FLUSHED)
        if following is _CLOSED:
            self._lost(None)
        else:
            self._state = following

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes queued."""
        return self._queue.size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return low and high water, in bytes."""
        return self._queue.low, self._queue.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set high and low water in bytes; what is not given follows from the other, as in asyncio.

        Raises:
            ValueError: not high >= low >= 0.

        """
        if high is None:
            high = _DEFAULT_LIMITS.high_water if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            message = f"high ({high!r}) must be >= low ({low!r}) must be >= 0"
            raise ValueError(message)
        self._queue.high, self._queue.low = high, low
        self._check_high_water()

    # --- closing ------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the transport is closed or on its way."""
        return self._state in CLOSING_STATES

    def close(self) -> None:
        """Flush, send our end, read until the peer's, then call connection_lost(None). At most ``close_timeout``."""
        if self._state in CLOSING_STATES:
            return
        self._deliver = _discard
        self._read_otherwise = None
        following = advance(self._state, Event.CLOSE)
        if following is _CLOSED or self._error is not None:
            self._lost(self._error)
            return
        self._state = following
        if self._queue.size and not self._writing:
            self._flush()
        elif not self._queue.size:
            self._end_sending()
        if self._state is _CLOSED:
            return
        if not self._reading and self._state is not State.LAST_CLOSING:
            self._start_reading()
        if self._close_timeout is not None:
            self._close_handle = self._loop.call_later(self._close_timeout, self.abort)

    def abort(self) -> None:
        """Close now, with a reset; what is queued is dropped."""
        if self._state is _CLOSED:
            return
        if self._sock.family != getattr(socket, "AF_UNIX", None):
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:  # some systems refuse once the peer has reset, which is what was wanted
                pass
        self._lost(self._error)

    def _lost(self, exc: OSError | None) -> None:
        """The one end of every connection: give the descriptor back and tell the protocol, once."""
        if self._state is _CLOSED:
            return
        # While it can still be asked: messages and statistics name both ends after the close, too.
        _ = self.local_sockaddr, self.peer_sockaddr
        self._state = _CLOSED
        self._error = exc
        self._deliver = _discard
        self._read_otherwise = None
        self._stop_reading()
        self._unwatch_writable()
        if self._close_handle is not None:
            self._close_handle.cancel()
            self._close_handle = None
        self._queue.clear()
        self._sock.close()
        self._call_flushed()
        self._loop.call_soon(self._call_connection_lost)

    def _call_connection_lost(self) -> None:
        protocol, self._protocol = self._protocol, _NOBODY
        try:
            protocol.connection_lost(self._error)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001 - the connection is over; there is nothing left to abort
            self._report(exc, protocol.connection_lost)


# What a transport refers to when it has let go of its protocol, so that the two are not kept alive by each other.
_NOBODY: Final = asyncio.BaseProtocol()
_DEFAULT_LIMITS: Final = Limits()
_SENDING_ENDED: Final = frozenset({State.ENDING, State.LAST_ENDING, State.SENT_END, State.ENDED})
_SEND_END_NEXT: Final = frozenset({State.ENDING, State.LAST_ENDING, State.CLOSING, State.LAST_CLOSING})
