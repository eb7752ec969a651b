"""Messages and replies over a stream: modes echo and request-file."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from aionet.bench.buckets import MASKS
from aionet.bench.expect import WrongReplyError
from aionet.bench.links.link import NOT_NOW, Link, reason
from aionet.bench.messages import READ_SIZE
from aionet.system.poller import READABLE, WRITABLE

if TYPE_CHECKING:
    from aionet.bench.expect import Counter
    from aionet.bench.links.link import Run
    from aionet.bench.messages import Writer

__all__ = ["Exchange"]


class Exchange(Link):
    """Sends when it is told to; a reply is the answer to the oldest message that has none."""

    __slots__ = ("_counter", "_due", "_recv", "_unsent", "_writer")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._due: deque[int] = deque()
        self._unsent: deque[bytes | memoryview] = deque()

    def ready(self) -> None:
        """As Link.ready."""
        self._due.clear()
        self._unsent.clear()
        run = self._run
        self._writer: Writer = run.messages.writer()
        self._counter: Counter = run.messages.echoes() if run.plan.expect is None else run.plan.expect.counter()
        self._recv = self.sock.recv
        self._pacing.ready(self, run.plan.pipeline)

    @property
    def under_way(self) -> int:
        """As Link.under_way."""
        return len(self._due)

    @property
    def oldest(self) -> int | None:
        """As Link.oldest."""
        return self._due[0] if self._due else None

    def begin(self, count: int, due: int) -> None:
        """As Link.begin."""
        data = self._writer.next(count)
        book = self._book
        book.sent += count
        book.bytes_sent += len(data)
        if count == 1:
            self._due.append(due)
        else:
            self._due.extend([due] * count)
        if self._unsent:
            self._unsent.append(data)
            return
        try:
            sent = self._sock.send(data)  # type: ignore[union-attr]  # there is one: it is up
        except NOT_NOW:
            sent = 0
        except OSError as error:
            self.lost(reason("send", error))
            return
        if sent < len(data):
            self._unsent.append(memoryview(data)[sent:])
            self.watch(READABLE | WRITABLE)

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        if self._unsent and events & WRITABLE:
            self._send_rest()
            if not events & ~WRITABLE or not self.up:
                return
        try:
            data = self._recv(READ_SIZE)
        except NOT_NOW:
            return
        except OSError as error:
            self.lost(reason("receive", error))
            return
        if not data:
            self._ended()
            return
        try:
            done = self._counter.feed(data)
        except WrongReplyError as error:
            self.lost(str(error))
            return
        self._book.bytes_received += len(data)
        if done:
            self._replied(done)

    def _replied(self, done: int) -> None:
        now = time.monotonic_ns()
        due = self._due
        if done > len(due):
            self.lost("more replies than requests")
            return
        book = self._book
        counts = book.latency
        if done == 1:
            took = now - due.popleft()
            counts[took & MASKS[took.bit_length()]] += 1
        else:
            for _ in range(done):
                took = now - due.popleft()
                counts[took & MASKS[took.bit_length()]] += 1
        book.replies += done
        self._worked = True
        self.answered(done, now)

    def answered(self, done: int, now: int) -> None:
        """So many replies have come: the next messages may be sent."""
        self._pacing.free(self, done, now)

    def _ended(self) -> None:
        if self._counter.inside:
            self.lost("closed by the server inside a reply")
        else:
            self.lost("closed by the server")

    def _send_rest(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                sent = self.sock.send(unsent[0])
                if sent < len(unsent[0]):
                    unsent[0] = memoryview(unsent[0])[sent:]
                    return
                unsent.popleft()
        except NOT_NOW:
            return
        except OSError as error:
            self.lost(reason("send", error))
            return
        self.watch(READABLE)

    def close(self) -> None:
        """As Link.close."""
        super().close()
        self._due.clear()
        self._unsent.clear()
