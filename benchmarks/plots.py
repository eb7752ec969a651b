"""The plots of a comparison, as SVG: aionet's bars in blue, the others grey, C as a line where the limit is.

The colours are from the palette of Okabe and Ito, which every kind of colour blindness can tell apart.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.candidate import Candidate
from benchmarks.comparison import LIMITS, SECTIONS, Section
from benchmarks.idle import KIB
from benchmarks.results import Results
from benchmarks.tables import order, plot_name

BLUE, GREY, ORANGE = "#0072B2", "#B8B8B8", "#D55E00"
COLOURS = (BLUE, "#56B4E9", "#000000", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F", "#8C6D31")
WIDTH = 8.0  # inches, of 100 pixels: what a README shows without making it smaller
STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "savefig.facecolor": "white",
    "svg.hashsalt": "aionet",  # the same figures give the same file
}

LABEL: Any = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # the line of the limit stays behind it
APART = 0.05  # of the height of the plot, from one name at the lines' ends to the next

# A figure of each candidate, for one panel.
Panel = dict[Candidate, float]


def draw(results: Results, directory: Path, kind: str = "svg") -> Iterator[Path]:
    """Draw what was measured; the files that were written."""
    directory.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        for plot in section.plots:
            path = (directory / plot_name(section, plot)).with_suffix(f".{kind}")
            with mpl.rc_context(STYLE):
                figure = DRAWINGS[plot](section, results)
                if figure is None:
                    continue
                figure.savefig(path, dpi=100, metadata={"Date": None} if kind == "svg" else None)
            yield path


def rates(section: Section, results: Results) -> Figure | None:
    """Messages a second, a panel for each column."""
    panels = of_columns(section, results, lambda comparison, one: comparison.rate(one).median)
    return bars(f"{section.title}: messages a second (longer is better)", panels, order(section, results))


def costs(section: Section, results: Results) -> Figure | None:
    """The server's CPU time of a message, a panel for each column."""
    panels = of_columns(section, results, lambda comparison, one: comparison.cost(one).median * 1e6)
    title = f"{section.title}: the server's CPU time of a message, µs (shorter is better)"
    first = next(iter(panels.values()), {})
    return bars(title, panels, sorted(first, key=first.__getitem__))


def memories(section: Section, results: Results) -> Figure | None:
    """KiB of an idle connection."""
    panels = {
        head: {one: size.median / KIB for one, size in results.memory[row.name].items()}
        for head, row in section.columns.items()
        if row.name in results.memory
    }
    first = next(iter(panels.values()), {})
    return bars(f"{section.title} (shorter is better)", panels, sorted(first, key=first.__getitem__))


def of_columns(section: Section, results: Results, figure: Callable[[Any, Candidate], float]) -> dict[str, Panel]:
    """The panels of a section, those that were measured."""
    found = {head: results.rates.get(row.name) for head, row in section.columns.items()}
    return {
        head: {one: figure(comparison, one) for one in comparison.samples}
        for head, comparison in found.items()
        if comparison is not None
    }


def bars(title: str, panels: Mapping[str, Panel], candidates: list[Candidate]) -> Figure | None:
    """A panel beside the other, the same candidates in each, the limit as a line."""
    shown = [candidate for candidate in candidates if candidate not in LIMITS]
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 1.0 + 0.23 * len(shown)), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, (head, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        fill(axes, head, panel, shown, named=axes.get_subplotspec().is_first_col())
    return figure


def fill(axes: Axes, head: str, panel: Panel, shown: list[Candidate], *, named: bool) -> None:
    """One panel."""
    values = [panel.get(candidate, 0.0) for candidate in shown]
    colours = [BLUE if candidate.ours else GREY for candidate in shown]
    drawn = axes.barh(range(len(shown)), values, color=colours)
    axes.bar_label(drawn, [short(value) if value else "" for value in values], padding=2, fontsize=7, bbox=LABEL)
    axes.set_yticks(range(len(shown)), [candidate.title for candidate in shown] if named else [""] * len(shown))
    for label, candidate in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_fontweight("bold" if candidate.ours else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the first on top
    most = max(values, default=0.0) or 1.0
    limit = next((panel[one] for one in LIMITS if one in panel), None)
    axes.set_xlim(0, most * 1.25)
    if limit is not None and limit <= most * 1.25:
        axes.axvline(limit, color=ORANGE, linestyle="--", linewidth=1.2, zorder=0.5)
    axes.set_title(head)
    if limit is not None:
        beyond = "" if limit <= most * 1.25 else " →"
        axes.set_xlabel(f"C with epoll: {short(limit)}{beyond}", color=ORANGE, fontsize=8)


def growths(section: Section, results: Results) -> Figure | None:
    """The CPU time of a message over the number of connections."""
    panels = of_columns(section, results, lambda comparison, one: comparison.cost(one).median * 1e6)
    if not panels:
        return None
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained")
    axes = figure.subplots()
    peers = iter(COLOURS[2:])
    ends: list[tuple[float, Candidate, str]] = []
    for candidate in dict.fromkeys(one for panel in panels.values() for one in panel):
        points = [(float(count), panel[candidate]) for count, panel in panels.items() if candidate in panel]
        limit = candidate in LIMITS
        colour = ORANGE if limit else COLOURS[candidate.loop == "uvloop"] if candidate.ours else next(peers)
        style: dict[str, Any] = {"linewidth": 2.5 if candidate.ours else 1.3, "linestyle": "--" if limit else "-"}
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, **style)
        ends.append((points[-1][1], candidate, colour))
    counts = [float(count) for count in panels]
    axes.set(
        xscale="log", yscale="log", xlabel="connections, all of them busy", ylabel="server's CPU time a message, µs"
    )
    axes.set_xticks(counts, [f"{count:,.0f}".replace(",", " ") for count in counts], minor=False)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(section.title)
    axes.grid(color="#E0E0E0", linewidth=0.6)
    name_ends(axes, counts[-1], ends)
    return figure


def name_ends(axes: Axes, right: float, ends: list[tuple[float, Candidate, str]]) -> None:
    """The names beside the ends of the lines, none over another."""
    least, most = axes.get_ylim()
    next_free = 0.0
    for value, candidate, colour in sorted(ends, key=lambda end: end[0]):
        at = max(math.log(value / least) / math.log(most / least), next_free)
        next_free = at + APART
        axes.annotate(
            candidate.title,
            (right, value),
            (1.03, at),
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            fontweight="bold" if candidate.ours else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6},
        )


def short(value: float) -> str:
    """A figure for a bar: 148 k, 26.2, 3.1."""
    for least, divisor, unit in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= least:
            return f"{value / divisor:.3g}{unit}"
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.1f}"  # noqa: PLR2004  three digits say enough


DRAWINGS: Mapping[str, Callable[[Section, Results], Figure | None]] = {
    "rate": rates,
    "cpu": costs,
    "memory": memories,
    "growth": growths,
}
