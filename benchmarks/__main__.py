"""The command line of the benchmarks."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.candidate import Candidate, CandidateError, every
from benchmarks.compare import compare
from benchmarks.idle import IdleRow
from benchmarks.machine import machine, warnings
from benchmarks.marks import ROWS
from benchmarks.measure import Workload
from benchmarks.native import CompilerError
from benchmarks.readme import markdown_lines
from benchmarks.report import comparison_lines, machine_lines
from benchmarks.rows import Row, Timing

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


def chosen(names: list[str] | None) -> list[Row | IdleRow]:
    """The rows with these names, or all of them."""
    return [row for row in ROWS if not names or row.name in names]


def list_servers(_: argparse.Namespace) -> int:
    """What --servers takes."""
    say(*(f"{candidate!s:32}{candidate.title}" for candidate in every()))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast aionet is beside its peers.")
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
    commands.add_parser("list", help="list the servers").set_defaults(run=list_servers)
    return root


def main(words: Sequence[str] | None = None) -> int:
    """Run the command (of the command line, if none is given); its status."""
    arguments = parser().parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except (CandidateError, CompilerError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
