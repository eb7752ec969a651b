"""Looking at what comes without taking it, and putting back what was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.errors import ClosedStreamError
from aionet.stream.receiving import ReceivingStream

if TYPE_CHECKING:
    from aionet.system.types import Buffer

__all__ = ["PeekingStream"]


class PeekingStream(ReceivingStream):
    """Receives, and lets its user look first: a server may have to see which protocol a client speaks."""

    __slots__ = ()

    async def peek(self, count: int) -> bytes:
        """Wait until ``count`` bytes have arrived, and return them; the next receiver gets them all the same.

        At the end of stream: what there is, fewer than ``count``. Cancelled: nothing is lost.

        Raises:
            StreamTimeoutError: the message timeout passed.
            ValueError: ``count`` is less than 1.

        The others as recv.

        """
        if count < 1:
            raise ValueError(f"peek: count={count!r}: expected at least 1")
        buffer = self._protocol.buffer
        await self._ready("peek")
        if buffer.size < count:
            await self._in_time("peek", self._wait_for(count))
            if buffer.size < count and not buffer.size:
                self._no_more("peek")
        return buffer.peek(0, count)

    def unread(self, data: Buffer) -> None:
        """Put bytes back: whoever receives next gets them first. After the end of stream, too.

        Raises:
            BusyError: another task is receiving.
            ClosedStreamError: you closed the stream.

        """
        if self._protocol.needed:
            raise self._busy("unread")
        if self._closed:
            raise ClosedStreamError.of("unread", self._ends("<-"))
        self._protocol.buffer.unread(data if type(data) is bytes else bytes(memoryview(data)))
