"""The command line of the benchmarks."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.candidate import Candidate, CandidateError, every
from benchmarks.compare import compare
from benchmarks.comparison import MANY, QUICK, SECTIONS, TIMING, rows
from benchmarks.generator import GeneratorRow
from benchmarks.idle import IdleRow, affordable
from benchmarks.machine import machine, warnings
from benchmarks.marks import ROWS
from benchmarks.measure import Workload
from benchmarks.native import CompilerError
from benchmarks.readme import markdown_lines
from benchmarks.report import comparison_lines, machine_lines
from benchmarks.results import COMPARISON, DIRECTORY, PART, Results, ResultsError, write
from benchmarks.rows import Row, Timing
from benchmarks.tables import PageError, markdown, put

DEFAULT = "streams@asyncio,streams@uvloop,protocol@uvloop,c"
UDP_DEFAULT = "udp_aionet@asyncio,udp_aionet@uvloop,udp_protocol@uvloop"


def progress(text: str) -> None:
    """Show what runs now, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def say(*lines: str) -> None:
    """Print lines, over what progress showed."""
    progress("")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def candidates(text: str) -> list[Candidate]:
    """The servers named on the command line."""
    return [Candidate.parse(name) for name in text.split(",")]


def compare_servers(arguments: argparse.Namespace) -> int:
    """One piece of work, the servers that were named."""
    workload = Workload(
        arguments.command,
        size=arguments.size,
        connections=arguments.connections,
        burst=arguments.burst,
        warmup=arguments.warmup,
        seconds=arguments.seconds,
    )
    say(*machine_lines(machine()), *warnings(), "")
    comparison = compare(candidates(arguments.servers), workload, arguments.rounds, progress)
    say(*comparison_lines(comparison))
    return 1 if comparison.failures else 0


def measure_marks(arguments: argparse.Namespace) -> int:
    """The marks, each with what was measured; status 1 if one is missed."""
    facts = machine()
    timing = Timing(arguments.rounds, arguments.seconds, arguments.warmup)
    say(*machine_lines(facts), *warnings())
    results = []
    for row in chosen(arguments.only):
        result = row.measure(timing, progress)
        results.append(result)
        say("", f"== {row.name}: {row.title}", *result.lines, *map(str, result.verdicts))
    if arguments.json:
        found = {"machine": facts, "timing": attrs.asdict(timing), "rows": [attrs.asdict(result) for result in results]}
        Path(arguments.json).write_text(json.dumps(found, indent=2) + "\n")
    if arguments.markdown:
        say("", *markdown_lines(facts, results))
    missed = sum(verdict.met is False for result in results for verdict in result.verdicts)
    say("", f"{missed} marks missed" if missed else "every mark met")
    return 1 if missed else 0


def chosen(names: list[str] | None) -> list[Row | IdleRow | GeneratorRow]:
    """The rows with these names, or all of them."""
    return [row for row in ROWS if not names or row.name in names]


def compare_peers(arguments: argparse.Namespace) -> int:
    """The comparison, written down as each row ends; status 1 if somebody could not be measured."""
    facts, began = machine(), time.monotonic()
    quick, given = (QUICK if arguments.quick else TIMING), vars(arguments)
    timing = attrs.evolve(quick, **{name: given[name] for name in attrs.asdict(quick) if given[name] is not None})
    path = arguments.json or (PART if arguments.quick or arguments.only else COMPARISON)
    say(*machine_lines(facts), *warnings())
    affordable(MANY)
    results, failures = [], 0
    for row in rows():
        if arguments.only and row.name not in arguments.only:
            continue
        # What a connection takes is the same each time: once is enough.
        result = row.measure(attrs.evolve(timing, rounds=1) if isinstance(row, IdleRow) else timing, progress)
        results.append(result)
        failures += len(result.figures["failures"])
        write(path, facts, timing, results)
        say("", f"== {row.name}: {row.title} ({time.monotonic() - began:.0f} s)", *result.lines)
    say("", f"written: {path}", f"{failures} could not be measured" if failures else "everybody was measured")
    return 1 if failures else 0


def draw_plots(arguments: argparse.Namespace) -> int:
    """The plots of a comparison."""
    try:
        from benchmarks.plots import draw  # noqa: PLC0415  matplotlib is only needed here
    except ImportError as error:
        sys.stderr.write(f"benchmarks: {error}: pip install -e '.[peers]'\n")
        return 2
    say(*(f"{path}" for path in draw(Results.read(arguments.json), arguments.into, arguments.format)))
    return 0


def show_tables(arguments: argparse.Namespace) -> int:
    """The tables of a comparison, printed or put into a page."""
    results = Results.read(arguments.json)
    lines = markdown(results, arguments.plots, arguments.into or Path("page.md").absolute(), arguments.only or ())
    if arguments.into:
        put(arguments.into, lines)
    else:
        say(*lines)
    return 0


