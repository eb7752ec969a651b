"""One row of the table of marks: a piece of work, who does it, and how much faster one has to be than another."""

from collections.abc import Callable
from typing import Any

import attrs

from benchmarks.candidate import Candidate
from benchmarks.compare import Comparison, Spread, compare
from benchmarks.measure import Workload
from benchmarks.report import comparison_lines, thousands

Progress = Callable[[str], None]


@attrs.frozen
class Timing:
    """How often and how long each candidate is measured."""

    rounds: int = 3
    seconds: float = 2.0
    warmup: float = 0.5


@attrs.frozen
class Mark:
    """`ours` has to be at least `least` times as fast as `peer`; without `least` the ratio is only shown."""

    ours: Candidate
    peer: Candidate
    least: float | None = None


@attrs.frozen
class Verdict:
    """What was measured for one mark, for people. `met` is None where there is no mark."""

    ours: str
    our_figure: str
    peer: str
    peer_figure: str
    measured: str
    by_cpu: str
    mark: str
    met: bool | None

    def __str__(self) -> str:
        said = {True: "met", False: "MISSED", None: ""}[self.met]
        beside = f" / {self.peer}" if self.peer else ""
        return f"{self.ours + beside:88}{self.measured:>22}  {self.by_cpu:13}{self.mark:10}{said}".rstrip()


@attrs.frozen
class Result:
    """A row that was measured: lines for the terminal, verdicts, and all the figures for a file."""

    name: str
    title: str
    lines: list[str]
    verdicts: list[Verdict]
    figures: dict[str, Any]


@attrs.frozen
class Row:
    """Candidates under one workload; the marks name those that are compared, `shown` those that are only shown."""

    name: str
    title: str
    workload: Workload
    marks: tuple[Mark, ...]
    shown: tuple[Candidate, ...] = ()

    @property
    def candidates(self) -> list[Candidate]:
        """Each once, in the order of the marks."""
        named = [candidate for mark in self.marks for candidate in (mark.ours, mark.peer)]
        return list(dict.fromkeys([*named, *self.shown]))

    def measure(self, timing: Timing, progress: Progress) -> Result:
        """Measure every candidate and judge."""
        workload = attrs.evolve(self.workload, seconds=timing.seconds, warmup=timing.warmup)
        return self.judge(compare(self.candidates, workload, timing.rounds, progress))

    def judge(self, comparison: Comparison) -> Result:
        """The verdicts on what was measured."""
        verdicts = [judge(mark, comparison) for mark in self.marks]
        return Result(self.name, self.title, list(comparison_lines(comparison)), verdicts, figures(comparison))


def judge(mark: Mark, comparison: Comparison) -> Verdict:
    """Whether the median of the rounds reaches the mark; what could not be measured misses it."""
    ratio = comparison.ratio(mark.ours, mark.peer)
    cpu = comparison.cpu_ratio(mark.ours, mark.peer)
    return Verdict(
        ours=mark.ours.title,
        our_figure=rate(comparison, mark.ours),
        peer=mark.peer.title,
        peer_figure=rate(comparison, mark.peer),
        measured=f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})" if ratio else "not measured",
        by_cpu=f"by CPU {cpu.median:.2f}" if cpu else "",
        mark="" if mark.least is None else f">= {mark.least:.1f}",
        met=None if mark.least is None else ratio is not None and ratio.median >= mark.least,
    )


def rate(comparison: Comparison, candidate: Candidate) -> str:
    """The median rate, for people."""
    if candidate not in comparison.samples:
        return ""
    return thousands(Spread.of(sample.rate for sample in comparison.samples[candidate]).median)


def figures(comparison: Comparison) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    return {
        "workload": attrs.asdict(comparison.workload),
        "samples": {str(one): [attrs.asdict(sample) for sample in them] for one, them in comparison.samples.items()},
        "failures": {str(candidate): failure for candidate, failure in comparison.failures.items()},
    }
