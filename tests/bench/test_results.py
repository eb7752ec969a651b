"""What a run found: kept, read again, judged, and put into words."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from aionet.bench.conditions import Condition
from aionet.bench.histogram import Histogram
from aionet.bench.machine import Machine, Worker
from aionet.bench.page import _circumstances
from aionet.bench.plan import Plan
from aionet.bench.results import Results, ResultsError
from aionet.bench.slot import Datagrams
from aionet.bench.tally import Point
from aionet.bench.text import facts, headline, percentiles, workload
from aionet.bench.trust import doubts
from aionet.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

MILLISECOND = 1_000_000


def results(**changes: Any) -> Results:
    """Good results: a thousand replies a second for ten seconds, a hundredth of which took 8 ms."""
    points = [Point(at=each + 1.0, seconds=1.0, replies=1000, p50=MILLISECOND, max=MILLISECOND) for each in range(10)]
    made = Results(
        plan=Plan(endpoint="tcp://127.0.0.1:8000", connections=2),
        command="aionet bench tcp://127.0.0.1:8000",
        began="2026-01-01T00:00:00+00:00",
        machine=Machine("a processor", 4, "Linux 6", 0.1),
        versions={"Python": "3.11"},
        loop="asyncio",
        generators=1,
        seconds=10.0,
        replies=10_000,
        late_replies=0,
        sent=10_000,
        bytes_sent=640_000,
        bytes_received=640_000,
        connected=0,
        resumed=0,
        points=points,
        latency=Histogram({MILLISECOND: 9_900, 8 * MILLISECOND: 100}),
        lag=Histogram(),
        setup=Histogram({MILLISECOND: 2}),
        errors=Counter(),
        datagrams=Datagrams(),
        client_cpu=0.5,
        server_cpu=0.9,
        interrupted=False,
        failures=[],
        tls=None,
    )
    return attrs.evolve(made, **changes)


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [([1.0, 1.0, 1.0, 0.3], 3), ([0.1, 0.1, 0.9, 0.1], 4), ([1.0, 0.2], 1), ([0.2], 1), ([], 0)],
    ids=["the last is cut short", "one was held up", "two", "one", "none"],
)
def test_slots_that_are_much_shorter_than_usual_have_no_rate(seconds: list[float], counted: int) -> None:
    points = [Point(at=each + 1.0, seconds=each, replies=100) for each in seconds]
    assert len(results(points=points).rates()) == counted


def worker(**changes: Any) -> Worker:
    """One worker of a cluster, with one generator."""
    machine = Machine("a processor", 4, "Linux 6", 0.1)
    made = Worker(
        address="tcp://192.0.2.1:4000",
        host="one",
        machine=machine,
        versions={"Python": "3.11.7", "aionet": "1"},
        generators=1,
        start_error=80_000,
    )
    return attrs.evolve(made, **changes)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    kept = results(errors=Counter({"connect: Connection refused": 3}), server_cpu=None)
    kept.save(file)
    found = Results.load(file)
    assert found == kept
    assert list(found.latency.recorded()) == list(kept.latency.recorded())
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results.json"
    results().save(file)
    before = file.read_text()
    monkeypatch.setattr(Results, "as_json", lambda _self: {"what JSON cannot hold": object()})
    with pytest.raises(TypeError):
        results().save(file)
    assert file.read_text() == before


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_said_to_be_truncated(tmp_path: Path, part: float) -> None:
    file = tmp_path / "results.json"
    results().save(file)
    text = file.read_text().rstrip()
    file.write_text(text[: int(len(text) * part)])
    with pytest.raises(ResultsError, match=r"results\.json: truncated: the JSON ends in the middle"):
        Results.load(file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "results of version 2: expected version 1"),
        ({"format": "something else"}, "no results of aionet bench"),
        ({"latency": "nonsense"}, "damaged: no encoded histogram"),
        ({"plan": {}}, "damaged: 'expect' is missing"),
        ({"points": 5}, "damaged"),
        ({"machine": {"cores": 1}}, "damaged"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results().as_json() | change))
    with pytest.raises(ResultsError, match=says):
        Results.load(file)


@pytest.mark.parametrize(
    ("content", "says"), [(b"[]", "no results"), (b"{x}\n", "no JSON"), (b"\xff", "no text"), (None, "No such file")]
)
def test_a_file_of_no_results_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ResultsError, match=says):
        Results.load(file)


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"client_cpu": 0.97, "server_cpu": 0.5}, ["saturated"]),
        ({"client_cpu": 0.97, "server_cpu": None}, ["saturated"]),
        ({"client_cpu": 0.97, "server_cpu": 0.98}, []),  # both are busy: it is the server's limit, too
        ({"plan": Plan(endpoint="tcp://h:1", rate=1000.0), "lag": Histogram({5 * MILLISECOND: 9})}, ["behind"]),
        ({"plan": Plan(endpoint="tcp://h:1", rate=1000.0), "lag": Histogram({9000: 9})}, []),
        ({"plan": Plan(endpoint="tcp://h:1", rate=5000.0)}, ["behind"]),
        ({"seconds": 0.5}, ["short"]),
        ({"replies": 500}, ["short"]),
        ({"points": [Point(at=each, seconds=1.0, replies=1000 + each % 2 * 900) for each in range(10)]}, ["noisy"]),
        ({"machine": Machine("a processor", 4, "Linux 6", 3.5)}, ["busy"]),
        ({"machine": Machine("a processor", 1, "Linux 6", 0.0)}, ["busy"]),
        ({"plan": Plan(endpoint="tcp://h:1", mode="sink")}, ["unverified"]),
        ({"failures": ["generator 2 was killed by SIGKILL"]}, ["lost generator"]),
        ({"interrupted": True}, ["interrupted"]),
    ],
)
def test_what_speaks_against_a_figure_is_said(changes: dict[str, Any], kinds: list[str]) -> None:
    assert [doubt.kind for doubt in doubts(results(**changes))] == kinds


@pytest.mark.parametrize(
    ("condition", "changes", "broken"),
    [
        ("errors", {}, False),
        ("errors", {"errors": Counter({"x": 1})}, True),
        ("errors", {"datagrams": Datagrams(lost=1)}, True),
        ("errors>10", {"errors": Counter({"x": 10})}, False),
        ("errors > 1%", {"errors": Counter({"x": 101})}, True),
        ("errors>1%", {"errors": Counter({"x": 99})}, False),
        ("loss>1%", {"datagrams": Datagrams(lost=90)}, False),
        ("loss>0.5%", {"datagrams": Datagrams(lost=90)}, True),
        ("loss>80", {"datagrams": Datagrams(lost=90)}, True),
        ("rate<1000", {}, False),
        ("rate<1000.5", {}, True),
        ("p99.9>5ms", {}, True),
        ("p50>900us", {}, True),
        ("p50>1.1ms", {}, False),
        ("max>1s", {}, False),
        ("doubts", {}, False),
        ("doubts", {"seconds": 0.5}, True),
    ],
)
def test_a_condition_is_broken_or_not(condition: str, changes: dict[str, Any], *, broken: bool) -> None:
    assert Condition.parse(condition).broken_by(results(**changes)) == broken


@pytest.mark.parametrize(
    "text",
    ["", "x", "rate", "p99", "p99>5", "p99>5kb", "p101>5ms", "rate>5ms", "errors=5", "pxx>1s", "max>..ms", "p>1s"],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected errors, errors>N"):
        Condition.parse(text)


def test_a_percentile_for_which_there_are_too_few_replies_is_left_out() -> None:
    assert [name for name, _ in percentiles(results())] == ["p50", "p75", "p90", "p99", "p99.9", "max"]
    few = results(latency=Histogram({MILLISECOND: 50}))
    assert [name for name, _ in percentiles(few)] == ["p50", "p75", "max"]
    assert percentiles(results(latency=Histogram())) == []


def test_the_words_say_which_loop_it_was() -> None:
    assert "closed loop" in workload(results())
    opened = results(plan=Plan(endpoint="tcp://h:1", rate=1000.0))
    assert "open loop, 1 000 a second" in workload(opened)
    assert headline(results()) == "1 000 messages answered a second"


def test_the_facts_of_each_kind_of_run_are_told() -> None:
    told = dict(facts(results()))
    assert told["traffic"] == "64.0 kB/s sent, 64.0 kB/s received"
    assert told["CPU"] == "generator 50% of a core, server 90% (900 µs a message)"
    udp = results(plan=Plan(endpoint="udp://h:1"), datagrams=Datagrams(lost=100, late=3, duplicate=2, reordered=1))
    told = dict(facts(udp))
    assert told["lost"] == "100 (0.990%), and 3 came late"
    assert told["order"] == "1 reordered, 2 duplicates"
    tls = results(plan=Plan(endpoint="tls://h:1", mode="connect"), tls="TLSv1.3 X", connected=1000, resumed=990)
    told = dict(facts(tls))
    assert told["handshakes"].startswith("100 a second, p50 1.00 ms")
    assert told["TLS"] == "TLSv1.3 X, 99% resumed"


TWO_WORKERS = [worker(), worker(address="tcp://192.0.2.2:4000", host="two", start_error=120_000)]


def test_the_workers_of_a_cluster_are_named_and_how_well_they_started_together() -> None:
    found = results(workers=TWO_WORKERS)
    assert dict(facts(found))["cluster"] == "2 workers on one, two; started at one time to within 120 µs"
    assert dict(_circumstances(found))["tcp://192.0.2.2:4000 on two"] == (
        "1 generator, started within 120 µs; a processor, 4 cores, Linux 6, load 0.1 before; Python 3.11.7, aionet 1"
    )
    assert "cluster" not in dict(facts(results()))


def test_workers_of_other_versions_are_told() -> None:
    other = worker(host="two", versions={"Python": "3.13.0", "aionet": "1", "uvloop": "0.23"})
    found = [str(doubt) for doubt in doubts(results(workers=[worker(), other]))]
    assert found == [
        "The workers have different versions of Python: 3.11.7, 3.13.0.",
        "The workers have different versions of uvloop: 0.23, none.",
    ]
    assert not doubts(results(workers=TWO_WORKERS))


def test_each_machine_of_a_cluster_is_looked_at() -> None:
    busy = Machine("a processor", 2, "Linux 6", 1.5)
    workers = [worker(), worker(host="two", machine=busy, generators=2), worker(host="two", machine=busy)]
    assert [str(doubt) for doubt in doubts(results(workers=workers))] == [
        "two was busy before the start: load average 1.5.",
        "3 generators shared 2 cores of two: they took time from each other.",
    ]
