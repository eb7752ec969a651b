"""What is shown while a server is driven: a view that is redrawn on a terminal, a line a second elsewhere.

It is drawn when a slot has ended, at most five times a second, by the process that waits and not by a generator: a
hundredth of a core. ``--quiet`` saves that, too.
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aionet.bench.conduct import Silent
from aionet.bench.units import counted, period, thousands

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from aionet.bench.plan import Plan
    from aionet.bench.tally import Point, Tally

__all__ = ["observer"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_BAR_WIDTH: Final = 30
_EVERY: Final = 1.0  # seconds between two plain lines


class _Quiet(Silent, AbstractContextManager["_Quiet"]):
    """Shows nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class _Lines(_Quiet):
    """A line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: Plan | None = None
        self._next = _EVERY

    def begins(self, plan: Plan, connections: int) -> None:
        self._plan = plan
        seconds = plan.warmup + plan.duration
        self._console.print(f"{counted(connections, 'connection')}, about {seconds:.0f} s", soft_wrap=True)

    def measured(self, tally: Tally, point: Point) -> None:
        if point.at < self._next - point.seconds / 2:
            return
        self._next += _EVERY
        self._console.print(f"{point.at:5.1f} s  {_line(tally, point)}", soft_wrap=True)


class _View(_Quiet):
    """The whole of it, drawn anew; gone in the end, when the summary takes its place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._plan: Plan | None = None
        self._rates: deque[float] = deque(maxlen=_BAR_WIDTH)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def begins(self, plan: Plan, connections: int) -> None:
        self._plan = plan
        line = f"{counted(connections, 'connection')} to {plan.endpoint}; warming up for {plan.warmup:g} s"
        self._live.update(Text(line), refresh=True)

    def measured(self, tally: Tally, point: Point) -> None:
        if self._plan is None:
            return
        self._rates.append(point.rate)
        duration = self._plan.duration
        top = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=duration, completed=point.at, width=_BAR_WIDTH, complete_style="green")
        top.add_row(bar, f"{point.at:.1f} of {duration:g} s", str(self._plan.endpoint))
        rows: list[Table | Text] = [top, Text.assemble((_sparkline(self._rates), "green"), "  ", _line(tally, point))]
        rows += [Text(f"{thousands(count)}  {error}", style="red") for error, count in tally.errors.most_common(3)]
        self._live.update(Group(*rows), refresh=True)


def _line(tally: Tally, point: Point) -> str:
    parts = [f"{thousands(point.rate)}/s"]
    if point.max:
        parts.append(f"p50 {period(point.p50)}  p99 {period(point.p99)}  max {period(point.max)}")
    if tally.datagrams.lost:
        parts.append(f"{thousands(tally.datagrams.lost)} lost")
    parts.append(counted(tally.errors.total(), "error"))
    return "  ".join(parts)


def _sparkline(rates: deque[float]) -> str:
    most = max(rates) or 1.0
    return "".join(_BARS[min(int(rate / most * len(_BARS)), len(_BARS) - 1)] for rate in rates).ljust(_BAR_WIDTH)


def observer(console: Console, *, quiet: bool) -> _Quiet:
    """Return what suits that console; entered before the measurement."""
    if quiet:
        return _Quiet()
    if console.is_terminal and not console.is_dumb_terminal:
        return _View(console)
    return _Lines(console)
