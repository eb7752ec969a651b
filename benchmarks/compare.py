"""Several candidates under the same work, interleaved, so that whatever drifts drifts for all of them."""

import statistics
from collections.abc import Callable, Iterable
from typing import Self

import attrs

from benchmarks.candidate import Candidate
from benchmarks.measure import BenchmarkError, Sample, Workload, measure

Measure = Callable[[Candidate, Workload], Sample]


@attrs.frozen
class Spread:
    """The median of several figures, and the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> Self:
        """Of at least one figure."""
        figures = list(figures)
        return cls(statistics.median(figures), min(figures), max(figures))

    @property
    def width(self) -> float:
        """Half the distance from the least to the greatest, as a part of the median."""
        return (self.greatest - self.least) / 2 / self.median if self.median else 0.0


@attrs.define
class Comparison:
    """The samples of each candidate, a round at a time, and why others have none."""

    workload: Workload
    samples: dict[Candidate, list[Sample]] = attrs.Factory(dict)
    failures: dict[Candidate, str] = attrs.Factory(dict)

    def rate(self, candidate: Candidate) -> Spread:
        """Messages a second."""
        return Spread.of(sample.rate for sample in self.samples[candidate])

    def cost(self, candidate: Candidate) -> Spread:
        """Seconds of the server's CPU a message."""
        return Spread.of(sample.cost for sample in self.samples[candidate])

    def ratio(self, ours: Candidate, peer: Candidate) -> Spread | None:
        """How many times as fast, round by round, since what slows a round slows both. None if one has no samples."""
        return self._each_round(ours, peer, lambda one, other: one.rate / other.rate)

    def cpu_ratio(self, ours: Candidate, peer: Candidate) -> Spread | None:
        """How many times less CPU a message: the ratio of the rates, if both servers had all of their core."""
        return self._each_round(ours, peer, lambda one, other: other.cost / one.cost)

    def _each_round(self, ours: Candidate, peer: Candidate, relate: Callable[[Sample, Sample], float]) -> Spread | None:
        if ours not in self.samples or peer not in self.samples:
            return None
        return Spread.of(map(relate, self.samples[ours], self.samples[peer]))


def compare(
    candidates: Iterable[Candidate],
    workload: Workload,
    rounds: int,
    progress: Callable[[str], None] = lambda _: None,
    measure: Measure = measure,
) -> Comparison:
    """Measure each candidate once a round: A B C, A B C. One that fails or is not installed is left out and named."""
    comparison = Comparison(workload)
    running = list(dict.fromkeys(candidates))
    for candidate in list(running):
        if candidate.missing:
            comparison.failures[candidate] = f"{candidate.missing} is not installed"
            running.remove(candidate)
    for turn in range(1, rounds + 1):
        for candidate in list(running):
            progress(f"{workload.mode} {workload.size} B, round {turn} of {rounds}: {candidate.title}")
            try:
                sample = measure(candidate, workload)
            except BenchmarkError as error:
                comparison.failures[candidate] = "\n".join([str(error), *getattr(error, "__notes__", [])])
                comparison.samples.pop(candidate, None)
                running.remove(candidate)
            else:
                comparison.samples.setdefault(candidate, []).append(sample)
    return comparison
