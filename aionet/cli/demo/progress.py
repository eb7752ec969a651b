"""What is shown while the demo measures: a table that fills on a terminal, plain lines elsewhere.

Nothing is drawn while a measurement runs: drawing takes CPU time from what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from aionet.bench.units import counted, thousands
from aionet.cli.demo.table import table

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from aionet.cli.demo.measure import Candidate, Sample
    from aionet.cli.demo.results import Results

__all__ = ["Progress", "progress"]

# Two processes start and end around each measurement: about so many seconds.
_AROUND: Final = 0.6


class Progress:
    """A line for each measurement; entered before the first one."""

    def __init__(self, console: Console, results: Results) -> None:
        self._console = console
        self._results = results
        self._done: int = 0

    def __enter__(self) -> Self:
        servers = counted(len(self._results.samples), "server")
        rounds = counted(self._results.rounds, "round")
        self._console.print(f"{servers}, {rounds}: about {self._seconds_left:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def begins(self, turn: int, candidate: Candidate) -> None:
        """Show that this candidate is measured now, in that round, counted from 1."""

    def ends(self, turn: int, candidate: Candidate, sample: Sample) -> None:
        """Show what was found; it is among the results by now."""
        self._done += 1
        found = f"{thousands(sample.rate)} messages/s, {sample.cost * 1e6:.1f} µs of CPU each"
        self._console.print(f"round {turn} of {self._results.rounds}, {candidate}: {found}", soft_wrap=True)

    @property
    def _total(self) -> int:
        return self._results.rounds * len(self._results.samples)

    @property
    def _seconds_left(self) -> float:
        workload = self._results.workload
        return (self._total - self._done) * (workload.warmup + workload.seconds + _AROUND)


class LiveProgress(Progress):
    """The table so far, and a bar below it; both gone in the end, when the results take their place."""

    def __init__(self, console: Console, results: Results) -> None:
        super().__init__(console, results)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def begins(self, turn: int, candidate: Candidate) -> None:
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._total, completed=self._done, width=20, complete_style="green")
        line.add_row(bar, f"round {turn} of {self._results.rounds}", f"{candidate}", f"{self._seconds_left:.0f} s left")
        shown = table(self._results, self._console.width)
        self._live.update(Group("", shown, line), refresh=True)

    def ends(self, turn: int, candidate: Candidate, sample: Sample) -> None:
        self._done += 1


def progress(console: Console, results: Results) -> Progress:
    """Return what suits that console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, results)
    return Progress(console, results)
