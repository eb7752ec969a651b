"""The plots of a run, drawn with matplotlib: on a page, or as files for a paper."""

from __future__ import annotations

import importlib
import io
import re
from typing import TYPE_CHECKING, Any, Final

from aionet.bench.units import thousands
from aionet.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aionet.bench.results import Results

__all__ = ["save", "svgs"]

# One look for all of them. The colours are Okabe and Ito's, told apart by the colour-blind and in grey print.
_BLUE: Final = "#0072b2"
_ORANGE: Final = "#d55e00"
_GREEN: Final = "#009e73"
_RED: Final = "#c1121f"
_GREY: Final = "#6b7280"
_STYLE: Final = {
    "figure.figsize": (7.2, 3.0),
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": "#374151",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "aionet",  # the same results give the same file
}
_DPI: Final = 200
_MILLISECOND: Final = 1e6
_MICROSECOND: Final = 1e3
_BINS: Final = 80
_ABOVE: Final = 1.08  # room over the highest value: a steady rate would be the plot's upper edge


def _pyplot() -> Any:  # noqa: ANN401 - matplotlib's types are not complete enough for strict checking
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise MissingExtraError("matplotlib is not installed: pip install 'aionet[bench]'") from error


def svgs(results: Results) -> dict[str, str]:
    """Return each plot that the results have something for, by its title, as an SVG element.

    Raises MissingExtraError where matplotlib is not installed.
    """
    drawn: dict[str, str] = {}
    for number, (title, figure) in enumerate(_figures(results)):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        svg = text[text.index("<svg") :]
        # Several stand on one page, and the ids of each are only its own.
        for pattern in (r'(\bid=")', r"(url\(#)", r'(href="#)'):
            svg = re.sub(pattern, rf"\g<1>p{number}-", svg)
        drawn[title] = svg
    return drawn


