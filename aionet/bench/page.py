"""The report: one HTML page that needs nothing else, to read, to keep and to print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from aionet.bench.plots import svgs
from aionet.bench.text import facts, headline, percentiles, workload
from aionet.bench.trust import doubts
from aionet.bench.units import counted, period, thousands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aionet.bench.machine import Machine
    from aionet.bench.results import Results

__all__ = ["page"]

_CAPTIONS: Final = {
    "Throughput over time": "Replies in each slot of the measurement.",
    "Latency over time": "Median, 99th percentile and maximum of each slot.",
    "Latency distribution": "The share of the replies, by latency; both ends are the extremes that were measured.",
    "Latency by percentile": "How long the slowest had to wait: each nine takes as much room as the one before it.",
    "Processor time": "What is left to 100 % is time that a process waited.",
}

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #1f2937;
  max-width: 56rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.15rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .3rem; }
p { margin: .2rem 0; } .dim, figcaption { color: #6b7280; }
.headline { font-size: 2rem; font-weight: 650; letter-spacing: -.01em; margin: 1rem 0 .6rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.latency { width: 100%; margin: .5rem 0 1rem; } .latency th { font-weight: 500; color: #6b7280; }
.latency th, .latency td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid #e5e7eb; }
.latency td { font-weight: 600; }
.facts th { text-align: left; font-weight: 500; color: #6b7280; padding: .12rem 1.4rem .12rem 0; vertical-align: top; }
.facts td { overflow-wrap: anywhere; }
.doubt, .error { border-left: 4px solid; padding: .5rem .9rem; margin: .6rem 0; }
.doubt { border-color: #d97706; background: #fffbeb; } .error { border-color: #c1121f; background: #fef2f2; }
figure { margin: 0; break-inside: avoid; } figure svg { width: 100%; height: auto; }
code { font-size: .9em; background: #f3f4f6; padding: .1rem .35rem; border-radius: 3px; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } .headline { font-size: 1.5rem; }
  figure svg { width: 74%; } /* all of it on two sheets */
  h2 { break-after: avoid; margin-top: 1.2rem; } @page { size: A4; margin: 16mm; } }
"""


def page(results: Results) -> str:
    """Return the page.

    Raises MissingExtraError where matplotlib is not installed.
    """
    title = f"aionet bench {results.plan.endpoint}"
    body = "\n".join(_body(results))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _body(results: Results) -> Iterator[str]:
    yield f"<h1>{escape(str(results.plan.endpoint))}</h1>"
    yield f'<p class="dim">{escape(workload(results))}</p>'
    yield f'<p class="headline">{escape(headline(results))}</p>'
    latencies = percentiles(results)
    if latencies:
        heads = "".join(f"<th>latency {name}</th>" if name == "p50" else f"<th>{name}</th>" for name, _ in latencies)
        cells = "".join(f"<td>{escape(value)}</td>" for _, value in latencies)
        yield f'<table class="latency"><tr>{heads}</tr><tr>{cells}</tr></table>'
    for doubt in doubts(results):
        yield f'<p class="doubt">{escape(str(doubt))}</p>'
    yield from _errors(results)
    yield _table(facts(results))
    for name, svg in svgs(results).items():
        yield f"<h2>{name}</h2>\n<figure>{svg}<figcaption>{_CAPTIONS[name]}</figcaption></figure>"
    yield "<h2>How it was measured</h2>"
    yield _table(_circumstances(results))


def _errors(results: Results) -> Iterator[str]:
    for error, count in results.errors.most_common():
        yield f'<p class="error"><b>{thousands(count)}</b> {escape(error)}</p>'


def _circumstances(results: Results) -> Iterator[tuple[str, str]]:
    yield "began", results.began
    yield "machine", _machine(results.machine)
    yield "versions", _versions(results.versions)
    for worker in results.workers:
        generators = counted(worker.generators, "generator")
        started = f"started within {period(worker.start_error)}"
        what = f"{generators}, {started}; {_machine(worker.machine)}; {_versions(worker.versions)}"
        yield f"{worker.address} on {worker.host}", what
    yield "loop", results.loop
    yield "seed", str(results.plan.seed)
    yield "command", results.command


def _machine(machine: Machine) -> str:
    return f"{machine.processor}, {machine.cores} cores, {machine.system}, load {machine.load:.1f} before"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "\n".join(f"<tr><th>{escape(name)}</th><td>{_cell(name, value)}</td></tr>" for name, value in rows if value)
    return f'<table class="facts">\n{lines}\n</table>'


def _cell(name: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if name == "command" else escape(value)
