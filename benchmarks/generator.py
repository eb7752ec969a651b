"""The marks of the load generator itself: what one process of `aionet bench` does, against the servers in C.

How many exchanges it makes and records, beside the client in C; how well an open loop keeps its schedule; and whether
it grows in a long run.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from aionet.bench.conduct import Silent
from aionet.bench.conduct import measure as drive
from aionet.bench.plan import Plan
from aionet.bench.results import Results
from aionet.bench.tally import Point, Tally
from benchmarks.candidate import Candidate
from benchmarks.compare import Spread
from benchmarks.measure import Program, Workload, cores, load, pinned
from benchmarks.report import thousands
from benchmarks.rows import Progress, Result, Timing, Verdict

EXCHANGES = 100_000  # TCP echoes a second, or half of what the client in C makes, whichever is less
DATAGRAMS = 80_000  # UDP echoes a second
RATE = 20_000  # messages a second on schedule
LAG = 1.0  # ms, p99
GROWTH = 1.0  # MiB that a run may add after its first tenth

WORKLOAD = Workload("echo", size=64, connections=10)


class Aside(Silent):
    """Moves the process that adds up to the core of the server, once the one that generates has its own."""

    def begins(self, plan: Plan, connections: int) -> None:
        os.sched_setaffinity(0, {cores()[0]})


class Memory(Aside):
    """Notes the resident memory of the generating process at each slot, in MiB."""

    def __init__(self) -> None:
        """Nothing noted yet."""
        self.noted: list[float] = []

    @property
    def growth(self) -> float:
        """What the run added after its first tenth, in which everything is set up."""
        return self.noted[-1] - self.noted[len(self.noted) // 10]

    def measured(self, tally: Tally, point: Point) -> None:
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                # The process may have ended before its last slot is read here: then there is nothing to note of it.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self.noted += _resident(Path("/proc") / pid)


def _resident(process: Path) -> list[float]:
    if b"child.py" not in (process / "cmdline").read_bytes():
        return []
    found = re.findall(r"^VmRSS:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    return [int(size) / 1024 for size in found]


@attrs.frozen
class GeneratorRow:
    """One client process, on the core where the load generator is otherwise; `minute` is the long run, in seconds."""

    name: str
    title: str
    minute: float = 60.0

    def measure(self, timing: Timing, progress: Progress) -> Result:
        """Measure each mark and judge."""
        figures: dict[str, list[float]] = {}
        marks = (self.exchanges, self.datagrams, self.schedule, self.memory)
        verdicts = [verdict for mark in marks for verdict in mark(timing, progress, figures)]
        return Result(self.name, self.title, [], verdicts, {"samples": figures, "failures": {}})

    def exchanges(self, timing: Timing, progress: Progress, figures: dict[str, list[float]]) -> Iterator[Verdict]:
        """TCP, beside the client in C."""
        work = attrs.evolve(WORKLOAD, seconds=timing.seconds, warmup=timing.warmup)
        ours = figures["exchanges a second"] = []
        theirs = figures["exchanges a second of the client in C"] = []
        with server("c") as program:
            address = program.hear()["address"]
            for turn in _turns(timing, progress, "TCP echo"):
                ours.append(run(timing, f"tcp://{address}").rate)
                progress(f"TCP echo, the client in C, {turn}")
                with load(address, work, program.process.pid, cores()[1]) as client:
                    said = client.hear()
                theirs.append(said["messages"] / said["seconds"])
        limit = Spread.of(theirs).median
        yield judge("TCP echo of 64 B, 10 connections", ours, thousands, least=min(EXCHANGES, limit / 2), limit=limit)

    def datagrams(self, timing: Timing, progress: Progress, figures: dict[str, list[float]]) -> Iterator[Verdict]:
        """UDP."""
        with server("udp_c") as program:
            endpoint = f"udp://{program.hear()['address']}"
            ours = [run(timing, endpoint).rate for _ in _turns(timing, progress, "UDP echo")]
        figures["datagrams a second"] = ours
        yield judge("UDP echo of 64 B, 10 sockets", ours, thousands, least=DATAGRAMS)

    def schedule(self, timing: Timing, progress: Progress, figures: dict[str, list[float]]) -> Iterator[Verdict]:
        """How late messages leave."""
        with server("c") as program:
            endpoint = f"tcp://{program.hear()['address']}"
            results = [run(timing, endpoint, rate=float(RATE)) for _ in _turns(timing, progress, "open loop")]
        late = figures["ms late at p99"] = [each.lag.percentile(99) / 1e6 for each in results]
        yield judge(f"ms late at p99, of {thousands(RATE)} messages/s", late, "{:.3f}".format, most=LAG)

    def memory(self, timing: Timing, progress: Progress, figures: dict[str, list[float]]) -> Iterator[Verdict]:
        """What a long run adds."""
        memory = Memory()
        progress(f"memory over {self.minute:g} s")
        with server("c") as program:
            run(timing, f"tcp://{program.hear()['address']}", memory, duration=self.minute)
        figures["MiB"] = memory.noted
        title = f"MiB that a run of {self.minute:g} s adds to {memory.noted[-1]:.0f}"
        yield judge(title, [memory.growth], "{:.2f}".format, most=GROWTH)


def server(name: str) -> Program:
    """A server in C, started on the first core."""
    return Program(Candidate(name).command("echo"), cores()[0])


def run(timing: Timing, endpoint: str, watching: Aside | None = None, **given: Any) -> Results:  # noqa: ANN401  the plan's
    """What one client process finds."""
    usual: dict[str, Any] = {"duration": timing.seconds, "warmup": timing.warmup}
    with pinned(cores()[1]):
        return drive(Plan(endpoint=endpoint, **usual | given), observer=watching or Aside())


def judge(
    what: str,
    ours: list[float],
    spell: Callable[[float], str],
    *,
    least: float | None = None,
    most: float | None = None,
    limit: float | None = None,
) -> Verdict:
    """Whether the median of the rounds is within the mark."""
    found = Spread.of(ours)
    within = (least is None or found.median >= least) and (most is None or found.median <= most)
    return Verdict(
        ours=f"aionet bench: {what}",
        our_figure=spell(found.median),
        peer="" if limit is None else "a client in C",
        peer_figure="" if limit is None else spell(limit),
        measured=f"{spell(found.median)} ({spell(found.least)} to {spell(found.greatest)})",
        by_cpu="",
        mark=f">= {spell(least)}" if least is not None else f"<= {most:g}",
        met=within,
    )


def _turns(timing: Timing, progress: Progress, what: str) -> Iterator[str]:
    for number in range(1, timing.rounds + 1):
        turn = f"round {number} of {timing.rounds}"
        progress(f"{what}, {turn}")
        yield turn
