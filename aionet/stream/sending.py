"""The sending half of a stream.

What the kernel takes at once is sent without waiting; the transport says when a sender must wait, or only let the loop
come round.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aionet.errors import AionetError, ClosedError, ClosedStreamError
from aionet.stream.failures import broken, failure_of
from aionet.stream.framed import FramingStream
from aionet.stream.sendfile import send_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from aionet.system.types import Buffer

__all__ = ["SendingStream"]


class SendingStream(FramingStream):
    """Sends bytes, buffers, files, and the end."""

    __slots__ = ()

    async def send(self, data: Buffer) -> None:
        """Send all of ``data``; where more than high water (64 KiB) is queued, wait for low water (16 KiB).

        All of it is taken before the first wait, so cancelling never cuts it in two; the buffer is yours again on
        return. Concurrent sends leave in the order of the calls.

        Raises:
            BrokenStreamError: the connection broke; from then on, every time.
            StreamTimeoutError: a timeout has aborted the stream.
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
        What cannot seek, such as a pipe, is sent from where it stands, and the loop waits while it is read; cancelled,
        the rest is not sent.
        Source: sendfile(2), which regular files are sent with; others are read in pieces.
        """
        self._raise_if_over("sendfile")
        try:
            sent = await send_file(self, self._transport, file, offset, count)
        except ClosedError as exc:
            raise self._send_error("sendfile", exc) from exc
        await asyncio.sleep(0)  # as in _below_high_water
        self._raise_if_over("sendfile")
        return sent

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
        else:
            await asyncio.sleep(0)  # as in _below_high_water
        self._raise_if_over(operation)

    async def _below_high_water(self, operation: str) -> None:
        if self._transport.must_wait():
            await self._protocol.may_write()
        else:
            await asyncio.sleep(0)  # the kernel keeps up; the other tasks must, too
        self._raise_if_over(operation)

    def _send_error(self, operation: str, exc: OSError) -> AionetError:
        failure = failure_of(operation, self._transport, self._protocol, closed=self._closed)
        if failure is None and isinstance(exc, ClosedError):
            return ClosedStreamError.of(operation, f"{self._ends('->')} after send_eof")
        return failure or broken(operation, self._transport, exc)
