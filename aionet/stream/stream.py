"""Stream: bytes both ways, with async and await.

An operation that can complete without waiting does, which is what makes it fast, and what could keep other tasks from
running for as long as the peer keeps up. So each stream has a budget of such operations (``_BUDGET``), and the one
that exceeds it lets the loop go round once.
"""

from __future__ import annotations

import asyncio
import errno
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from aionet.address import from_sockaddr
from aionet.errors import (
    AionetError,
    BusyError,
    ClosedError,
    ClosedStreamError,
    FrameTooLargeError,
    IncompleteReadError,
    StreamTimeoutError,
)
from aionet.stream.failures import broken, ends, failure_of
from aionet.stream.sendfile import send_file
from aionet.wire.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import BinaryIO

    from aionet.address import Address
    from aionet.stream.protocol import StreamProtocol
    from aionet.system.types import Buffer
    from aionet.transport.stream import StreamTransport

__all__ = ["Stream", "StreamStatistics"]

# As much as one read of the transport gives, so that by default nothing is cut.
_RECV_SIZE: Final = 256 * 1024
# asyncio's limit for a line.
_FRAME_SIZE: Final = 64 * 1024
# tokio's coop budget is 128 too: at a microsecond for each operation others wait a tenth of a millisecond.
_BUDGET: Final = 128


@attrs.frozen
class StreamStatistics:
    """What a stream has done so far, in bytes."""

    bytes_received: int
    bytes_sent: int
    receive_buffer: int
    write_queue: int