def save(results: Results, folder: Path) -> list[Path]:
    """Write each plot into the folder, as PNG and as SVG; return the files.

    Raises MissingExtraError where matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for title, figure in _figures(results):
        for kind in ("png", "svg"):
            path = folder / f"{title.lower().replace(' ', '-')}.{kind}"
            figure.savefig(path, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


def _figures(results: Results) -> Iterator[tuple[str, Any]]:
    pyplot = _pyplot()
    plots: list[tuple[str, Callable[[Any, Results], None], bool]] = [
        ("Throughput over time", _throughput, bool(results.points)),
        ("Latency over time", _latency_over_time, bool(results.latency.count)),
        ("Latency distribution", _distribution, bool(results.latency.count)),
        ("Latency by percentile", _percentile_curve, bool(results.latency.count)),
        ("Processor time", _cpu, bool(results.points)),
    ]
    for title, draw, has_something in plots:
        if not has_something:
            continue
        with pyplot.rc_context(_STYLE):
            figure, axes = pyplot.subplots()
            draw(axes, results)
            yield title, figure
            pyplot.close(figure)


def _throughput(axes: Any, results: Results) -> None:  # noqa: ANN401 - as above
    points = results.points
    at = [point.at for point in points]
    axes.plot(at, [point.rate for point in points], color=_BLUE, label="replies a second")
    if results.plan.rate is not None:
        axes.axhline(results.plan.rate, color=_GREY, linestyle="--", linewidth=1, label="asked for")
    if any(point.errors for point in points):
        errors = [point.errors / (point.seconds or 1) for point in points]
        axes.plot(at, errors, color=_RED, label="errors a second")
    axes.set_ylim(0, axes.get_ylim()[1] * _ABOVE)
    _over_time(axes, results, "replies a second")


def _latency_over_time(axes: Any, results: Results) -> None:  # noqa: ANN401 - as above
    points = [point for point in results.points if point.max]
    at = [point.at for point in points]
    for name, color in (("max", _GREY), ("p99", _ORANGE), ("p50", _BLUE)):
        values = [getattr(point, name) / _MILLISECOND for point in points]
        axes.plot(at, values, color=color, label=name, linewidth=1 if name == "max" else 1.6)
    axes.set_yscale("log")
    _plain_log(axes.yaxis)
    _over_time(axes, results, "ms")


def _distribution(axes: Any, results: Results) -> None:  # noqa: ANN401 - as above
    recorded = list(results.latency.recorded())
    values = [value / _MILLISECOND for value, _ in recorded]
    total = results.latency.count
    low, high = values[0], max(values[-1], values[0] * 1.01)
    ratio = (high / low) ** (1 / _BINS)
    edges = [low * ratio**number for number in range(_BINS + 1)]
    weights = [count / total * 100 for _, count in recorded]
    axes.hist(values, bins=edges, weights=weights, color=_BLUE, alpha=0.85)
    for percent, color in ((50, _GREEN), (99, _ORANGE)):
        if results.supports(percent):
            value = results.latency.percentile(percent) / _MILLISECOND
            axes.axvline(value, color=color, linewidth=1.2, label=f"p{percent}: {value:.3g} ms")
    axes.set_xscale("log")
    _plain_log(axes.xaxis)
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("% of replies")
    _legend(axes)


def _percentile_curve(axes: Any, results: Results) -> None:  # noqa: ANN401 - as above
    """The axis that HdrHistogram's plotters have: each nine takes as much room as the one before it."""
    latency = results.latency
    count = latency.count
    passed = 0
    behind: list[float] = []
    values: list[float] = []
    for value, number in latency.recorded():
        behind.append(count / (count - passed))
        values.append(value / _MILLISECOND)
        passed += number
    behind.append(float(count))
    values.append(latency.max / _MILLISECOND)
    axes.step(behind, values, where="pre", color=_BLUE)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_log(axes.yaxis)
    ticks = [1, 2, *(10**power for power in range(1, 9) if 10**power <= count)]
    axes.set_xticks(ticks, ["0 %", "50 %", *(f"{100 - 100 / tick:.10g} %" for tick in ticks[2:])])
    axes.minorticks_off()
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency, ms")


def _cpu(axes: Any, results: Results) -> None:  # noqa: ANN401 - as above
    points = results.points
    at = [point.at for point in points]
    name = "generator" if results.generators == 1 else "busiest generator"
    axes.plot(at, [point.client_cpu * 100 for point in points], color=_BLUE, label=name)
    known = [point for point in points if point.server_cpu is not None]
    if known:
        values = [(point.server_cpu or 0.0) * 100 for point in known]
        axes.plot([point.at for point in known], values, color=_ORANGE, label="server")
    axes.axhline(100, color=_GREY, linestyle="--", linewidth=1, label="one core")
    axes.set_ylim(bottom=0)
    _over_time(axes, results, "% of a core")


def _over_time(axes: Any, results: Results, what: str) -> None:  # noqa: ANN401 - as above
    axes.set_xlim(0, max((point.at for point in results.points), default=1.0))
    axes.set_xlabel("seconds")
    axes.set_ylabel(what)
    _legend(axes)
    if what == "replies a second":
        axes.yaxis.set_major_formatter(_with_spaces)


def _legend(axes: Any) -> None:  # noqa: ANN401 - as above
    """Above the plot, where it hides nothing; one line needs none."""
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=len(handles))


def _plain_log(axis: Any) -> None:  # noqa: ANN401 - as above
    """Numbers as they are read, 0.1 and not a power of ten; and some even where the axis spans less than a decade."""
    ticker = importlib.import_module("matplotlib.ticker")
    axis.set_major_locator(ticker.LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(_short)
    axis.set_minor_formatter(ticker.NullFormatter())


def _short(value: float, _position: int) -> str:
    return f"{value:g}"


def _with_spaces(value: float, _position: int) -> str:
    return thousands(value)
