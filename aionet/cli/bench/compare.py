"""The command ``aionet bench compare``."""

from __future__ import annotations

import json
import shlex
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
from rich.table import Table

from aionet.bench import compare as engine
from aionet.bench.conduct import measure
from aionet.bench.results import Results
from aionet.bench.trust import doubts
from aionet.bench.units import counted, period, thousands
from aionet.cli.bench.options import load_options, plan_of
from aionet.cli.console import output, progress_output
from aionet.cli.status import INTERRUPTED
from aionet.errors import AionetError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from aionet.bench.compare import Comparison
    from aionet.bench.plan import Plan

__all__ = ["compare"]

_BLOCKS: Final = 25
_FEW: Final = 5  # rounds, below which the interval says little


@attrs.frozen
class _Figure:
    """Something to compare: what it is, and how it is written."""

    name: str
    of: Callable[[Results], float]
    of_slots: Callable[[Results], list[float]]
    shown: Callable[[float], str]


_FIGURES: Final = (
    _Figure("rate", lambda r: r.rate, lambda r: r.rates(), lambda value: f"{thousands(value)}/s"),
    _Figure("p50", lambda r: r.latency.percentile(50), lambda r: [p.p50 for p in r.points if p.max], period),
    _Figure("p99", lambda r: r.latency.percentile(99), lambda r: [p.p99 for p in r.points if p.max], period),
)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--rounds", type=click.IntRange(2), default=7, show_default=True, help="How often each command runs, in turns."
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def compare(a: str, b: str, rounds: int, *, as_json: bool) -> None:
    """Tell which of two is faster, A or B, and how sure that is.

    Each is a file that aionet bench --output has written, or the arguments of aionet bench in quotes, such as
    'tcp://127.0.0.1:8000 --size 100 --duration 3'. Commands run in turns, A B A B, so that what slows the machine slows
    both. The ratio is that of the medians, B to A, with a 95 % bootstrap interval.

    Two files are one run each: their slots are compared, and nothing says how another run would come out.
    """
    files = [Path(each) for each in (a, b) if not _is_command(each)]
    if len(files) == 1:
        raise OptionError("one file and one command cannot be compared: expected two files, or two commands")
    console = progress_output()
    if files:
        one, other = (Results.load(path) for path in files)
        found = _compare([one], [other])
    else:
        of_a, of_b = _in_turns(_plan(a), _plan(b), rounds, console)
        found = _compare(of_a, of_b, interrupted=len(of_b) < rounds)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        found.show(output())
    if found.interrupted:
        sys.exit(INTERRUPTED)


def _is_command(text: str) -> bool:
    return "://" in text or "unix:" in text


def _plan(text: str) -> Plan:
    words = shlex.split(text)
    with _command.make_context("aionet bench", words) as context:
        return plan_of(**context.params)


@click.command()
@click.argument("endpoint")
@load_options
def _command(**_options: Any) -> None:  # noqa: ANN401 - parsed, and never run
    """What each side may say."""


def _in_turns(a: Plan, b: Plan, rounds: int, console: Console) -> tuple[list[Results], list[Results]]:
    """Nothing is drawn while a round runs. Ctrl-C ends with the rounds that are whole, if there is one."""
    seconds = rounds * (a.warmup + a.duration + b.warmup + b.duration + 2 * 0.5)
    console.print(f"{counted(rounds, 'round')} of A and B in turns: about {seconds:.0f} s", soft_wrap=True)
    of_a: list[Results] = []
    of_b: list[Results] = []
    try:
        for turn in range(1, rounds + 1):
            for name, plan, found in (("A", a, of_a), ("B", b, of_b)):
                results = measure(plan)
                if results.interrupted:
                    raise KeyboardInterrupt
                found.append(results)
                line = f"round {turn} of {rounds}, {name}: {thousands(results.rate)}/s"
                console.print(f"{line}, p99 {period(results.latency.percentile(99))}", soft_wrap=True)
    except KeyboardInterrupt:
        if not of_b:
            raise
    return of_a[: len(of_b)], of_b


def _compare(of_a: list[Results], of_b: list[Results], *, interrupted: bool = False) -> _Verdict:
    notes: list[str] = []
    if len(of_a) == len(of_b) == 1:
        notes.append("One run each: nothing says how another run would come out. Give commands instead of files.")
    elif len(of_a) < _FEW:
        notes.append(f"{counted(len(of_a), 'round')} only: the interval says little. Use {_FEW} at least.")
    found = {figure.name: _comparison(figure, of_a, of_b) for figure in _FIGURES}
    for name, side in (("A", of_a), ("B", of_b)):
        kinds = {doubt.kind: str(doubt) for results in side for doubt in doubts(results)}
        notes += [f"{name}: {text}" for text in kinds.values()]
        failed = sum(results.failed for results in side)
        if failed:
            notes.append(f"{name}: {counted(failed, 'error')}.")
    return _Verdict({name: each for name, each in found.items() if each is not None}, notes, interrupted)


def _comparison(figure: _Figure, of_a: list[Results], of_b: list[Results]) -> Comparison | None:
    if len(of_a) == len(of_b) == 1:
        a, b = (_blocks(figure.of_slots(results)) for results in (of_a[0], of_b[0]))
        paired = False
    else:
        a, b = ([figure.of(results) for results in side] for side in (of_a, of_b))
        paired = True
    try:
        return engine.compare(a, b, paired=paired)
    except ValueError as error:
        if figure.name == "rate":
            raise AionetError(f"nothing to compare: {error}") from error
        return None  # no latencies in this mode


def _blocks(values: Sequence[float]) -> list[float]:
    """Means of neighbours, in blocks: slots that follow each other are alike, and the bootstrap takes no notice."""
    size = -(-len(values) // _BLOCKS)
    return [statistics.fmean(values[first : first + size]) for first in range(0, len(values), size or 1)]


@attrs.frozen
class _Verdict:
    """What the comparison came to."""

    comparisons: dict[str, Comparison]
    notes: list[str]
    interrupted: bool

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON."""
        return {
            "comparisons": {
                name: attrs.asdict(each) | {"different": each.different, "verdict": str(each)}
                for name, each in self.comparisons.items()
            },
            "notes": self.notes,
            "interrupted": self.interrupted,
        }

    def show(self, console: Console) -> None:
        """Print the verdict."""
        rate = self.comparisons["rate"]
        console.print(f"B to A: {rate}", style="bold green" if rate.different else "bold", soft_wrap=True)
        shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("", "A", "B", "B to A"):
            shown.add_column(heading, justify="right" if heading in ("A", "B") else "left")
        for figure in _FIGURES:
            each = self.comparisons.get(figure.name)
            if each is not None:
                shown.add_row(figure.name, figure.shown(each.a), figure.shown(each.b), str(each))
        console.print(shown)
        for note in self.notes:
            console.print(f"! {note}", style="yellow", soft_wrap=True)