class Stream:
    """A connected stream: TCP, or a Unix socket.

    One task may receive at a time, any number may send. ``async for data in stream`` receives until the end;
    ``async with stream`` closes at the end of the block.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_closed",
        "_draining",
        "_message_timeout",
        "_opened",
        "_protocol",
        "_transport",
    )

    def __init__(
        self,
        transport: StreamTransport,
        protocol: StreamProtocol,
        *,
        draining: asyncio.Event | None = None,
        message_timeout: float | None = None,
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._draining = draining
        self._message_timeout = message_timeout
        self._closed = False
        self._budget = _BUDGET
        # Walking the stack costs more than the rest of a connection: only where somebody looks for mistakes.
        self._opened = "".join(traceback.format_stack(limit=12)[:-1]) if sys.flags.dev_mode else ""

    def __repr__(self) -> str:
        return f"<Stream {self._ends('<->')} {'CLOSED' if self._closed else self._transport.state.name}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._closed or self._transport.state is State.CLOSED:
            return
        opened = f"\nopened at:\n{self._opened}" if self._opened else ""
        _warn(f"unclosed stream {self!r}{opened}", ResourceWarning, source=self)
        self._transport.abandon()

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def recv(self, max_bytes: int = _RECV_SIZE) -> bytes:
        """Receive what has arrived: at least one byte, at most ``max_bytes``.

        At the end of stream: b"", again and again. Cancelled: nothing is lost.

        Raises:
            BusyError: another task is receiving.
            BrokenStreamError: the connection broke; StreamResetError where the peer reset it.
            ClosedStreamError: you closed the stream.

        Source: recv(2).

        """
        protocol = self._protocol
        if protocol.needed:
            raise self._busy("recv")
        if max_bytes < 1:
            message = f"recv: max_bytes={max_bytes!r}: expected at least 1"
            raise ValueError(message)
        if protocol.buffer.size:
            self._budget -= 1
            if self._budget < 0:
                await self._let_others_run()
        elif not protocol.ended:
            protocol.needed = 1
            try:
                await protocol.readable
            finally:
                protocol.needed = 0
        return self._arrived("recv", max_bytes)

    async def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive into a writable buffer; return how many bytes.

        At the end of stream: 0, again and again. Cancelled: nothing is lost. Raises as recv.
        Source: recv(2).
        """
        target = memoryview(buffer).cast("B")
        if not target.nbytes:
            message = "recv_into: the buffer is empty: expected room for at least 1 byte"
            raise ValueError(message)
        await self._ready("recv_into")
        protocol = self._protocol
        if protocol.buffer.size:
            count = protocol.buffer.take_into(target)
            if protocol.paused:
                protocol.resume()
            return count
        if protocol.ended:
            return len(self._no_more("recv_into"))
        protocol.needed = 1
        try:
            count = await self._transport.receive_into(target, protocol.readable)
        finally:
            protocol.needed = 0
        return count or len(self._no_more("recv_into"))

    async def recv_exactly(self, count: int) -> bytes:
        """Receive exactly ``count`` bytes.

        Cancelled: nothing is lost.

        Raises:
            IncompleteReadError: the stream ended before; its ``partial`` holds what came.
            StreamTimeoutError: the message timeout passed.

        The others as recv.

        """
        if count < 0:
            message = f"recv_exactly: count={count!r}: expected 0 or more"
            raise ValueError(message)
        protocol = self._protocol
        buffer = protocol.buffer
        await self._ready("recv_exactly")
        if buffer.size < count:
            await self._arrival("recv_exactly", count)
            if buffer.size < count:
                self._raise_if_over("recv_exactly")
                partial = buffer.take(buffer.size)
                message = f"recv_exactly on {self._ends('<-')}: the stream ended after {len(partial)} of {count} bytes"
                raise IncompleteReadError(message, partial, count)
        return self._take(count)

    async def recv_until(self, separator: bytes, max_bytes: int = _FRAME_SIZE) -> bytes:
        """Receive up to and with ``separator``, at most ``max_bytes`` with it (default 64 KiB).

        Cancelled: nothing is lost.

        Raises:
            IncompleteReadError: the stream ended before the separator; ``partial`` holds what came.
            FrameTooLargeError: no separator within ``max_bytes``; nothing was taken.
            StreamTimeoutError: the message timeout passed.

        The others as recv.

        """
        await self._ready("recv_until")
        end = await self._find("recv_until", separator, max_bytes)
        if end < 0:
            partial = self._protocol.buffer.take(_RECV_SIZE)
            message = f"recv_until on {self._ends('<-')}: the stream ended before {separator!r}"
            raise IncompleteReadError(message, partial, None)
        return self._take(end)

    async def recv_line(self, max_bytes: int = _FRAME_SIZE) -> bytes:
        r"""Receive a line with its b"\n", at most ``max_bytes`` with it (default 64 KiB).

        At the end of stream: a last line without ending as it is, then b"". Cancelled: nothing is lost.

        Raises:
            FrameTooLargeError: the line is longer than ``max_bytes``; nothing was taken.
            StreamTimeoutError: the message timeout passed.

        The others as recv.

        """
        protocol = self._protocol
        buffer = protocol.buffer
        if not protocol.needed and self._budget > 0 and buffer.size:
            end = buffer.find(b"\n")
            if 0 < end <= max_bytes:
                self._budget -= 1
                data = buffer.take(end)
                if protocol.paused:
                    protocol.resume()
                return data
        await self._ready("recv_line")
        end = await self._find("recv_line", b"\n", max_bytes)
        return self._take(end if end >= 0 else buffer.size)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        protocol = self._protocol
        if protocol.buffer.size or protocol.needed or protocol.ended:
            data = await self.recv()
        else:
            # What recv would do, without a second coroutine for each message.
            protocol.needed = 1
            try:
                await protocol.readable
            finally:
                protocol.needed = 0
            chunk = protocol.chunk
            if chunk is not None:
                protocol.chunk = None
                return chunk
            data = self._arrived("recv", _RECV_SIZE)
        if data:
            return data
        raise StopAsyncIteration

    async def _ready(self, operation: str) -> None:
        """Begin a receiving operation."""
        if self._protocol.needed:
            raise self._busy(operation)
        if self._closed:
            raise ClosedStreamError.of(operation, self._ends("<-"))
        self._budget -= 1
        if self._budget < 0:
            await self._let_others_run()

    async def _find(self, operation: str, separator: bytes, max_bytes: int) -> int:
        """Wait until the separator has come; return the count of bytes up to and with it, -1 at the end of stream."""
        if not separator:
            message = f"{operation}: the separator is empty: expected at least one byte"
            raise ValueError(message)
        buffer = self._protocol.buffer
        end = buffer.find(separator)
        if end < 0 and buffer.size < max_bytes and self._message_timeout is not None:
            try:
                async with asyncio.timeout(self._message_timeout):
                    end = await self._find_on(operation, separator, max_bytes)
            except TimeoutError:
                raise self._message_too_late(operation) from None
        elif end < 0:
            end = await self._find_on(operation, separator, max_bytes)
        if end > max_bytes or (end < 0 and buffer.size >= max_bytes):
            message = f"{operation} on {self._ends('<-')}: no {separator!r} within {max_bytes} bytes"
            raise FrameTooLargeError(message, max_bytes)
        return end

    async def _find_on(self, operation: str, separator: bytes, max_bytes: int) -> int:
        buffer = self._protocol.buffer
        while (end := buffer.find(separator)) < 0 and buffer.size < max_bytes:
            size = buffer.size
            await self._wait_for(size + 1)
            if buffer.size == size:
                self._raise_if_over(operation)
                return -1
        return end

    async def _arrival(self, operation: str, count: int) -> None:
        """Wait until ``count`` bytes are there, or the end is, at most the message timeout."""
        if self._message_timeout is None:
            await self._wait_for(count)
            return
        try:
            async with asyncio.timeout(self._message_timeout):
                await self._wait_for(count)
        except TimeoutError:
            raise self._message_too_late(operation) from None

    async def _wait_for(self, count: int) -> None:
        protocol = self._protocol
        if protocol.ended:
            return
        protocol.needed = count
        try:
            if protocol.paused:
                protocol.resume()
            await protocol.readable
        finally:
            protocol.needed = 0
        if protocol.chunk is not None:
            protocol.buffer.append(protocol.chunk)
            protocol.chunk = None

    def _arrived(self, operation: str, max_bytes: int) -> bytes:
        """Take what has arrived, or say why nothing has."""
        protocol = self._protocol
        data = protocol.chunk
        if data is not None:
            protocol.chunk = None
            if len(data) <= max_bytes:
                return data
            protocol.buffer.append(data)
        elif not protocol.buffer.size:
            return self._no_more(operation)
        return self._take(max_bytes)

    def _take(self, count: int) -> bytes:
        protocol = self._protocol
        data = protocol.buffer.take(count)
        if protocol.paused:
            protocol.resume()
        return data

    # --- sending ------------------------------------------------------------------------------------------------------

    async def send(self, data: Buffer) -> None:
        """Send all of ``data``; return when no more than high water (64 KiB) waits to leave.

        All of it is taken before the first wait, so cancelling never cuts it in two; the buffer is yours again on
        return. Concurrent sends leave in the order of the calls.

        Raises:
            BrokenStreamError: the connection broke; from then on, every time.
            ClosedStreamError: you closed the stream, or its sending half.

        Source: send(2).

        """
        try:
            must_wait = self._transport.send(data)
        except OSError as exc:
            raise self._send_error("send", exc) from exc
        if must_wait:
            await self._below_high_water("send")

    async def send_many(self, buffers: Iterable[Buffer]) -> None:
        """Send several buffers as if they were one, without joining them. Otherwise as send.

        Source: sendmsg(2).
        """
        try:
            must_wait = self._transport.send_many(buffers)
        except OSError as exc:
            raise self._send_error("send_many", exc) from exc
        if must_wait:
            await self._below_high_water("send_many")

    async def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send ``count`` bytes of a file from ``offset`` (default: all of it); return how many the kernel took.

        A file that ends earlier is sent as far as it goes. It leaves in order with what is sent before and after, and
        may be closed on return. Cancelled: what was asked for is sent all the same. Raises as send.
        Source: sendfile(2), which regular files are sent with; others are read in pieces.
        """
        try:
            return await send_file(self, self._transport, file, offset, count)
        except OSError as exc:
            if isinstance(exc, AionetError) or not (self._closed or self._transport.error is exc):
                raise  # ours already, or the file's
            raise self._send_error("sendfile", exc) from exc

    async def send_eof(self) -> None:
        """Send our end: the peer reads b"", and we may go on receiving. Returns when the kernel has it all.

        Cancelled: it is sent all the same. Raises as send. Source: shutdown(2).
        """
        if self._closed:
            raise ClosedStreamError.of("send_eof", self._ends("->"))
        self._raise_if_over("send_eof")
        self._transport.write_eof()
        await self._flushed("send_eof")

    async def flush(self) -> None:
        """Return when all that was sent has been handed to the kernel.

        Cancelled: it is sent all the same. Raises as send.
        """
        if self._closed:
            raise ClosedStreamError.of("flush", self._ends("->"))
        await self._flushed("flush")

    async def _flushed(self, operation: str) -> None:
        if self._transport.get_write_buffer_size():
            flushed = asyncio.Event()
            self._transport.call_when_flushed(flushed.set)
            await flushed.wait()
        self._raise_if_over(operation)

    async def _below_high_water(self, operation: str) -> None:
        if self._transport.must_wait():
            await self._protocol.writers.wait()
        else:
            await asyncio.sleep(0)  # the kernel keeps up; the other tasks must, too
        self._raise_if_over(operation)

    # --- closing ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Flush, send our end, read until the peer's, and close; after the close timeout (5 s), abort.

        Idempotent. Cancelled, it still closes. Every operation after it raises ClosedStreamError.
        """
        self._close()
        if self._transport.state is not State.CLOSED:
            await self._protocol.closed.wait()

    def abort(self) -> None:
        """Close now, with a reset: the peer's next read raises, and what waits to leave is dropped."""
        self._close_with(self._transport.abort)

    def _close(self) -> None:
        self._close_with(self._transport.close)

    def _close_with(self, close: Callable[[], None]) -> None:
        self._closed = True
        close()
        self._protocol.abandon()

    def _fail(self, failure: AionetError) -> None:
        """Abort for a reason of aionet's own, which everybody who uses the stream is told."""
        self._protocol.failure = failure
        self._transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if isinstance(exc, asyncio.CancelledError):
            self._close()  # gracefully, but a task that is told to stop does not wait for the peer
        else:
            await self.aclose()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Address:
        """The other end's address."""
        return from_sockaddr(self._transport.family, self._transport.peer_sockaddr)

    @property
    def local(self) -> Address:
        """Our end's address."""
        return from_sockaddr(self._transport.family, self._transport.local_sockaddr)

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server that accepted the stream drains: finish what you do, and return."""
        if self._draining is None:
            self._draining = asyncio.Event()
        return self._draining

    @property
    def closed(self) -> bool:
        """Whether you have closed the stream."""
        return self._closed

    def statistics(self) -> StreamStatistics:
        """Return the counts so far."""
        transport = self._transport
        return StreamStatistics(
            bytes_received=transport.bytes_read,
            bytes_sent=transport.bytes_written,
            receive_buffer=self._protocol.buffer.size,
            write_queue=transport.get_write_buffer_size(),
        )

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return what asyncio's transports call ``socket``, ``peername`` and ``sockname``."""
        return self._transport.get_extra_info(name, default)

    # --- errors -------------------------------------------------------------------------------------------------------

    async def _let_others_run(self) -> None:
        """Let the loop come round once, as a receiver that needs more than there will be: a second one is refused."""
        self._budget = _BUDGET
        self._protocol.needed = sys.maxsize
        try:
            await asyncio.sleep(0)
        finally:
            self._protocol.needed = 0

    def _ends(self, arrow: str) -> str:
        return ends(self._transport, arrow)

    def _busy(self, operation: str) -> BusyError:
        return BusyError(f"{operation} on {self._ends('<-')}: another task is receiving")

    def _no_more(self, operation: str) -> bytes:
        """Nothing has arrived and nothing will: return the end of stream, or raise what ended it."""
        if self._closed or not self._protocol.eof:
            self._raise_if_over(operation)
        return b""

    def _raise_if_over(self, operation: str) -> None:
        failure = failure_of(operation, self._transport, self._protocol, closed=self._closed)
        if failure is not None:
            raise failure from failure.__cause__

    def _send_error(self, operation: str, exc: OSError) -> AionetError:
        if isinstance(exc, ClosedError) and not self._closed:
            return ClosedStreamError.of(operation, f"{self._ends('->')} after send_eof")
        failure = failure_of(operation, self._transport, self._protocol, closed=self._closed)
        return failure or broken(operation, self._transport, exc)

    def _message_too_late(self, operation: str) -> StreamTimeoutError:
        message = f"{operation} on {self._ends('<-')}: no whole message within {self._message_timeout:g} s"
        self._fail(StreamTimeoutError(errno.ETIMEDOUT, message))
        return StreamTimeoutError(errno.ETIMEDOUT, message)
