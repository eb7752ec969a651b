"""Bytes in one direction only, over a stream: modes sink and source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aionet.bench.links.link import NOT_NOW, Link, reason
from aionet.bench.messages import READ_SIZE
from aionet.system.poller import READABLE, WRITABLE

if TYPE_CHECKING:
    from aionet.bench.links.link import Run

__all__ = ["Sink", "Source"]

# Messages that one link sends before the others have their turn.
_TURN: Final = 16


class Sink(Link):
    """Sends to a server that takes everything. A message counts when the kernel has taken all of it."""

    __slots__ = ("_rest", "_waiting", "_writer")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._rest = memoryview(b"")
        self._waiting = 0  # messages that are due and not begun

    def ready(self) -> None:
        """As Link.ready."""
        self._rest = memoryview(b"")
        self._waiting = 0
        self._writer = self._run.messages.writer()
        self._pacing.ready(self, 1)

    @property
    def under_way(self) -> int:
        """As Link.under_way."""
        return self._waiting + bool(self._rest)

    def begin(self, count: int, due: int) -> None:
        """As Link.begin."""
        self._waiting += count
        if not self._rest:
            self.watch(READABLE | WRITABLE)

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        if events & ~WRITABLE and not self._receive():
            return
        if events & WRITABLE:
            self._send()

    def _send(self) -> None:
        book = self._book
        for _ in range(_TURN):
            if not self._rest:
                if not self._waiting:
                    self.watch(READABLE)
                    return
                self._waiting -= 1
                self._rest = memoryview(self._writer.next(1))
                book.sent += 1
            try:
                sent = self.sock.send(self._rest)
            except NOT_NOW:
                return
            except OSError as error:
                self.lost(reason("send", error))
                return
            book.bytes_sent += sent
            self._rest = self._rest[sent:]
            if self._rest:
                return
            book.replies += 1
            self._worked = True
            self._pacing.free(self, 1, time.monotonic_ns())

    def _receive(self) -> bool:
        """Take what a server says that should say nothing; return whether the connection is still there."""
        try:
            data = self.sock.recv(READ_SIZE)
        except NOT_NOW:
            return True
        except OSError as error:
            self.lost(reason("receive", error))
            return False
        if not data:
            self.lost("closed by the server")
            return False
        self._book.errors["bytes from a server that should only take them"] += 1
        return True

    def close(self) -> None:
        """As Link.close."""
        super().close()
        self._rest = memoryview(b"")
        self._waiting = 0


class Source(Link):
    """Receives from a server that sends unasked, or once it has had the request. So many bytes count as a message."""

    __slots__ = ("_received", "_size")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._size = run.messages.mean
        self._received = 0.0

    def ready(self) -> None:
        """As Link.ready."""
        request = self._run.plan.request
        try:
            if request is not None and self.sock.send(request) < len(request):
                self.lost("send: the request is too long")
        except OSError as error:
            self.lost(reason("send", error))

    def begin(self, count: int, due: int) -> None:
        """Nothing is sent."""

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        try:
            data = self.sock.recv(READ_SIZE)
        except NOT_NOW:
            return
        except OSError as error:
            self.lost(reason("receive", error))
            return
        if not data:
            self.lost("closed by the server")
            return
        book = self._book
        book.bytes_received += len(data)
        whole, self._received = divmod(self._received + len(data), self._size)
        book.replies += int(whole)
        self._worked = True
