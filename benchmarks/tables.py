"""The tables of a comparison, in Markdown, each below its plots."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from benchmarks.candidate import Candidate
from benchmarks.comparison import SECTIONS, Section
from benchmarks.idle import KIB
from benchmarks.measure import Sample
from benchmarks.report import BUSY, last_line, thousands
from benchmarks.results import Results

BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


class PageError(ValueError):
    """A page that has no place for the tables."""


def markdown(results: Results, plots: Path, page: Path, only: Collection[str] = ()) -> Iterator[str]:
    """Those sections, or all, that were measured; `page` is the file that it is for, whence the plots are linked."""
    timing = results.timing
    yield f"- measured: {timing.rounds} rounds of {timing.seconds:g} s, medians"
    yield from (f"- {name}: {value}" for name, value in results.machine.items())
    yield "- \\*: the server was not the limit, it left some of its core unused; its CPU time a message still holds"
    for section in SECTIONS:
        if only and section.name not in only:
            continue
        if lines := list(table(section, results)):
            yield from ("", f"### {section.title}", "")
            for kind in section.plots:
                plot = plots / plot_name(section, kind)
                if plot.exists():
                    yield from (f"![{section.title}: {kind}]({os.path.relpath(plot, page.parent)})", "")
            yield from lines


def plot_name(section: Section, kind: str) -> str:
    """The file of a plot."""
    return f"{section.name}.svg" if kind == section.plots[0] else f"{section.name}-{kind}.svg"


def table(section: Section, results: Results) -> Iterator[str]:
    """A line for each server, the fastest of the first column first; nothing, if nothing was measured."""
    columns = {head: row.name for head, row in section.columns.items()}
    if section.plots == ("memory",):
        yield from memory_table(columns, results)
        return
    measured = {head: results.rates[name] for head, name in columns.items() if name in results.rates}
    if not measured:
        return
    heads = "".join(f" {head}, messages/s | CPU µs |" for head in measured)
    yield f"| server |{heads}"
    yield f"|---|{'--:|--:|' * len(measured)}"
    for candidate in order(section, results):
        cells = []
        for comparison in measured.values():
            if candidate not in comparison.samples:
                cells.append(" not measured | |")
                continue
            mark = "" if limited(comparison.samples[candidate]) else "\\*"
            rate = thousands(comparison.rate(candidate).median)
            cells.append(f" {rate}{mark} | {comparison.cost(candidate).median * 1e6:.1f} |")
        yield f"| {emphasised(candidate)} |{''.join(cells)}"
    failures = {str(one): why for comparison in measured.values() for one, why in comparison.failures.items()}
    yield from (("",) if failures else ())
    yield from (f"Not measured: {name}: {last_line(why)}" for name, why in failures.items())


def limited(samples: list[Sample]) -> bool:
    """Whether the server was the limit of what was measured."""
    return sorted(sample.server_busy for sample in samples)[len(samples) // 2] >= BUSY


def memory_table(columns: dict[str, str], results: Results) -> Iterator[str]:
    """KiB for each connection, the least first."""
    for head, name in columns.items():
        if found := results.memory.get(name):
            yield f"| server | {head} |"
            yield "|---|--:|"
            for candidate, size in sorted(found.items(), key=lambda item: item[1].median):
                yield f"| {emphasised(candidate)} | {size.median / KIB:.2f} |"


def order(section: Section, results: Results) -> list[Candidate]:
    """The servers of a section, the fastest of its first column first."""
    found: dict[Candidate, float] = {}
    for row in section.columns.values():
        comparison = results.rates.get(row.name)
        for candidate in comparison.samples if comparison else ():
            found.setdefault(candidate, comparison.rate(candidate).median if comparison else 0)
    return sorted(found, key=lambda candidate: -found[candidate])


def emphasised(candidate: Candidate) -> str:
    """The title, in bold if it is aionet's."""
    return f"**{candidate.title}**" if candidate.ours else candidate.title


def put(page: Path, lines: Iterator[str]) -> None:
    """Write the tables into the page, in the place of those that are there.

    Raises:
        PageError: the page has no place for them.

    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise PageError(f"{page}: expected a line {BEGIN} and below it a line {END}")
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)
