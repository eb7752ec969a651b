"""When messages are sent.

A closed loop sends the next message when the last one was answered. It finds out how much a server can do. But while
the server stalls it sends nothing, so the stall shows in one latency for each connection, where users would have come
by the hundreds in the meantime: "coordinated omission". An open loop sends on schedule, whatever comes back, and counts
each latency from when the message was due, so that all who would have waited are counted.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from aionet.bench.alarm import alarm
from aionet.bench.buckets import MASKS

if TYPE_CHECKING:
    import asyncio

    from aionet.bench.links.link import Link
    from aionet.bench.plan import Plan
    from aionet.bench.slot import Book

__all__ = ["MOST_UNDER_WAY", "TOO_MANY", "ClosedLoop", "OpenConnecting", "OpenLoop", "Pacing", "pacing"]

# Messages sent one after the other when the schedule has run ahead, before replies are read again.
_BURST: Final = 64
# Messages not answered, over all connections: with so many a server is not slow but gone.
MOST_UNDER_WAY: Final = 500_000
TOO_MANY: Final = "not sent: too many are waiting"


class Pacing(Protocol):
    """Tells the links when to send."""

    def start(self, when: int) -> None:
        """Begin at this time.monotonic_ns()."""
        ...

    def stop(self) -> None:
        """Nothing more is due. What was due and could not be sent yet still may be."""
        ...

    def give_up(self) -> int:
        """Return how many were due and have not been sent; they will not be."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether there are any."""
        ...

    def ready(self, link: Link, count: int) -> None:
        """The link is there, with room for so many messages under way."""
        ...

    def free(self, link: Link, count: int, now: int) -> None:
        """So many of the link's messages have been answered."""
        ...

    def lost(self, link: Link) -> None:
        """The link is no longer connected."""
        ...


class ClosedLoop:
    """Who has its answer sends the next message."""

    def __init__(self) -> None:
        self._running = False
        self._stopped = False
        self._waiting: dict[Link, int] = {}

    def start(self, when: int) -> None:
        """As Pacing.start, but now."""
        self._running = True
        waiting, self._waiting = self._waiting, {}
        for link, count in waiting.items():
            self.ready(link, count)

    def stop(self) -> None:
        """As Pacing.stop."""
        self._running = False
        self._stopped = True

    def give_up(self) -> int:
        """As Pacing.give_up."""
        return 0

    @property
    def waiting(self) -> bool:
        """As Pacing.waiting."""
        return False

    def ready(self, link: Link, count: int) -> None:
        """As Pacing.ready."""
        if self._running:
            link.begin(count, time.monotonic_ns())
        elif not self._stopped:
            self._waiting[link] = count

    def free(self, link: Link, count: int, now: int) -> None:
        """As Pacing.free."""
        if self._running:
            link.begin(count, now)

    def lost(self, link: Link) -> None:
        """As Pacing.lost."""
        self._waiting.pop(link, None)


class OpenLoop:
    """Sends on schedule, on each link in turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: Plan, book: Book) -> None:
        self._interval = 1e9 / (plan.rate or 1.0)
        self._random = random.Random(plan.seed) if plan.arrivals == "poisson" else None  # noqa: S311 - no secret
        self._offset = plan.offset * 1e9
        self._book = book
        self._alarm = alarm(loop, self._ring)
        self._first = 0.0
        self._count = 0  # of messages on schedule so far
        self._due = 0.0
        self._stopped = False
        self._links: deque[Link] = deque()
        self._most = max(MOST_UNDER_WAY // plan.connections, 1)

    def start(self, when: int) -> None:
        """As Pacing.start."""
        self._due = self._first = when + self._offset
        self._alarm.set(int(self._due))

    def stop(self) -> None:
        """As Pacing.stop."""
        self._stopped = True
        self._alarm.close()

    def give_up(self) -> int:
        """As Pacing.give_up."""
        return 0

    @property
    def waiting(self) -> bool:
        """As Pacing.waiting."""
        return False

    def ready(self, link: Link, count: int) -> None:
        """As Pacing.ready."""
        self._links.append(link)

    def free(self, link: Link, count: int, now: int) -> None:
        """As Pacing.free: the schedule does not ask."""

    def lost(self, link: Link) -> None:
        """As Pacing.lost."""
        if link in self._links:
            self._links.remove(link)

    def _ring(self) -> None:
        now = time.monotonic_ns()
        for _ in range(_BURST):
            if self._due > now or self._stopped:
                break
            self._pass_on(int(self._due))
            self._advance()
        if not self._stopped:
            self._alarm.set(int(self._due))

    def _advance(self) -> None:
        self._count += 1
        if self._random is None:
            self._due = self._first + self._count * self._interval  # and not a sum, which would drift
        else:
            self._due += self._random.expovariate(1) * self._interval

    def _pass_on(self, due: int) -> None:
        links = self._links
        if not links:
            self._book.errors["not sent: no connection"] += 1
            return
        link = links[0]
        links.rotate(-1)
        if link.under_way < self._most:
            self._send(link, due)
        else:
            self._book.errors[TOO_MANY] += 1

    def _send(self, link: Link, due: int) -> None:
        late = time.monotonic_ns() - due
        self._book.lag[late & MASKS[late.bit_length()]] += 1
        link.begin(1, due)


class OpenConnecting(OpenLoop):
    """Opens connections on schedule: a link is a place for one, and what finds no place waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: Plan, book: Book) -> None:
        super().__init__(loop, plan, book)
        self._late: deque[int] = deque()  # when those were due that wait

    def give_up(self) -> int:
        """As Pacing.give_up."""
        count = len(self._late)
        self._late.clear()
        return count

    @property
    def waiting(self) -> bool:
        """As Pacing.waiting."""
        return bool(self._late)

    def free(self, link: Link, count: int, now: int) -> None:
        """As Pacing.free."""
        if self._late:
            self._send(link, self._late.popleft())
        else:
            self._links.append(link)

    def lost(self, link: Link) -> None:
        """As Pacing.lost: a connection has ended, its place is still there."""

    def _pass_on(self, due: int) -> None:
        if self._links:
            self._send(self._links.popleft(), due)
        elif len(self._late) < MOST_UNDER_WAY:
            self._late.append(due)
        else:
            self._book.errors[TOO_MANY] += 1


def pacing(loop: asyncio.AbstractEventLoop, plan: Plan, book: Book) -> Pacing:
    """Return what the plan asks for."""
    if not plan.open_loop:
        return ClosedLoop()
    return OpenConnecting(loop, plan, book) if plan.mode == "connect" else OpenLoop(loop, plan, book)
