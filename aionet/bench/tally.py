"""The slots of all generators, merged: of several processes, or of several machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

import attrs

from aionet.bench import buckets
from aionet.bench.slot import Datagrams

if TYPE_CHECKING:
    from typing import Any

    from aionet.bench.buckets import Buckets
    from aionet.bench.slot import Slot

__all__ = ["Point", "Tally"]


@attrs.define
class Point:
    """What all generators counted in one slot of the measurement.

    Times are in seconds, latencies in nanoseconds; ``at`` is the slot's end, from the beginning of the measurement.
    ``p50``, ``p99`` and ``max`` are 0 where nothing was answered; those of a slot to which several generators added are
    known only once all of them have, so ``latency`` is kept until then. ``client_cpu`` and ``server_cpu`` are in cores,
    the client's that of the busiest generator; None where nobody looked.
    """

    at: float
    seconds: float
    replies: int = 0
    sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    connected: int = 0
    connections: int = 0
    errors: int = 0
    client_cpu: float = 0.0
    server_cpu: float | None = None
    p50: int = 0
    p99: int = 0
    max: int = 0
    generators: int = attrs.field(default=0, eq=False)
    latency: Buckets = attrs.field(factory=buckets.new, repr=False, eq=False)

    @property
    def rate(self) -> float:
        """Replies a second."""
        return self.replies / self.seconds if self.seconds else 0.0

    def add(self, slot: Slot) -> None:
        """Add what one generator counted."""
        seconds = (slot.ends - slot.begins) / 1e9
        self.generators += 1
        self.at = max(self.at, slot.ends / 1e9)
        self.seconds = max(self.seconds, seconds)
        self.replies += slot.replies
        self.sent += slot.sent
        self.bytes_sent += slot.bytes_sent
        self.bytes_received += slot.bytes_received
        self.connected += slot.connected
        self.connections += slot.connections
        self.errors += slot.errors.total() + slot.datagrams.lost
        self.client_cpu = max(self.client_cpu, slot.cpu / seconds if seconds else 0.0)
        buckets.add(self.latency, slot.latency)

    def settle(self) -> None:
        """Keep of the latencies what a plot shows: every generator has added its own."""
        counts = self.latency
        if counts:
            self.p50, self.p99, self.max = buckets.quantile(counts, 0.5), buckets.quantile(counts, 0.99), max(counts)
        self.latency = buckets.new()

    def as_json(self) -> dict[str, Any]:
        """The point as JSON."""
        return {name: value for name, value in attrs.asdict(self).items() if name not in ("latency", "generators")}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """Make a point of its JSON."""
        return cls(**given)


@attrs.define
class Tally:
    """All that was counted so far, by so many ``generators``.

    Latencies are of the measurement and of the replies that came after its end, since those who waited longest are
    among them. Errors, and the times that connections took to be ready, are of all phases: nothing is lost silently,
    and most connections are made before the measurement.
    """

    generators: int
    points: dict[int, Point] = attrs.field(factory=dict[int, "Point"])
    latency: Buckets = attrs.field(factory=buckets.new)
    lag: Buckets = attrs.field(factory=buckets.new)
    setup: Buckets = attrs.field(factory=buckets.new)
    errors: Counter[str] = attrs.field(factory=Counter[str])
    datagrams: Datagrams = attrs.field(factory=Datagrams)
    jitters: list[float] = attrs.field(factory=list[float])
    late_replies: int = 0
    connected: int = 0
    resumed: int = 0

    def add(self, slot: Slot) -> Point | None:
        """Add a slot; return its point, if it is one of the measurement and all generators have told theirs."""
        self.errors.update(slot.errors)
        buckets.add(self.setup, slot.setup)
        if slot.phase == "warmup":
            return None
        buckets.add(self.latency, slot.latency)
        buckets.add(self.lag, slot.lag)
        self.datagrams.add(slot.datagrams)
        if slot.phase == "drain":
            self.late_replies += slot.replies
            if slot.datagrams.jitter:
                self.jitters.append(slot.datagrams.jitter)
            return None
        self.connected += slot.connected
        self.resumed += slot.resumed
        point = self.points.get(slot.index)
        if point is None:
            point = self.points[slot.index] = Point(0.0, 0.0)
        point.add(slot)
        if point.generators < self.generators:
            return None
        point.settle()
        return point

    def settled(self) -> list[Point]:
        """Return all points in order; those that a generator did not live to add to, too."""
        for point in self.points.values():
            if point.latency:
                point.settle()
        return [self.points[index] for index in sorted(self.points)]
