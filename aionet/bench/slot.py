"""What a generator counted in one stretch of time: the unit that is sent, merged and plotted."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import attrs

from aionet.bench import buckets

if TYPE_CHECKING:
    from aionet.bench.buckets import Buckets

__all__ = ["Book", "Datagrams", "Phase", "Slot"]

# Before the measurement, in it, and after it, when what was sent in it may still be answered.
Phase = Literal["warmup", "measure", "drain"]


@attrs.define
class Datagrams:
    """What became of the datagrams that were sent, and of those that came back."""

    lost: int = 0  # no reply within the timeout
    late: int = 0  # a reply after that
    duplicate: int = 0
    reordered: int = 0  # a reply that one sent later has overtaken
    jitter: float = 0.0  # ns, RFC 3550 section 6.4.1, the mean over the connections; in a sum, the sum of the slots'

    def add(self, other: Datagrams) -> None:
        """Add the counts of another one."""
        self.lost += other.lost
        self.late += other.late
        self.duplicate += other.duplicate
        self.reordered += other.reordered


@attrs.define
class Slot:
    """One stretch of time: ``begins`` and ``ends`` are nanoseconds from the beginning of the measurement.

    ``replies`` are complete ones (messages taken or received whole, in modes sink and source), ``sent`` the messages
    sent; bytes are those of messages. ``latency`` is that of replies, ``lag`` how late messages were sent by the
    schedule, ``setup`` how long a connection took to be ready; ``cpu`` is the generator's, in seconds.
    """

    phase: Phase
    index: int
    begins: int
    ends: int
    replies: int
    sent: int
    bytes_sent: int
    bytes_received: int
    connected: int
    resumed: int
    connections: int
    cpu: float
    latency: Buckets
    lag: Buckets
    setup: Buckets
    errors: Counter[str]
    datagrams: Datagrams

    def as_json(self) -> dict[str, Any]:
        """The slot as JSON, in a fraction of a millisecond: messages are due, and asdict looks at each count."""
        given = attrs.asdict(self, recurse=False) | {"datagrams": attrs.asdict(self.datagrams)}
        return given | {name: buckets.dump(getattr(self, name)) for name in _BUCKETS}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """Make a slot of its JSON."""
        read: dict[str, Any] = {name: buckets.load(given[name]) for name in _BUCKETS}
        read |= {"errors": Counter(given["errors"]), "datagrams": Datagrams(**given["datagrams"])}
        return cls(**given | read)


_BUCKETS: Final = ("latency", "lag", "setup")


class Book:
    """What a generator writes down: plain attributes, since it does so for every message."""

    __slots__ = (
        "_began",
        "_cpu",
        "bytes_received",
        "bytes_sent",
        "connected",
        "datagrams",
        "errors",
        "lag",
        "latency",
        "replies",
        "resumed",
        "sent",
        "setup",
    )

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._cpu = time.process_time()
        self._clear()

    def _clear(self) -> None:
        self.replies = self.sent = self.bytes_sent = self.bytes_received = self.connected = self.resumed = 0
        self.latency = buckets.new()
        self.lag = buckets.new()
        self.setup = buckets.new()
        self.errors: Counter[str] = Counter()
        self.datagrams = Datagrams()

    def cut(self, phase: Phase, index: int, zero: int, connections: int) -> Slot:
        """Return what was written down since the last cut, and begin anew; ``zero`` is when the measurement begins."""
        now, cpu = time.monotonic_ns(), time.process_time()
        slot = Slot(
            phase=phase,
            index=index,
            begins=self._began - zero,
            ends=now - zero,
            replies=self.replies,
            sent=self.sent,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            connected=self.connected,
            resumed=self.resumed,
            connections=connections,
            cpu=cpu - self._cpu,
            latency=self.latency,
            lag=self.lag,
            setup=self.setup,
            errors=self.errors,
            datagrams=self.datagrams,
        )
        self._began, self._cpu = now, cpu
        self._clear()
        return slot
