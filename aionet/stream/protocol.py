"""What stands between a transport's callbacks and the tasks that await a stream.

The transport holds the protocol, and the protocol holds whoever waits; neither refers to the Stream that users hold. So
a stream that is dropped unclosed can be collected, and say so, while one that somebody awaits stays alive: its waiter
is held by the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.system.wakeup import WaitQueue, Wakeup
from aionet.transport.protocol import Protocol
from aionet.wire.buffer import ReceiveBuffer

if TYPE_CHECKING:
    import asyncio

    from aionet.errors import AionetError
    from aionet.transport.stream import StreamTransport

__all__ = ["StreamProtocol"]


class StreamProtocol(Protocol):
    """Gathers what arrives and resumes those who wait for it.

    ``needed`` is how many bytes a receiver waits for, 0 while there is none; it sleeps through what is less. One that
    takes whatever comes, while nothing is here, is the transport's ``receiver``, and the buffer is not touched. Reading
    pauses above ``limit`` bytes that nobody has taken, unless the receiver needs more than that.
    """

    __slots__ = (
        "_loop",
        "buffer",
        "closed",
        "ended",
        "eof",
        "failure",
        "limit",
        "needed",
        "paused",
        "readable",
        "stalled_since",
        "transport",
        "writers",
    )

    transport: StreamTransport

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self.buffer = ReceiveBuffer()
        self.limit = limit
        self.needed = 0
        self.paused = False
        self.ended = False  # nothing more will arrive, or nobody wants it
        self.eof = False  # because the peer has sent its end
        self.failure: AionetError | None = None  # why aionet itself gave the connection up
        self.stalled_since: float | None = None  # the loop's time when the write queue rose above high water
        self.readable = Wakeup(loop)
        self.writers = WaitQueue(loop)  # those above high water
        self.closed = WaitQueue(loop)  # those in aclose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Keep it, and resume the receiver if it needs no more."""
        buffer = self.buffer
        buffer.append(data)
        if buffer.size >= self.needed:
            self.readable.wake()
        # Asked anew: the receiver may have taken it, or looked at it and found that it needs more.
        if buffer.size > self.limit and buffer.size >= self.needed and not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on after a pause."""
        self.paused = False
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Resume the receiver with what there is; sending goes on."""
        self.ended = self.eof = True
        self.readable.wake()
        return True

    def pause_writing(self) -> None:
        """Note since when the write queue is above high water."""
        self.stalled_since = self._loop.time()

    def resume_writing(self) -> None:
        """Resume those who wait above high water."""
        self.stalled_since = None
        self.writers.wake_all()

    def connection_lost(self, exc: Exception | None) -> None:
        """Resume everybody: it is over."""
        self.ended = True
        self.readable.wake()
        self.writers.wake_all()
        self.closed.wake_all()

    def abandon(self) -> None:
        """The user has closed the stream: drop what was received, and tell those who wait, in the loop's next turn."""
        self.ended = True
        self.buffer.clear()
        self.readable.wake_soon()
        self.writers.wake_all_soon()
