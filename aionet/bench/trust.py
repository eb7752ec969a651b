"""When a figure is not the server's: what in the results says so.

A load generator measures the slower of two programs. Each rule here is one way in which that was not the server, or in
which the figure would be another one the next time, and names what to do about it.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aionet.bench.machine import Machine
    from aionet.bench.results import Results

__all__ = ["Doubt", "Kind", "doubts", "spread"]

Kind = Literal[
    "saturated", "behind", "short", "noisy", "busy", "versions", "lost generator", "interrupted", "unverified"
]

# A process that waits for nobody uses nearly all of its core; the rest is the system's.
_BUSY: Final = 0.9
# How late messages may leave, as p99 in nanoseconds, and how much of the asked rate may be missing.
_LAG: Final = 1_000_000
_MISSING: Final = 0.01
# A second and a thousand replies: below, the scheduler's slices and the warming caches are in the figure.
_SECONDS: Final = 1.0
_REPLIES: Final = 1000
# Slots needed to speak of spread, and how much of the median may lie between the tenth and the ninetieth percentile.
_SLOTS: Final = 8
_SPREAD: Final = 0.25
# Load average a core, before the start, from which others were at work.
_LOAD: Final = 0.5


@attrs.frozen
class Doubt:
    """One reason not to take the figure for the server's, and what to do."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text


def doubts(results: Results) -> list[Doubt]:
    """Return all that speaks against the figures; nothing, where they can be taken as the server's."""
    return [*_generator(results), *_run(results), *_surroundings(results)]


def spread(results: Results) -> float | None:
    """Return what lies between the 10th and the 90th percentile of the slots' rates, as a part of their median."""
    rates = results.rates()
    if len(rates) < _SLOTS or not statistics.median(rates):
        return None
    tenths = statistics.quantiles(rates, n=10)
    return (tenths[-1] - tenths[0]) / statistics.median(rates)


def _generator(results: Results) -> Iterator[Doubt]:
    plan = results.plan
    server_was_busy = results.server_cpu is not None and results.server_cpu >= _BUSY
    if results.client_cpu >= _BUSY and not server_was_busy:
        server = "" if results.server_cpu is None else f", the server {results.server_cpu:.0%}"
        more = "more --processes" if plan.connections > 1 else "more --connections and --processes"
        yield Doubt(
            "saturated",
            f"The generator was the limit: it used {results.client_cpu:.0%} of a core{server}. Use {more}, on a machine"
            " with cores to spare"
            + ("." if results.server_cpu is not None else ", and --pid to see how busy the server is."),
        )
    if plan.rate is None:
        return
    lag = results.lag.percentile(99)
    if lag > _LAG:
        yield Doubt(
            "behind",
            f"The generator was behind its schedule: 1 % of the messages left {lag / 1e6:.1f} ms late or later. "
            "That is in the latencies, and is not the server's. Use a lower --rate or more --processes.",
        )
    sent = results.sent / results.seconds if results.seconds else 0.0
    if sent < plan.rate * (1 - _MISSING):
        yield Doubt("behind", f"Only {sent:,.0f} of the {plan.rate:,.0f} messages a second were sent.")


def _run(results: Results) -> Iterator[Doubt]:
    counted = results.replies + results.late_replies
    if results.interrupted:
        yield Doubt("interrupted", f"Ended early by Ctrl-C, after {results.seconds:.1f} s.")
    if results.seconds < _SECONDS or counted < _REPLIES:
        yield Doubt(
            "short",
            f"Too short: {results.seconds:.2g} s and {counted:,} replies. At least {_SECONDS:g} s and {_REPLIES:,}"
            " replies are needed for a figure to mean something.",
        )
    found = spread(results)
    if found is not None and found > _SPREAD:
        yield Doubt(
            "noisy",
            f"Too noisy: from one moment to the next the rate varied by {found:.0%} of its median. Something else was"
            " running, or the server stalls: look at the throughput over time, and repeat.",
        )
    if results.plan.mode == "sink":
        yield Doubt(
            "unverified",
            "What the kernel took is counted; nothing says that the server has received it, or will."
            if results.plan.datagrams
            else "What the kernel took is counted: the last of it, up to the buffers' size, was still on its way.",
        )
    for failure in results.failures:
        yield Doubt("lost generator", f"A generator was lost, and what it would have measured is missing: {failure}")


def _surroundings(results: Results) -> Iterator[Doubt]:
    for name, machine, generators in _machines(results):
        if machine.load > machine.cores * _LOAD:
            yield Doubt("busy", f"{name} was busy before the start: load average {machine.load:.1f}.")
        server = results.server_cpu is not None and not results.workers
        if generators + server > machine.cores:
            yield Doubt(
                "busy",
                f"{generators} generators"
                + (" and the server" if server else "")
                + f" shared {machine.cores} cores{f' of {name}' if results.workers else ''}: they took time from each"
                " other.",
            )
    for library in dict.fromkeys(library for worker in results.workers for library in worker.versions):
        found = {worker.versions.get(library, "none") for worker in results.workers}
        if len(found) > 1:
            versions = ", ".join(sorted(found))
            yield Doubt("versions", f"The workers have different versions of {library}: {versions}.")


def _machines(results: Results) -> Iterator[tuple[str, Machine, int]]:
    """What generated, and in how many generators: this machine, or those of the workers."""
    if not results.workers:
        yield "The machine", results.machine, results.plan.processes
    for host in dict.fromkeys(worker.host for worker in results.workers):
        here = [worker for worker in results.workers if worker.host == host]
        yield host, here[0].machine, sum(worker.generators for worker in here)
