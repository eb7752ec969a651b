"""A connection for each message: mode connect, the accept rate.

A connection is made for the client as soon as the kernel has put it into the server's backlog, whether the server has
called accept or not. So each connection also has one message echoed: only a server that has accepted answers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aionet.bench.links.exchange import Exchange
from aionet.bench.links.link import RETRY

if TYPE_CHECKING:
    from aionet.bench.links.link import Run

__all__ = ["Connecting"]


class Connecting(Exchange):
    """Connects, sends a message, waits for the reply and closes; the latency is that of all of it."""

    __slots__ = ("_asked",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._asked: int | None = None  # when the connection that is under way was due

    @property
    def under_way(self) -> int:
        """As Link.under_way."""
        return self._asked is not None

    @property
    def oldest(self) -> int | None:
        """As Link.oldest."""
        return self._asked

    def begin(self, count: int, due: int) -> None:
        """Open a connection."""
        self._asked = due
        self.open()

    def ready(self) -> None:
        """As Link.ready."""
        self._writer = self._run.messages.writer()
        expect = self._run.plan.expect
        self._counter = self._run.messages.echoes() if expect is None else expect.counter()
        self._recv = self.sock.recv
        super().begin(1, time.monotonic_ns() if self._asked is None else self._asked)

    def answered(self, done: int, now: int) -> None:
        """As Exchange.answered."""
        self._asked = None
        self.close()
        self._pacing.free(self, 1, now)

    def lost(self, why: str) -> None:
        """Count it, and go on with the next connection."""
        self._book.errors[why] += 1
        self._asked = None
        self.close()
        if not self._run.closing:
            self._reopening = self._run.loop.call_later(0 if self._worked else RETRY, self._next)

    def _next(self) -> None:
        self._reopening = None
        self._pacing.free(self, 1, time.monotonic_ns())
