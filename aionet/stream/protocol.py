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
    from collections.abc import Awaitable

    from aionet.transport.stream import StreamTransport

__all__ = ["StreamProtocol"]


class StreamProtocol(Protocol):
    """Gathers what arrives and resumes those who wait for it.

    ``needed`` is how many bytes a receiver waits for, 0 while there is none; it sleeps through what is less. One that
    takes whatever comes, while nothing is here, is the transport's ``receiver``, and the buffer is not touched. Reading
    pauses above ``limit`` bytes that nobody has taken, unless the receiver needs more than that.
    """

    __slots__ = (
        "_closers",
        "_loop",
        "_writers",
        "buffer",
        "ended",
        "eof",
        "late",
        "limit",
        "look",
        "needed",
        "paused",
        "readable",
        "stalled_since",
        "transport",
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
        self.late: str | None = None  # the deadline that passed, if the connection was given up for one
        self.look: asyncio.TimerHandle | None = None  # when the deadlines are looked at next
        self.stalled_since: float | None = None  # the loop's time when the write queue rose above high water
        self.readable = Wakeup(loop)
        # Made when somebody waits: most connections never do, and their making is a part of every accept.
        self._writers: WaitQueue | None = None  # those above high water
        self._closers: WaitQueue | None = None  # those in aclose

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
        """Read on after a pause, once half of the buffer is free again: a byte that is taken lets not much more in."""
        if self.buffer.size <= self.limit // 2:
            self.read_on()

    def read_on(self) -> None:
        """Read on after a pause: a receiver needs more than there is."""
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
        if self._writers is not None:
            self._writers.wake_all()

    def connection_lost(self, exc: Exception | None) -> None:
        """Resume everybody: it is over."""
        self.ended = True
        if self.look is not None:
            self.look.cancel()
        self.readable.wake()
        if self._writers is not None:
            self._writers.wake_all()
        if self._closers is not None:
            self._closers.wake_all()

    def abandon(self) -> None:
        """The user has closed the stream: drop what was received, and tell those who wait, in the loop's next turn."""
        self.ended = True
        self.buffer.clear()
        self.readable.wake_soon()
        if self._writers is not None:
            self._writers.wake_all_soon()

    def may_write(self) -> Awaitable[None]:
        """Wait for resume_writing, or for the end."""
        if self._writers is None:
            self._writers = WaitQueue(self._loop)
        return self._writers.wait()

    def is_lost(self) -> Awaitable[None]:
        """Wait for connection_lost."""
        if self._closers is None:
            self._closers = WaitQueue(self._loop)
        return self._closers.wait()
