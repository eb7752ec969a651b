"""`python -m benchmarks.generator`: the marks of the load generator itself, against the servers in C.

How many exchanges one client process makes and records, beside the client in C; how well an open loop keeps its
schedule; and whether a generator grows.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from aionet.bench.conduct import Silent
from aionet.bench.conduct import measure as drive
from aionet.bench.plan import Plan
from aionet.bench.results import Results
from aionet.bench.tally import Point, Tally
from benchmarks import native
from benchmarks.candidate import SERVERS
from benchmarks.machine import machine, warnings
from benchmarks.measure import Program, Workload, cores, load, pinned

EXCHANGES = 100_000  # TCP echoes a second, or half of what the client in C makes, whichever is less
DATAGRAMS = 80_000
RATE = 20_000  # messages a second on schedule
LAG = 1.0  # ms, p99
GROWTH = 1.0  # MiB
MINUTE = 60.0

WORKLOAD = Workload("echo", size=64, connections=10)


@attrs.frozen
class Mark:
    """What had to be reached, what was, and whether that is enough."""

    name: str
    needed: str
    found: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'MISSED'}  {self.name}: {self.found} (needed: {self.needed})"


class Watching(Silent):
    """Notes the resident memory of the generator at each slot, in MiB."""

    def __init__(self) -> None:
        """Nothing noted yet."""
        self.memory: list[float] = []

    def measured(self, tally: Tally, point: Point) -> None:
        children = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in _words(task / "children")]
        found = [_resident(pid) for pid in children if b"child.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        self.memory += found


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _resident(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


class Bench:
    """A server in C on one core, generators on the other."""

    def __init__(self, seconds: float, rounds: int) -> None:
        """How long a run takes, and how many there are."""
        self.seconds = seconds
        self.rounds = rounds
        self.server_core, self.client_core = cores()

    def server(self, name: str) -> Program:
        """The server, started."""
        return Program([str(native.build(f"servers/{name}.c"))], self.server_core)

    def run(self, address: str, watching: Silent | None = None, scheme: str = "tcp", **given: Any) -> Results:  # noqa: ANN401 - the plan's
        """What one client process finds."""
        usual: dict[str, Any] = {"duration": self.seconds, "warmup": 0.5}
        with pinned(self.client_core):
            return drive(Plan(endpoint=f"{scheme}://{address}", **usual | given), observer=watching)

    def exchanges(self) -> Mark:
        """TCP, beside the client in C."""
        ours: list[float] = []
        theirs: list[float] = []
        work = attrs.evolve(WORKLOAD, seconds=self.seconds)
        with self.server("c") as server:
            address = server.hear()["address"]
            for _ in range(self.rounds):
                ours.append(self.run(address).rate)
                with load(address, work, server.process.pid, self.client_core) as client:
                    said = client.hear()
                theirs.append(said["messages"] / said["seconds"])
        found, limit = statistics.median(ours), statistics.median(theirs)
        needed = min(EXCHANGES, 0.5 * limit)
        text = f"{found:,.0f}/s; a client in C {limit:,.0f}/s"
        return Mark("TCP echo, 64 B, 10 connections", f"{needed:,.0f}/s", text, holds=found >= needed)

    def datagrams(self) -> Mark:
        """UDP."""
        with self.server("udp_c") as server:
            address = server.hear()["address"]
            found = statistics.median(self.run(address, scheme="udp").rate for _ in range(self.rounds))
        return Mark("UDP echo, 64 B, 10 sockets", f"{DATAGRAMS:,}/s", f"{found:,.0f}/s", holds=found >= DATAGRAMS)

    def schedule(self) -> Mark:
        """How late messages leave."""
        with self.server("c") as server:
            address = server.hear()["address"]
            results = [self.run(address, rate=float(RATE)) for _ in range(self.rounds)]
        found = statistics.median(each.lag.percentile(99) / 1e6 for each in results)
        busy = statistics.median(each.client_cpu for each in results)
        text = f"{found:.3f} ms late at p99, {busy:.0%} of a core"
        return Mark(f"open loop, {RATE:,} a second", f"{LAG:g} ms", text, holds=found <= LAG)

    def memory(self, seconds: float) -> Mark:
        """What a long run adds, after its first tenth."""
        watching = Watching()
        with self.server("c") as server:
            self.run(server.hear()["address"], watching, duration=seconds)
        grown = watching.memory[-1] - watching.memory[len(watching.memory) // 10]
        text = f"{grown:+.2f} MiB, to {watching.memory[-1]:.1f}"
        return Mark(f"memory over {seconds:g} s", f"at most {GROWTH:g} MiB more", text, holds=grown <= GROWTH)

    def marks(self, minute: float) -> Iterator[Mark]:
        """Each of them, as it is measured."""
        yield self.exchanges()
        if (SERVERS / "udp_c.c").exists():
            yield self.datagrams()
        yield self.schedule()
        yield self.memory(minute)


def main() -> None:
    """Measure all marks; end with status 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="a run (2)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--minute", type=float, default=MINUTE, help="how long the memory is watched, in seconds (60)")
    arguments = parser.parse_args()
    print(*(f"{name}: {fact}" for name, fact in machine().items()), *warnings(), sep="\n")
    missed = 0
    for mark in Bench(arguments.seconds, arguments.rounds).marks(arguments.minute):
        print(mark, flush=True)
        missed += not mark.holds
    sys.exit(min(missed, 1))


if __name__ == "__main__":
    main()
