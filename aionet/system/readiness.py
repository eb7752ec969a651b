"""When a descriptor becomes readable or writable: who waits for it, in which order, and the registration with the loop.

A registration stays for as long as somebody comes back to wait: the event is level-triggered, so what arrives while
nobody waits is announced once, that finds nobody, and only then the registration is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.system.wakeup import WaitQueue, Wakeup

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Readiness"]


class Readiness:
    """One direction of one descriptor.

    Each event resumes one waiter, the one that came first: it takes what there is, and what is left brings the next
    event. ``_first`` is reused from wait to wait, so that the usual single waiter costs no allocation; it is taken only
    while nobody queues behind it, which keeps the order.
    """

    __slots__ = ("_add", "_fd", "_first", "_queue", "_registered", "_remove", "_taken")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        add: Callable[[int, Callable[[], None]], object],
        remove: Callable[[int], object],
    ) -> None:
        self._fd = fd
        self._add = add
        self._remove = remove
        self._registered = False
        self._first = Wakeup(loop)
        self._taken = False
        self._queue = WaitQueue(loop)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits: whoever comes now has to queue."""
        return self._taken

    async def wait(self) -> None:
        """Wait for the next event that is not an earlier waiter's. Cancelled: the next waiter gets it."""
        if not self._registered:
            self._registered = True
            self._add(self._fd, self._on_ready)
        if self._taken or self._queue:
            await self._queue.wait()
            return
        self._taken = True
        try:
            await self._first
        finally:
            self._taken = False

    def _on_ready(self) -> None:
        if self._first.waiting:
            self._first.wake()
        elif not self._queue.wake_first():
            self.unregister()

    def unregister(self) -> None:
        """Ask the loop for no more events."""
        if self._registered:
            self._registered = False
            self._remove(self._fd)

    def close(self) -> None:
        """Unregister, and resume everybody in the loop's next turn: they find the descriptor gone."""
        self.unregister()
        self._first.wake_soon()
        self._queue.wake_all_soon()
