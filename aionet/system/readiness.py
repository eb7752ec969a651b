"""When a descriptor becomes readable or writable: who waits for it, in which order, and the registration with the loop.

A registration stays for as long as somebody comes back to wait: the event is level-triggered, so what arrives while
nobody waits is announced once, that finds nobody, and only then the registration is removed.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from aionet.system.poller import READABLE, WRITABLE, poller_of
from aionet.system.wakeup import WaitQueue, Wakeup

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

__all__ = ["DescriptorReadiness", "Readiness"]


class Readiness:
    """One direction of one descriptor: those who wait for it, resumed one for each event, in the order of coming.

    The one that is resumed takes what there is, and what is left brings the next event. ``waiters`` counts those who
    wait: whoever comes while there are any has to queue behind them. ``_first`` is reused from wait to wait, so that
    the usual single waiter costs no allocation. ``changed`` is called when ``wanted`` does.
    """

    __slots__ = ("_changed", "_first", "_queue", "waiters", "wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self.wanted = False
        self.waiters = 0
        self._changed = changed
        self._first = Wakeup(loop)
        self._queue = WaitQueue(loop)

    @types.coroutine
    def wait(self, *, again: bool = False) -> Generator[Any, None, None]:
        """Wait for the next event that is not an earlier waiter's. Cancelled: the next waiter gets it.

        ``again`` keeps the place of one that was resumed and found nothing.
        """
        if not self.wanted:
            self.wanted = True
            self._changed()
        self.waiters += 1
        try:
            if self.waiters == 1:
                self._first._asyncio_future_blocking = True  # noqa: SLF001 - as in Wakeup  # pyright: ignore[reportPrivateUsage]
                yield self._first
            else:
                yield from self._queue.wait(in_front=again).__await__()
        finally:
            self.waiters -= 1

    def ready(self) -> None:
        """Resume the first waiter; if there is none, want no more events."""
        first = self._first
        if first.callback is not None:
            first.wake()
        elif not self._queue.wake_first():
            self.wanted = False
            self._changed()

    def close(self) -> None:
        """Want no more events, and resume everybody in the loop's next turn: they find the descriptor gone."""
        self.wanted = False
        self._first.wake_soon()
        self._queue.wake_all_soon()


class DescriptorReadiness:
    """Both directions of one descriptor, and its place with the poller."""

    __slots__ = ("_fd", "_poller", "reading", "writing")

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._fd = fd
        self._poller = poller_of(loop)
        self.reading = Readiness(loop, self._changed)
        self.writing = Readiness(loop, self._changed)

    def _changed(self) -> None:
        events = (READABLE if self.reading.wanted else 0) | (WRITABLE if self.writing.wanted else 0)
        if events:
            self._poller.watch(self._fd, events, self._on_ready)
        else:
            self._poller.forget(self._fd)

    def _on_ready(self, events: int) -> None:
        # An error or a hang-up is for both: whoever tries next is told what it is.
        if self.reading.wanted and events & ~WRITABLE:
            self.reading.ready()
        if self.writing.wanted and events & ~READABLE:
            self.writing.ready()

    def close(self) -> None:
        """Forget the descriptor, before it is closed; whoever waits is resumed in the loop's next turn."""
        self._poller.forget(self._fd)
        self.reading.close()
        self.writing.close()
