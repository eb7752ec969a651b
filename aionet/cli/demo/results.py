"""What all rounds found, as one row for each candidate: medians, and the ratios to asyncio's own."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

import attrs

from aionet.bench.machine import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aionet.cli.demo.measure import Candidate, Cores, Sample, Workload

__all__ = ["PEERS", "Results", "Row"]

# Ours, and what its ratios are to, on the same loop.
PEERS: Final = {"aionet": "streams", "tls": "streams_tls", "datagrams": "protocol"}

# A process that waits for nobody uses nearly all of its core; the rest is the system's.
_BUSY: Final = 0.9

# With so many connections there is always a message to work on: one side or the other is busy, on an idle machine.
_ENOUGH_CONNECTIONS: Final = 8


@attrs.frozen
class Row:
    """One candidate's medians over the rounds; times in seconds. The ratios are medians of each round's own."""

    candidate: Candidate
    samples: tuple[Sample, ...]
    rate_ratio: float | None
    cpu_ratio: float | None

    def median(self, figure: Callable[[Sample], float]) -> float:
        """The median of that figure over the rounds."""
        return statistics.median(map(figure, self.samples))

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.median(lambda sample: sample.rate)

    @property
    def p50(self) -> float:
        """The latency that half of the messages do not exceed."""
        return self.median(lambda sample: sample.p50)

    @property
    def p99(self) -> float:
        """The latency that 99 of 100 messages do not exceed."""
        return self.median(lambda sample: sample.p99)

    @property
    def cost(self) -> float:
        """The server's CPU time a message."""
        return self.median(lambda sample: sample.cost)

    @property
    def client_was_the_limit(self) -> bool:
        """Whether the load generator had no time left, and the server had."""
        return self._client_was_busy and not self._server_was_busy

    @property
    def both_waited(self) -> bool:
        """Whether neither side used all of its core."""
        return not self._client_was_busy and not self._server_was_busy

    @property
    def _server_was_busy(self) -> bool:
        return self.median(lambda sample: sample.server_busy) >= _BUSY

    @property
    def _client_was_busy(self) -> bool:
        return self.median(lambda sample: sample.client_busy) >= _BUSY

    def as_json(self) -> dict[str, Any]:
        """The row as JSON: rounded to what can be told apart, latencies and costs in microseconds."""
        return {
            "loop": self.candidate.loop,
            "server": self.candidate.server,
            "messages": sum(sample.messages for sample in self.samples),
            "messages_per_second": round(self.rate),
            "p50_us": round(self.p50 * 1e6),
            "p99_us": round(self.p99 * 1e6),
            "server_cpu_us_per_message": round(self.cost * 1e6, 3),
            "rate_to_asyncio": _rounded(self.rate_ratio),
            "cpu_to_asyncio": _rounded(self.cpu_ratio),
            "client_was_the_limit": self.client_was_the_limit,
            "rounds": [attrs.asdict(sample) for sample in self.samples],
        }


@attrs.define
class Results:
    """Every sample so far, by candidate, in the order in which they take turns."""

    workload: Workload
    cores: Cores
    rounds: int
    samples: dict[Candidate, list[Sample]]
    interrupted: bool = False

    @classmethod
    def of(cls, candidates: Iterable[Candidate], workload: Workload, cores: Cores, rounds: int) -> Results:
        """Nothing yet."""
        return cls(workload, cores, rounds, {candidate: [] for candidate in candidates})

    def add(self, candidate: Candidate, sample: Sample) -> None:
        """Add what one measurement found."""
        self.samples[candidate].append(sample)

    def rows(self) -> list[Row]:
        """The candidates, measured or not yet."""
        return [self._row(candidate) for candidate in self.samples]

    @property
    def client_was_the_limit(self) -> bool:
        """Whether that is true of any row."""
        return any(row.client_was_the_limit for row in self.rows() if row.samples)

    @property
    def disturbed(self) -> bool:
        """Whether something else must have had the cores for part of the time."""
        busy = self.workload.connections >= _ENOUGH_CONNECTIONS and not self.cores.shared
        return busy and any(row.both_waited for row in self.rows() if row.samples)

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "workload": attrs.asdict(self.workload) | {"rounds": self.rounds},
            "versions": versions(),
            "cores": attrs.asdict(self.cores),
            "interrupted": self.interrupted,
            "disturbed": self.disturbed,
            "results": [row.as_json() for row in self.rows() if row.samples],
        }

    def _row(self, candidate: Candidate) -> Row:
        ours = self.samples[candidate]
        peers = self.samples.get(attrs.evolve(candidate, server=PEERS.get(candidate.server, candidate.server)), [])
        return Row(
            candidate,
            tuple(ours),
            _median_ratio(ours, peers, lambda our, peer: our.rate / peer.rate),
            _median_ratio(ours, peers, lambda our, peer: our.cost / peer.cost),
        )


def _median_ratio(
    ours: Sequence[Sample], peers: Sequence[Sample], ratio: Callable[[Sample, Sample], float]
) -> float | None:
    """Round by round, since what slows a round slows both; a round that was cut short has no peer."""
    ratios = [ratio(our, peer) for our, peer in zip(ours, peers, strict=False)]
    return statistics.median(ratios) if ratios else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
