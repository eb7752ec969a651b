"""The results in words and figures: what the terminal and the page both say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.bench.results import PERCENTILES
from aionet.bench.units import amount, counted, period, thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aionet.bench.results import Results

__all__ = ["facts", "headline", "percentiles", "workload"]


def workload(results: Results) -> str:
    """What was done: mode, size, connections, and by which kind of loop."""
    plan = results.plan
    size = f"{len(plan.request or b'')} bytes" if plan.mode == "request-file" else f"{plan.size} bytes"
    parts = [plan.mode, size, counted(plan.connections, "connection")]
    if plan.rate is not None:
        parts.append(f"open loop, {thousands(plan.rate)} a second ({plan.arrivals})")
    elif plan.mode in ("sink", "source"):
        parts.append("as fast as it goes")
    else:
        parts.append("closed loop" + (f", {plan.pipeline} under way on each" if plan.pipeline > 1 else ""))
    return " · ".join(parts)


def headline(results: Results) -> str:
    """The one figure: how many a second."""
    noun = {"connect": "connections", "request-file": "requests"}.get(results.plan.mode, "messages")
    if results.plan.datagrams:
        noun = "datagrams"
    answered = noun if results.plan.mode in ("sink", "source", "connect") else f"{noun} answered"
    return f"{thousands(results.rate)} {answered} a second"


def percentiles(results: Results) -> list[tuple[str, str]]:
    """The latency at each percentile, and the largest; one for which there were too few replies is left out."""
    latency = results.latency
    found = [(f"p{each:g}", period(latency.percentile(each))) for each in PERCENTILES if results.supports(each)]
    return [*found, ("max", period(latency.max))] if latency.count else []


def facts(results: Results) -> Iterator[tuple[str, str]]:
    """Everything else, by name."""
    seconds = results.seconds or 1.0
    traffic = [
        f"{amount(size / seconds)}/s {verb}"
        for verb, size in (("sent", results.bytes_sent), ("received", results.bytes_received))
        if size
    ]
    yield "traffic", ", ".join(traffic) or "none"
    if results.plan.mode == "connect" or results.plan.endpoint.scheme == "tls":
        yield from _connections(results)
    elif not results.plan.datagrams and results.setup.count:
        yield "connecting", f"p50 {period(results.setup.percentile(50))}, max {period(results.setup.max)}"
    if results.plan.datagrams and results.plan.mode in ("echo", "request-file"):
        yield from _datagrams(results)
    if results.lag.count:
        lag = results.lag
        yield "schedule", f"left late by p50 {period(lag.percentile(50))}, p99 {period(lag.percentile(99))}"
    server = "" if results.server_cpu is None else f", server {results.server_cpu:.0%}"
    if results.server_cost is not None:
        server += f" ({period(results.server_cost * 1e9)} a message)"
    yield "CPU", f"generator {results.client_cpu:.0%} of a core{server}"
    yield "measured", _measured(results)
    if results.workers:
        yield "cluster", _cluster(results)


def _connections(results: Results) -> Iterator[tuple[str, str]]:
    setup = results.setup
    what = "handshakes" if results.tls else "connects"
    times = f"p50 {period(setup.percentile(50))}, p99 {period(setup.percentile(99))}, max {period(setup.max)}"
    rate = f"{thousands(results.connected / (results.seconds or 1.0))} a second, " if results.connected else ""
    yield what, f"{rate}{times}"
    if results.tls:
        resumed = f", {results.resumed / results.connected:.0%} resumed" if results.connected else ""
        yield "TLS", f"{results.tls}{resumed}"


def _datagrams(results: Results) -> Iterator[tuple[str, str]]:
    found = results.datagrams
    yield "lost", f"{thousands(found.lost)} ({results.loss:.3%}), and {thousands(found.late)} came late"
    if results.plan.mode == "echo":
        yield "order", f"{thousands(found.reordered)} reordered, {thousands(found.duplicate)} duplicates"
        yield "jitter", period(found.jitter)


def _measured(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    generators = counted(results.generators, "generator")
    return f"{results.seconds:.1f} s by {generators} on {results.loop}; {versions}"


def _cluster(results: Results) -> str:
    workers = results.workers
    hosts = list(dict.fromkeys(worker.host for worker in workers))
    error = max(worker.start_error for worker in workers)
    where = f"{counted(len(workers), 'worker')} on {', '.join(hosts)}"
    return f"{where}; started at one time to within {period(error)}"
