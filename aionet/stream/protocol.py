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

    ``needed`` is how many bytes the receiver waits for: it sleeps through what is less. Reading pauses above ``limit``
    bytes that nobody has taken, unless the receiver needs more than that.
    """

    __slots__ = (
        "_loop",
        "buffer",
        "chunk",
        "closed",
        "ended",
        "eof",
        "failure",
        "limit",
        "needed",
        "paused",
        "readable",
        "receiving",
        "stalled_since",
        "transport",
        "waiting",
        "writers",
    )

    transport: StreamTransport

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.buffer = ReceiveBuffer()
        self.chunk: bytes | None = None
        self.limit = limit
        self.needed = 1
        self.waiting = False  # ... one that takes any number of bytes, and there are none
        self.receiving = False  # a task is inside a receiving operation
        self.paused = False
        self.ended = False  # nothing more will arrive
        self.eof = False  # because the peer has sent its end
        self.failure: AionetError | None = None  # why aionet itself gave the connection up
        self.stalled_since: float | None = None  # the loop's time when the write queue rose above high water
        self._loop = loop
        self.readable = Wakeup(loop)
        self.writers = WaitQueue(loop)  # those above high water
        self.closed = WaitQueue(loop)  # those in aclose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Keep it, and resume the receiver if that is enough."""
        if self.waiting:
            # The common case: handed over without a stop in the buffer.
            self.chunk = data
            self.readable.wake()
            if self.chunk is None:
                return
            self.chunk = None  # cancelled in this very turn
        buffer = self.buffer
        buffer.append(data)
        if buffer.size >= self.needed:
            self.readable.wake()
            if buffer.size > self.limit and not self.paused:
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

    def connection_lost(self, _exc: Exception | None) -> None:
        """Resume everybody: it is over."""
        self.ended = True
        self.readable.wake()
        self.writers.wake_all()
        self.closed.wake_all()
