"""The receiving half of a stream.

An operation that can complete without waiting does, which is what makes it fast, and what could keep other tasks from
running for as long as the peer keeps up. So there is a budget of such operations, and the one that exceeds it lets the
loop come round once.
"""

from __future__ import annotations

import asyncio
import sys
import types
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from aionet.errors import (
    AionetError,
    BusyError,
    ClosedStreamError,
    FrameTooLargeError,
    IncompleteReadError,
)
from aionet.stream.base import StreamBase
from aionet.stream.failures import too_late

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from aionet.stream.protocol import StreamProtocol
    from aionet.transport.stream import StreamTransport

__all__ = ["ReceivingStream"]

_T = TypeVar("_T")

# As much as one read of the transport gives, so that by default nothing is cut.
_RECV_SIZE: Final = 256 * 1024
# asyncio's limit for a line.
_FRAME_SIZE: Final = 64 * 1024
# tokio's coop budget is 128 too: at a microsecond for each operation others wait a tenth of a millisecond.
_BUDGET: Final = 128


class ReceivingStream(StreamBase):
    """Receives bytes, exact counts, and what ends with a separator."""

    __slots__ = ("_budget", "_message_timeout")

    def __init__(self, transport: StreamTransport, protocol: StreamProtocol, message_timeout: float | None) -> None:
        super().__init__(transport, protocol)
        self._budget = _BUDGET
        self._message_timeout = message_timeout

    async def recv(self, max_bytes: int = _RECV_SIZE) -> bytes:
        """Receive what has arrived: at least one byte, at most ``max_bytes``.

        At the end of stream: b"", again and again. Cancelled: nothing is lost.

        Raises:
            BusyError: another task is receiving.
            BrokenStreamError: the connection broke; StreamResetError where the peer reset it.
            StreamTimeoutError: a timeout has aborted the stream.
            ClosedStreamError: you closed the stream.
            ValueError: ``max_bytes`` is less than 1.

        Source: recv(2).

        """
        protocol = self._protocol
        if protocol.needed:
            raise self._busy("recv")
        if max_bytes < 1:
            message = f"recv: max_bytes={max_bytes!r}: expected at least 1"
            raise ValueError(message)
        if protocol.buffer.size or protocol.ended:
            self._budget -= 1
            if self._budget < 0:
                await self._let_others_run()
        else:
            transport = self._transport
            protocol.needed = 1
            transport.receiver = protocol.readable
            try:
                await protocol.readable
            finally:
                protocol.needed = 0
                transport.receiver = None
        return self._arrived("recv", max_bytes)

    async def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive into a writable buffer; return how many bytes.

        At the end of stream: 0, again and again. Cancelled: nothing is lost. Raises as recv.
        Source: recv(2).
        """
        target = memoryview(buffer).cast("B")
        if target.readonly:
            message = f"recv_into: a read-only {type(buffer).__name__}: expected a writable buffer"
            raise TypeError(message)
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
            await self._in_time("recv_exactly", self._wait_for(count))
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
            partial = self._protocol.buffer.take(sys.maxsize)
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

    @types.coroutine
    def __anext__(self) -> Generator[Any, None, bytes]:
        protocol = self._protocol
        if protocol.buffer.size or protocol.needed or protocol.ended:
            data = yield from self.recv().__await__()
        else:
            # What recv would do. A generator gives the Wakeup to the task itself, without an iterator in between: for
            # each message a frame, two objects and a level of delegation less. It cannot be made a task of, as a
            # coroutine could; for that there is recv.
            transport = self._transport
            readable = protocol.readable
            protocol.needed = 1
            transport.receiver = readable
            readable._asyncio_future_blocking = True  # noqa: SLF001 - asyncio's  # pyright: ignore[reportPrivateUsage]
            try:
                yield readable
            finally:
                protocol.needed = 0
                transport.receiver = None
            chunk = transport.chunk
            if chunk is not None:
                transport.chunk = None
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
        if end < 0:
            end = await self._in_time(operation, self._find_on(operation, separator, max_bytes))
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

    async def _in_time(self, operation: str, arrival: Coroutine[Any, Any, _T]) -> _T:
        """Wait for what makes a message whole, at most the message timeout."""
        if self._message_timeout is None:
            return await arrival
        timeout = asyncio.timeout(self._message_timeout)
        try:
            async with timeout:
                return await arrival
        except TimeoutError:
            if not timeout.expired():  # another deadline's
                raise
        self._protocol.late = f"no whole message within {self._message_timeout:g} s"
        self._transport.abort()
        raise too_late(operation, self._transport, self._protocol.late)

    async def _wait_for(self, count: int) -> None:
        protocol = self._protocol
        if protocol.ended:
            return
        protocol.needed = count
        try:
            if protocol.paused:
                protocol.read_on()
            await protocol.readable
        finally:
            protocol.needed = 0

    def _arrived(self, operation: str, max_bytes: int) -> bytes:
        """Take what has arrived, or say why nothing has."""
        protocol = self._protocol
        data = self._transport.chunk
        if data is not None:
            self._transport.chunk = None
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

    async def _let_others_run(self) -> None:
        """Let the loop come round once, as a receiver that needs more than there will be: a second one is refused."""
        self._budget = _BUDGET
        self._protocol.needed = sys.maxsize
        try:
            await asyncio.sleep(0)
        finally:
            self._protocol.needed = 0

    def _busy(self, operation: str) -> AionetError:
        if self._closed:  # the receiver that waited has not run yet
            return ClosedStreamError.of(operation, self._ends("<->"))
        return BusyError(f"{operation} on {self._ends('<-')}: another task is receiving")

    def _no_more(self, operation: str) -> bytes:
        """Nothing has arrived and nothing will: return the end of stream, or raise what ended it."""
        if self._closed or not self._protocol.eof:
            self._raise_if_over(operation)
        return b""
