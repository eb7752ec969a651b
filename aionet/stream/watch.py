"""The deadlines of a stream: first bytes, idle, write stall.

One timer a stream, and none where no deadline is set. It looks at the counters that the transport keeps anyway, so a
message costs nothing; the price is that an idle stream is found up to a quarter of its timeout late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aionet.wire.lifecycle import CLOSING_STATES

if TYPE_CHECKING:
    import asyncio

    from aionet.options import Timeouts
    from aionet.stream.protocol import StreamProtocol
    from aionet.transport.stream import StreamTransport

__all__ = ["watch"]

# Looks for each timeout: more find an idle stream sooner and cost more.
_LOOKS: Final = 4


def watch(
    loop: asyncio.AbstractEventLoop, transport: StreamTransport, protocol: StreamProtocol, timeouts: Timeouts
) -> None:
    """Abort the stream with StreamTimeoutError once one of its deadlines has passed."""
    if timeouts.first_bytes is None and timeouts.idle is None and timeouts.write_stall is None:
        return  # the usual case, at the price of a comparison
    shortest = min(filter(None, (timeouts.first_bytes, timeouts.idle, timeouts.write_stall)), default=None)
    if shortest is not None:
        _Watch(loop, transport, protocol, timeouts, shortest / _LOOKS)


class _Watch:
    """Held by its timer, which the protocol cancels when the connection is lost.

    A timer that ran on would keep a connection that has ended, and there may be a thousand such in each second.
    """

    __slots__ = ("_active", "_began", "_bytes", "_interval", "_loop", "_protocol", "_timeouts", "_transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: StreamTransport,
        protocol: StreamProtocol,
        timeouts: Timeouts,
        interval: float,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol = protocol
        self._timeouts = timeouts
        self._interval = interval
        self._began = self._active = loop.time()
        self._bytes = 0
        protocol.look = loop.call_later(interval, self._look)

    def _look(self) -> None:
        transport = self._transport
        if transport.state in CLOSING_STATES:
            return
        now = self._loop.time()
        moved = transport.bytes_read + transport.bytes_written
        if moved != self._bytes:
            self._bytes = moved
            self._active = now
        late = self._late(now)
        if late is None:
            self._protocol.look = self._loop.call_later(self._interval, self._look)
            return
        self._protocol.late = late
        transport.abort()

    def _late(self, now: float) -> str | None:
        timeouts = self._timeouts
        silent = not self._transport.bytes_read
        if silent and timeouts.first_bytes is not None and now - self._began >= timeouts.first_bytes:
            return f"no byte within {timeouts.first_bytes:g} s"
        if timeouts.idle is not None and now - self._active >= timeouts.idle:
            return f"idle for {timeouts.idle:g} s"
        stalled = self._protocol.stalled_since
        if timeouts.write_stall is not None and stalled is not None and now - stalled >= timeouts.write_stall:
            return f"the peer let {timeouts.write_stall:g} s pass without receiving enough of what was sent"
        return None
