"""Datagrams: modes echo, sink, source and request-file over UDP.

A datagram that is echoed begins with a number of eight bytes, which says what became of it: no reply within the timeout
is a loss, a second reply a duplicate, a reply with a lower number than one before it has been overtaken. Jitter is
RTP's (RFC 3550 section 6.4.1), of the round trip.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aionet.bench.buckets import MASKS
from aionet.bench.links.link import NOT_NOW, Link, reason
from aionet.bench.messages import READ_SIZE, WRONG_BYTES
from aionet.bench.plan import SEQUENCE
from aionet.system.poller import READABLE, WRITABLE

if TYPE_CHECKING:
    from aionet.bench.links.link import Run

__all__ = ["DatagramEcho", "DatagramRequest", "DatagramSink", "DatagramSource"]

# Datagrams that one link takes, or sends, before the others have their turn.
_TURN: Final = 32
# Numbers of lost datagrams that are kept, to know a late reply from a duplicate.
_LOST_KEPT: Final = 65536
_JITTER_GAIN: Final = 1 / 16


class _Datagrams(Link):
    """What all of them have in common: a connected socket whose errors are counted, and which stays open."""

    __slots__ = ()

    def _receive(self) -> bytes | None:
        """Return the next datagram, None where there is none."""
        try:
            return self.sock.recv(READ_SIZE)
        except NOT_NOW:
            return None
        except OSError as error:  # an ICMP message: for one datagram, and no end of the socket
            self._book.errors[reason("receive", error)] += 1
            return None

    def _send(self, data: bytes) -> bool:
        """Send a datagram; return whether the kernel took it."""
        try:
            self.sock.send(data)
        except NOT_NOW:
            return False
        except OSError as error:  # as above, or no buffers
            self._book.errors[reason("send", error)] += 1
            return False
        self._book.sent += 1
        self._book.bytes_sent += len(data)
        return True


class DatagramEcho(_Datagrams):
    """Numbered datagrams, and their echoes."""

    __slots__ = (
        "_blocked",
        "_flying",
        "_highest",
        "_jitter",
        "_last_trip",
        "_lost",
        "_many",
        "_next",
        "_sizes",
        "_tails",
    )

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._sizes = run.messages.sizes
        # What follows the number; by size, since slicing it anew for each datagram costs more than looking it up.
        self._tails = {size: run.messages.block[SEQUENCE:size] for size in self._sizes}
        self._flying: dict[int, int] = {}  # number: when it was due
        self._lost: dict[int, None] = {}
        self._next = 0
        self._highest = -1
        self._last_trip = 0
        self._jitter = 0.0
        self._blocked = 0
        self._many = run.plan.pipeline > 1 or run.plan.open_loop

    def ready(self) -> None:
        """As Link.ready."""
        self._worked = True
        self._pacing.ready(self, self._run.plan.pipeline)

    @property
    def under_way(self) -> int:
        """As Link.under_way."""
        return len(self._flying)

    @property
    def jitter(self) -> float:
        """The jitter so far, in nanoseconds."""
        return self._jitter

    def begin(self, count: int, due: int) -> None:
        """As Link.begin."""
        sizes = self._sizes
        for left in range(count, 0, -1):
            number = self._next
            tail = self._tails[sizes[number % len(sizes)]]
            if not self._send(number.to_bytes(SEQUENCE, "big") + tail):
                self._wait_for_room(left)
                return
            self._flying[number] = due
            self._next = number + 1

    def _wait_for_room(self, count: int) -> None:
        """The kernel took no more: in a closed loop they are sent as soon as it does, in an open one they are lost."""
        if self._run.plan.open_loop:
            self._book.errors["not sent: the socket's buffer was full"] += count
        elif self._sock is not None:
            self._blocked += count
            self.watch(READABLE | WRITABLE)

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        if self._blocked and events & WRITABLE:
            self.watch(READABLE)
            count, self._blocked = self._blocked, 0
            self._pacing.free(self, count, time.monotonic_ns())
        if not events & ~WRITABLE:
            return
        self._take()
        if self._many:
            for _ in range(min(len(self._flying), _TURN)):
                if not self._take():
                    return

    def _take(self) -> bool:
        data = self._receive()
        if data is None:
            return False
        now = time.monotonic_ns()
        book = self._book
        number = int.from_bytes(data[:SEQUENCE], "big")
        due = self._flying.pop(number, None)
        if due is None:
            self._unexpected(data, number)
            return True
        size = self._sizes[number % len(self._sizes)]
        if len(data) != size or not data.endswith(self._tails[size]):
            book.errors[WRONG_BYTES] += 1
        else:
            took = now - due
            book.latency[took & MASKS[took.bit_length()]] += 1
            book.replies += 1
            book.bytes_received += size
            self._jitter += (abs(took - self._last_trip) - self._jitter) * _JITTER_GAIN
            self._last_trip = took
            if number < self._highest:
                book.datagrams.reordered += 1
            else:
                self._highest = number
        self._pacing.free(self, 1, now)
        return True

    def _unexpected(self, data: bytes, number: int) -> None:
        if len(data) < SEQUENCE or number >= self._next:
            self._book.errors[WRONG_BYTES] += 1
        elif number in self._lost:
            del self._lost[number]
            self._book.datagrams.late += 1
        else:
            self._book.datagrams.duplicate += 1

    def check(self, now: int, patience: int) -> None:
        """Give up the datagrams that have waited for longer than ``patience``."""
        flying = self._flying
        count = 0
        while flying:
            number = next(iter(flying))
            if now - flying[number] <= patience:
                break
            del flying[number]
            self._lost[number] = None
            count += 1
        while len(self._lost) > _LOST_KEPT:
            del self._lost[next(iter(self._lost))]
        if count:
            self._book.datagrams.lost += count
            self._pacing.free(self, count, now)


class DatagramRequest(_Datagrams):
    """A request, and whatever datagram comes back. One at a time: nothing else says which reply answers which."""

    __slots__ = ("_asked",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._asked: int | None = None

    def ready(self) -> None:
        """As Link.ready."""
        self._worked = True
        self._pacing.ready(self, 1)

    @property
    def under_way(self) -> int:
        """As Link.under_way."""
        return self._asked is not None

    def begin(self, count: int, due: int) -> None:
        """As Link.begin."""
        self._asked = due
        self._send(self._run.messages.block)

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        data = self._receive()
        if data is None:
            return
        if self._asked is None:
            self._book.datagrams.duplicate += 1
            return
        now = time.monotonic_ns()
        took, self._asked = now - self._asked, None
        book = self._book
        book.latency[took & MASKS[took.bit_length()]] += 1
        book.replies += 1
        book.bytes_received += len(data)
        self._pacing.free(self, 1, now)

    def check(self, now: int, patience: int) -> None:
        """Ask again, from another port: a late reply must not be taken for that to the next request."""
        if self._asked is not None and now - self._asked > patience:
            self._asked = None
            self._book.datagrams.lost += 1
            self.close()
            if not self._run.closing:
                self.open()


class DatagramSink(_Datagrams):
    """Datagrams that nobody answers. They count when the kernel has taken them."""

    __slots__ = ("_next", "_sizes", "_tails", "_wanted")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._sizes = run.messages.sizes
        self._tails = {size: run.messages.block[SEQUENCE:size] for size in self._sizes}
        self._next = 0
        self._wanted = False

    def ready(self) -> None:
        """As Link.ready."""
        self._worked = True
        self._pacing.ready(self, 1)

    def begin(self, count: int, due: int) -> None:
        """As Link.begin: now on schedule, else as soon as there is room, a turn's worth at a time."""
        if not self._run.plan.open_loop:
            self._wanted = True
            self.watch(READABLE | WRITABLE)
        elif not self._send_next():
            self._book.errors["not sent: the socket's buffer was full"] += 1

    def _send_next(self) -> bool:
        tail = self._tails[self._sizes[self._next % len(self._sizes)]]
        if not self._send(self._next.to_bytes(SEQUENCE, "big") + tail):
            return False
        self._next += 1
        self._book.replies += 1
        return True

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        if events & ~WRITABLE and self._receive() is not None:
            self._book.errors["datagrams from a server that should only take them"] += 1
        if not events & WRITABLE or not self._wanted:
            return
        for _ in range(_TURN):
            if not self._send_next():
                break
        self._wanted = False
        self._pacing.free(self, 1, time.monotonic_ns())
        if not self._wanted:  # pyright: ignore[reportUnnecessaryComparison] - begin may have set it
            self.watch(READABLE)


class DatagramSource(_Datagrams):
    """Asks once a second, with the request or with one message, and counts what comes."""

    __slots__ = ("_asked",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._asked = 0

    def ready(self) -> None:
        """As Link.ready."""
        self._worked = True
        self._ask()

    def _ask(self) -> None:
        self._asked = time.monotonic_ns()
        self._send(self._run.messages.block)

    def begin(self, count: int, due: int) -> None:
        """Nothing more is sent."""

    def on_event(self, events: int) -> None:
        """As Link.on_event."""
        book = self._book
        for _ in range(_TURN):
            data = self._receive()
            if data is None:
                return
            book.replies += 1
            book.bytes_received += len(data)

    def check(self, now: int, patience: int) -> None:
        """Ask again: the server may have missed it, or have forgotten us."""
        if self._sock is not None and now - self._asked > patience:
            self._ask()
