"""The results as people read them: a table, what was measured and where, and what to make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.bar import Bar
from rich.console import Group
from rich.table import Table
from rich.text import Text

from aionet.bench.machine import versions
from aionet.bench.units import counted, thousands
from aionet.cli.demo.results import PEERS
from aionet.system.loops import available_loops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from aionet.cli.demo.results import Results, Row

__all__ = ["report", "table"]

_WIDE: Final = 100  # columns from which there is room for the bars
_BAR: Final = 18

# No lines between the columns: in 80 there is no room for them.
_BOX: Final = box.Box(
    """\
╭──╮
│  │
├──┤
│  │
├──┤
├──┤
│  │
╰──╯
"""
)

_TIMES: Final = "×"  # noqa: RUF001 - the multiplication sign is meant

_FIGURES: Final = ("messages\na second", "p50\nµs", "p99\nµs", "CPU µs\na message")
_RATIOS: Final = (f"{_TIMES} as\nmany", f"{_TIMES} the\nCPU")
_HEADINGS: Final = (*_FIGURES, *_RATIOS)

_OURS: Final = "bold green"


def report(results: Results, width: int) -> RenderableType:
    """All that is shown at the end."""
    return Group("", table(results, width), *_notes(results))


def table(results: Results, width: int) -> Table:
    """The rows, a section for each loop; what is not measured yet is empty."""
    rows = results.rows()
    shown = Table(title=_title(results), title_style="bold", box=_BOX, collapse_padding=True, title_justify="left")
    shown.add_column("\nloop", no_wrap=True)
    shown.add_column("\nserver")  # gives way where figures are long
    for heading in _HEADINGS:
        shown.add_column(heading, justify="right", no_wrap=True)
    wide = width >= _WIDE
    if wide:
        shown.add_column("\nmessages a second", width=_BAR)
    most = max((row.rate for row in rows if row.samples), default=1.0)
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        first = row is rows[0] or shown.rows[-1].end_section
        cells: list[RenderableType] = [
            row.candidate.loop if first else "",
            row.candidate.title,
            *_figures(row, results),
        ]
        if wide:
            cells.append(_bar(row, most) if row.samples else "")
        ends = after is not None and after.candidate.loop != row.candidate.loop
        shown.add_row(*cells, style=_OURS if row.candidate.server in PEERS else "", end_section=ends)
    return shown


def _title(results: Results) -> str:
    workload = results.workload
    kinds = ["TCP"]
    if any(candidate.tls for candidate in results.samples):
        kinds.append("TLS")
    if any(candidate.udp for candidate in results.samples):
        kinds.append("UDP")
    return f"{', '.join(kinds)} echo · {thousands(workload.size)} bytes · {counted(workload.connections, 'connection')}"


def _figures(row: Row, results: Results) -> Iterator[str]:
    if not row.samples:
        yield from [""] * len(_HEADINGS)
        return
    mark = "*" if row.client_was_the_limit else " " if results.client_was_the_limit else ""
    yield thousands(row.rate) + mark
    yield thousands(row.p50 * 1e6)
    yield thousands(row.p99 * 1e6)
    yield f"{row.cost * 1e6:.1f}"
    yield "" if row.rate_ratio is None else f"{row.rate_ratio:.2f}"
    yield "" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"


def _bar(row: Row, most: float) -> Bar:
    return Bar(most, 0, row.rate, width=_BAR, color="green" if row.candidate.server in PEERS else "bright_black")


def _notes(results: Results) -> Iterator[Text]:
    """How it was measured, and what limits the trust in the figures."""
    rounds = counted(results.rounds, "round")
    installed = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield _said(f"Medians of {rounds} of {results.workload.seconds:g} s; {installed}.")
    yield _said("CPU is the server's; ratios are to asyncio's own on the same loop.")
    cores = results.cores
    if cores.shared:
        yield _warned("One core: server and clients share it, which brings every ratio nearer to 1.")
    else:
        others = " and ".join(map(str, cores.clients))
        yield _said(f"The server was pinned to core {cores.server}, the clients to {others}.")
    if results.client_was_the_limit:
        yield _warned("* The client was the bottleneck: the CPU column tells more.")
    if results.disturbed:
        yield _warned("Something else was running: neither side had its core to itself.")
    if "uvloop" not in available_loops():
        yield _warned("uvloop is not installed: pip install 'aionet[uvloop]' adds it.")
    if results.interrupted:
        yield _warned("Ctrl-C: these are the measurements until then.")


def _said(text: str) -> Text:
    return Text(text, style="dim")


def _warned(text: str) -> Text:
    return Text(text, style="yellow")