def list_servers(_: argparse.Namespace) -> int:
    """What --servers takes."""
    say(*(f"{candidate!s:32}{candidate.title}" for candidate in every()))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast aionet is beside its peers. Without a command: all of the comparison (16 minutes).",
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    timing = argparse.ArgumentParser(add_help=False)
    timing.add_argument("--rounds", type=int, default=3, help="measurements of each server (default: 3)")
    timing.add_argument("--seconds", type=float, default=2.0, help="length of each (default: 2)")
    timing.add_argument("--warmup", type=float, default=0.5, help="before each (default: 0.5)")
    for name, size, text in (
        ("echo", 1000, "messages, one at a time on each connection"),
        ("lines", 64, "bursts of lines, sent at once, echoed line by line"),
        ("prefixed", 100, "messages with their length in front, a burst of them always in flight, echoed one by one"),
        ("accept", 64, "connect, echo once, close"),
    ):
        command = commands.add_parser(name, parents=[timing], help=f"compare servers: {text}")
        command.add_argument("--servers", default=DEFAULT, help=f"see `list` (default: {DEFAULT})")
        command.add_argument("--size", type=int, default=size, help=f"bytes (default: {size})")
        command.add_argument("--connections", type=int, default=10, help="at once (default: 10)")
        command.add_argument("--burst", type=int, default=16, help="lines in a burst, messages in flight (default: 16)")
        command.set_defaults(run=compare_servers)
    for name, size, text in (
        ("udp_echo", 200, "datagrams, some of them always in flight from each peer"),
        ("udp_receive", 1200, "datagrams received, sent in runs as fast as can be"),
        ("udp_send", 1200, "datagrams sent to one peer"),
    ):
        command = commands.add_parser(name, parents=[timing], help=f"compare servers: {text}")
        command.add_argument("--servers", default=UDP_DEFAULT, help=f"see `list` (default: {UDP_DEFAULT})")
        command.add_argument("--size", type=int, default=size, help=f"bytes (default: {size})")
        command.add_argument("--connections", type=int, default=20, help="peers (default: 20)")
        command.add_argument("--burst", type=int, default=4, help="datagrams in flight from each (default: 4)")
        command.set_defaults(run=compare_servers)
    marks = commands.add_parser("marks", parents=[timing], help="measure the marks that aionet has to reach")
    rows = [row.name for row in ROWS]
    marks.add_argument("--only", metavar="ROW", action="append", choices=rows, help=f"of {', '.join(rows)}; repeatable")
    marks.add_argument("--json", metavar="FILE", help="write every figure there")
    marks.add_argument("--markdown", action="store_true", help="end with the README's table")
    marks.set_defaults(run=measure_marks)
    add_comparison(commands)
    commands.add_parser("list", help="list the servers").set_defaults(run=list_servers)
    return root


def add_comparison(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands of the comparison."""
    peers = commands.add_parser("peers", help="the comparison with the peers, as without a command")
    peers.add_argument("--quick", action="store_true", help="a short look at all of it")
    peers.add_argument("--rounds", type=int, help=f"measurements of each server (default: {TIMING.rounds})")
    peers.add_argument("--seconds", type=float, help=f"length of each (default: {TIMING.seconds})")
    peers.add_argument("--warmup", type=float, help=f"before each (default: {TIMING.warmup})")
    names = [row.name for row in rows()]
    peers.add_argument(
        "--only", metavar="ROW", action="append", choices=names, help=f"of {', '.join(names)}; repeatable"
    )
    peers.add_argument("--json", metavar="FILE", type=Path, help="write there (default: a file in results/)")
    peers.set_defaults(run=compare_peers)
    plots = commands.add_parser("plots", help="draw the plots of a comparison")
    plots.add_argument("--into", metavar="DIRECTORY", type=Path, default=DIRECTORY, help="default: results/")
    plots.add_argument("--format", choices=["svg", "png"], default="svg", help="default: svg")
    plots.set_defaults(run=draw_plots)
    tables = commands.add_parser("tables", help="print the tables of a comparison, in Markdown")
    tables.add_argument("--into", metavar="PAGE", type=Path, help="put them into a page instead")
    tables.add_argument("--plots", metavar="DIRECTORY", type=Path, default=DIRECTORY, help="default: results/")
    names = [section.name for section in SECTIONS]
    only = f"of {', '.join(names)}; repeatable"
    tables.add_argument("--only", metavar="SECTION", action="append", choices=names, help=only)
    tables.set_defaults(run=show_tables)
    for command in (plots, tables):
        command.add_argument("--json", metavar="FILE", type=Path, default=COMPARISON, help="default: of results/")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command (of the command line, if none is given); its status."""
    words = sys.argv[1:] if words is None else list(words)
    if not words or (words[0].startswith("--") and words[0] != "--help"):
        words = ["peers", *words]
    arguments = parser().parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except (CandidateError, CompilerError, PageError, ResultsError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
