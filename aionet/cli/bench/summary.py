"""The results of a run as a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from aionet.bench.text import facts, headline, percentiles, workload
from aionet.bench.trust import doubts
from aionet.bench.units import thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from aionet.bench.results import Results

__all__ = ["summary"]


def summary(results: Results) -> RenderableType:
    """All that is shown in the end."""
    return Group(*_parts(results))


def _parts(results: Results) -> Iterator[RenderableType]:
    yield Text(f"{results.plan.endpoint}  {workload(results)}", style="dim")
    yield Text(headline(results), style="bold green" if results.replies else "bold red")
    latencies = percentiles(results)
    if latencies:
        shown = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
        shown.add_column("latency")
        for name, _ in latencies:
            shown.add_column(name, justify="right", no_wrap=True)
        shown.add_row("", *(value for _, value in latencies))
        yield shown
    rest = Table.grid(padding=(0, 2, 0, 0))
    rest.add_column(style="dim", no_wrap=True)
    for name, value in facts(results):
        rest.add_row(name, value)
    yield rest
    if results.errors:
        yield Text(f"{thousands(results.failed)} errors", style="bold red")
        for error, count in results.errors.most_common():
            yield Text(f"  {thousands(count)}  {error}", style="red")
    for doubt in doubts(results):
        yield Text(f"! {doubt}", style="yellow")
