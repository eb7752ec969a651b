"""The writing half of a stream transport.

Nothing queued: ``send`` at once, in the caller's own frame, so that an error is raised there and a reply leaves before
anything else runs. What the kernel does not take is queued. So is a small write that follows another before the loop
has come round: those of one turn leave together, in one ``sendmsg``.

When a write fails, what the peer said before it went may still be there to read, so the reading half goes on.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from aionet.errors import ClosedStreamError
from aionet.options import Limits
from aionet.transport.reading import ReadingTransport
from aionet.wire.flow import FileRegion, WriteQueue
from aionet.wire.lifecycle import Event, State, advance

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from aionet.system.types import Buffer, SockAddr

__all__ = ["WritingTransport"]

# A larger write is worth a system call of its own.
_SMALL_WRITE: Final = 16 * 1024
# Writes that never wait, one after another: after so many bytes the writer lets others run. A write of few bytes costs
# as much as one of 2 KiB, which makes 512 of them.
_UNBROKEN: Final = 1024 * 1024
_LEAST: Final = 2 * 1024
# What one turn moves from a file: sendfile may else hold the loop for as long as the peer keeps up.
_FILE_CHUNK: Final = 1024 * 1024
# What a file system without sendfile answers.
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
# What is wrong with the file, and not with the connection.
_FILE_ERRORS: Final = frozenset({errno.EBADF, errno.EIO, errno.EISDIR, errno.EOVERFLOW, errno.ESTALE})

_OPEN: Final = State.OPEN
_PEER_ENDED: Final = State.PEER_ENDED
_ENDED: Final = frozenset({State.ENDING, State.LAST_ENDING, State.SENT_END, State.ENDED})
_END_IS_NEXT: Final = frozenset({State.ENDING, State.LAST_ENDING, State.CLOSING, State.LAST_CLOSING})
_DEFAULT_LIMITS: Final = Limits()


class WritingTransport(ReadingTransport):
    """Sends, queues, and keeps the queue between low and high water."""

    __slots__ = ("_flush_scheduled", "_flushed", "_queue", "_send", "_unbroken")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        peer: SockAddr | None,
        context: Context | None,
        limits: Limits | None,
    ) -> None:
        super().__init__(loop, sock, protocol, peer, context)
        limits = limits or _DEFAULT_LIMITS
        self._send = sock.send
        self._queue = WriteQueue(limits.high_water, limits.low_water)
        self._unbroken = 0  # bytes of one write after another, each counted as _LEAST at least
        self._flush_scheduled = False
        # Who waits until so many bytes have been written in all.
        self._flushed: deque[tuple[int, Callable[[], None]]] | None = None

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: Buffer) -> bool:
        """Send now what the kernel takes, queue the rest; say whether the writer must wait (see must_wait).

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

    def _send_after_another(self, data: bytes | memoryview) -> bool:
        size = len(data)
        queue = self._queue
        must_wait = self._had_its_turn(size)
        if not queue.size and size > _SMALL_WRITE:
            self._wrote = False
            return self.send(data) or must_wait
        if size:
            queue.append(data if type(data) is bytes else bytes(data))
            if not self._writing:
                if queue.size > queue.high:
                    # Only gathered, not refused by the kernel, which may well take it all.
                    self._flush()
                else:
                    self._flush_soon()
            self._check_high_water()
        return queue.paused or must_wait

    def _had_its_turn(self, size: int) -> bool:
        """Count a write that follows another; say, now and then, that the others have to run first."""
        self._unbroken += max(size, _LEAST)
        if self._unbroken <= _UNBROKEN:
            return False
        self._unbroken = 0
        return True

    def _queue_rest(self, data: bytes | memoryview, sent: int) -> bool:
        rest = memoryview(data)[sent:]
        self._queue.append(rest if type(data) is bytes else bytes(rest))
        self._watch_writable()
        self._check_high_water()
        return self._queue.paused

    def send_many(self, buffers: Iterable[Buffer]) -> bool:
        """Send several buffers as one, in one system call as far as it takes them. Otherwise as send."""
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("send")
        # Copied before anything is queued: an item that is no buffer leaves the stream as it was.
        owned = [data if type(data) is bytes else bytes(memoryview(data)) for data in buffers]
        must_wait = self._had_its_turn(sum(map(len, owned)))
        for data in owned:
            if data:
                self._queue.append(data)
        if self._queue.size and not self._writing:
            self._flush()
            if self._error is not None:
                raise self._error
        self._check_high_water()
        return self._queue.paused or must_wait

    def send_region(self, region: FileRegion) -> None:
        """Queue a part of a file; it leaves in order with what is sent before and after."""
        if self._state is not _OPEN and self._state is not _PEER_ENDED:
            raise self._refusal("sendfile")
        self._queue.append(region)
        if not self._writing:
            self._flush()
        self._check_high_water()

    def write(self, data: Buffer) -> None:
        """Send now or queue. A broken connection is not the writer's error: connection_lost reports it.

        Raises:
            RuntimeError: after write_eof.

        """
        if self._can_write():
            try:
                self.send(data)
            except OSError:  # asyncio's contract
                return

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Write several buffers, in one system call as far as it takes them. Otherwise as write."""
        if self._can_write():
            try:
                self.send_many(list_of_data)
            except OSError:  # asyncio's contract
                return

    def _can_write(self) -> bool:
        if self._state in _ENDED and self._error is None:
            message = "Cannot call write() after write_eof()"
            raise RuntimeError(message)
        return self._state is _OPEN or self._state is _PEER_ENDED

    def _refusal(self, operation: str) -> OSError:
        if self._error is not None:
            return self._error
        return ClosedStreamError.of(operation, "a transport whose write half is closed")

    def _write_failed(self, exc: OSError) -> None:
        self._error = exc
        if self._reading and self._state in (State.OPEN, State.ENDING):
            self._state = State.SENT_END  # nothing more will be sent; the read side finds the end
            self._stop_writing()
        else:
            self._lost(exc)

    # --- the queue ----------------------------------------------------------------------------------------------------

    def must_wait(self) -> bool:
        """Whether more than high water is queued: the writer waits for resume_writing.

        When send says that it must wait and this does not, the kernel has taken all, and the writer is only to let the
        loop come round before it goes on.
        """
        return self._queue.paused

    def _check_high_water(self) -> None:
        if self._queue.must_pause():
            self._call_protocol(self._protocol.pause_writing)

    def _flush_soon(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush, context=self._context)

    def _watch_writable(self) -> None:
        if not self._writing:
            self._writing = True
            self._watch()

    def _unwatch_writable(self) -> None:
        if self._writing:
            self._writing = False
            self._watch()

    def _on_writable(self, events: int) -> None:
        self._flush()

    def _flush(self) -> None:
        """Send what is queued: a callback of the loop, or called where the queue must not wait for one."""
        self._flush_scheduled = False
        self._wrote = False
        queue = self._queue
        if self._state is State.CLOSED or not self._send_queue():
            return
        if queue.size:
            self._watch_writable()
        else:
            self._unwatch_writable()
        if queue.may_resume():
            self._call_protocol(self._protocol.resume_writing)
        self._call_flushed()
        if not queue.size:
            self._send_end()

    def _send_queue(self) -> bool:
        """Send until the queue is empty or the kernel is full; say whether the write half still stands."""
        queue = self._queue
        try:
            while queue.size:
                head = queue.head()
                if isinstance(head, FileRegion):
                    self._send_file(head)
                    return True  # one chunk a turn
                sent = self._sock.sendmsg(head)
                self._bytes_written += sent
                offered = sum(map(len, head))
                queue.advance(sent)
                if sent < offered:
                    return True
        except (BlockingIOError, InterruptedError):
            return True
        except OSError as exc:
            self._write_failed(exc)
            return False
        return True

    def _send_file(self, region: FileRegion) -> None:
        offset, count = region.offset + region.sent, min(len(region), _FILE_CHUNK)
        if isinstance(region.file, int):
            sent = self._send_descriptor(region, region.file, offset, count)
        else:
            try:
                region.file.seek(offset)
                data = region.file.read(count)
            except Exception as exc:  # noqa: BLE001 - whatever the object raises is for whoever handed it over
                region.error = exc
                data = b""
            sent = self._send(data) if data else 0
        self._bytes_written += sent
        if sent:
            self._queue.advance(sent)
        else:
            self._queue.end_region()

    def _send_descriptor(self, region: FileRegion, file: int, offset: int, count: int) -> int:
        try:
            return os.sendfile(self._fd, file, offset, count)
        except OSError as exc:
            if exc.errno in _NO_SENDFILE:
                data = os.pread(file, count, offset)
                return self._send(data) if data else 0
            if exc.errno in _FILE_ERRORS:
                region.error = exc
                return 0
            raise

    def call_when_flushed(self, callback: Callable[[], None]) -> None:
        """Call back once the kernel has taken all that is queued now, or the write half is gone."""
        if self._flushed is None:
            self._flushed = deque()
        self._flushed.append((self._bytes_written + self._queue.size, callback))
        if not self._queue.size:
            self._call_flushed()

    def _call_flushed(self) -> None:
        waiting = self._flushed
        # An empty queue is the end for everybody: a file that was shorter than it should be never adds up.
        while waiting and (waiting[0][0] <= self._bytes_written or not self._queue.size):
            self._loop.call_soon(waiting.popleft()[1])

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

    # --- our end ------------------------------------------------------------------------------------------------------

    def can_write_eof(self) -> bool:
        """Return True: the write half can be closed alone."""
        return True

    def write_eof(self) -> None:
        """Send our end after what is queued; reading goes on."""
        if self._state is _OPEN or self._state is _PEER_ENDED:
            self._state = advance(self._state, Event.SEND_END)
            self._finish_sending()

    def _finish_sending(self) -> None:
        """Our end has been asked for: send it as soon as the queue is empty."""
        if not self._queue.size:
            self._send_end()
        elif not self._writing:
            self._flush()

    def _send_end(self) -> None:
        if self._state not in _END_IS_NEXT:
            return
        following = advance(self._state, Event.FLUSHED)
        if following is State.CLOSED:
            self._lost(None)  # the peer has ended, so nothing is left unread: close(2) sends our end
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self._lost(self._error or exc)
            return
        self._state = following

    def _stop_writing(self) -> None:
        self._unwatch_writable()
        self._queue.clear()
        self._call_flushed()
        if self._queue.may_resume():
            self._call_protocol(self._protocol.resume_writing)

    def _release(self) -> None:
        super()._release()
        self._queue.clear()
        self._call_flushed()
