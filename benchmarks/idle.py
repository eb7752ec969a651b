"""What an idle connection costs: the server's resident memory without and with thousands that have spoken once."""

import re
import resource
from pathlib import Path

import attrs

from benchmarks.candidate import Candidate
from benchmarks.compare import Spread
from benchmarks.measure import BenchmarkError, Program, Workload, cores, load
from benchmarks.report import last_line
from benchmarks.rows import Progress, Result, Timing, Verdict

KIB = 1024
SPARE_DESCRIPTORS = 200  # for what a process has open beside its connections


def resident(process: int) -> int:
    """Bytes of memory of a process, counted page by page: /proc/PID/statm may be off by some hundred KiB."""
    rollup = Path(f"/proc/{process}/smaps_rollup")
    if not rollup.exists():
        message = f"{rollup} does not exist: memory is only measured on Linux"
        raise BenchmarkError(message)
    return sum(int(kib) * KIB for kib in re.findall(r"^Rss:\s+(\d+) kB$", rollup.read_text(), re.MULTILINE))


def affordable(connections: int) -> int:
    """As many of the connections as the limit on descriptors allows, after raising it as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the children inherit it
    return connections if hard == resource.RLIM_INFINITY else min(connections, hard - SPARE_DESCRIPTORS)


def memory_of_connection(candidate: Candidate, connections: int, *, tls: bool = False) -> float:
    """Bytes for each of so many idle connections that have exchanged one message.

    Raises:
        BenchmarkError: with what the server or the load generator said.

    """
    server_core, client_core = cores()
    with Program(candidate.command("echo"), server_core) as server:
        address = server.hear()["address"]

        def hold(count: int) -> Program:
            workload = Workload("hold", size=64, connections=count, tls=tls)
            return load(address, workload, server.process.pid, client_core)

        with hold(10) as client:  # what the first connection sets up for all is no cost of a connection
            client.hear()
        server.ask()
        before = resident(server.process.pid)
        with hold(connections) as client:
            client.hear()
            server.ask()  # collects garbage
            after = resident(server.process.pid)
    return (after - before) / connections


@attrs.frozen
class IdleRow:
    """The memory of an idle connection; `ours` may take at most `most` bytes, the peers are shown."""

    name: str
    title: str
    connections: int
    most: int
    ours: tuple[Candidate, ...]
    shown: tuple[Candidate, ...] = ()
    tls: bool = False

    def measure(self, timing: Timing, progress: Progress) -> Result:
        """Measure every candidate once a round and judge."""
        connections = affordable(self.connections)
        samples: dict[Candidate, list[float]] = {}
        failures: dict[Candidate, str] = {}
        for turn in range(1, timing.rounds + 1):
            for candidate in (*self.ours, *self.shown):
                if candidate.missing:
                    failures[candidate] = f"{candidate.missing} is not installed"
                if candidate in failures:
                    continue
                progress(f"{connections} idle connections, round {turn} of {timing.rounds}: {candidate.title}")
                try:
                    samples.setdefault(candidate, []).append(memory_of_connection(candidate, connections, tls=self.tls))
                except BenchmarkError as error:
                    failures[candidate] = str(error)
        return self.judge(connections, samples, failures)

    def judge(self, connections: int, samples: dict[Candidate, list[float]], failures: dict[Candidate, str]) -> Result:
        """The verdicts on what was measured."""
        memory = {one: Spread.of(figures) for one, figures in samples.items() if one not in failures}
        lines = [f"{connections} connections"] if connections != self.connections else []
        lines += [f"{one.title:50}{kib(found.median):>12}{f'±{found.width:.0%}':>9}" for one, found in memory.items()]
        lines += [f"{one.title:50}not measured: {last_line(failure)}" for one, failure in failures.items()]
        figures = {
            "connections": connections,
            "samples": {str(one): found for one, found in samples.items()},
            "failures": {str(one): failure for one, failure in failures.items()},
        }
        return Result(self.name, self.title, lines, [self.verdict(one, memory.get(one)) for one in self.ours], figures)

    def verdict(self, candidate: Candidate, memory: Spread | None) -> Verdict:
        """Whether the median stays within the mark; what could not be measured does not."""
        figure = kib(memory.median) if memory else "not measured"
        met = memory is not None and memory.median <= self.most
        return Verdict(candidate.title, figure, "", "", figure, "", f"<= {self.most // KIB} KiB", met)


def kib(size: float) -> str:
    """Bytes as KiB, for people."""
    return f"{size / KIB:.2f} KiB"
