"""What the demo makes of its samples: medians, ratios, a table and JSON."""

import io
import json
import math
from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aionet.bench.buckets import quantile
from aionet.bench.units import thousands
from aionet.cli.demo.measure import Candidate, Cores, Sample, Workload
from aionet.cli.demo.results import Results
from aionet.cli.demo.table import report

AIONET = Candidate("aionet", "asyncio")
STREAMS = Candidate("streams", "asyncio")
AIONET_UVLOOP = Candidate("aionet", "uvloop")
STREAMS_UVLOOP = Candidate("streams", "uvloop")
ALL = [AIONET, STREAMS, AIONET_UVLOOP, STREAMS_UVLOOP]

WORKLOAD = Workload(connections=10, size=1000, seconds=1.0, warmup=0.25)
TWO_CORES = Cores(0, (1,))

SAMPLE = Sample(messages=1000, seconds=1.0, p50=50e-6, p99=100e-6, server_cpu=1.0, client_cpu=0.5)


def sample(messages: int, server_cpu: float = 1.0, client_cpu: float = 0.5) -> Sample:
    return attrs.evolve(SAMPLE, messages=messages, server_cpu=server_cpu, client_cpu=client_cpu)


def results(samples: dict[Candidate, list[Sample]], workload: Workload = WORKLOAD, cores: Cores = TWO_CORES) -> Results:
    return Results(workload, cores, rounds=3, samples=samples)


def shown(found: Results, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(report(found, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_are_medians_and_ratios_are_medians_of_each_rounds_own() -> None:
    found = results({AIONET: list(map(sample, [300, 100, 800])), STREAMS: list(map(sample, [100, 50, 800]))})
    ours, peer = found.rows()
    assert (ours.rate, peer.rate) == (300, 100)
    assert ours.rate_ratio == 2.0  # of 3, 2 and 1
    assert ours.cpu_ratio == pytest.approx(1 / 2)
    assert (peer.rate_ratio, peer.cpu_ratio) == (1.0, 1.0)


def test_ratios_are_to_the_same_loop() -> None:
    found = results({each: [sample(rate)] for each, rate in zip(ALL, [300, 100, 500, 250], strict=True)})
    assert [row.rate_ratio for row in found.rows()] == [3, 1, 2, 1]


def test_a_round_that_was_cut_short_has_no_ratio() -> None:
    ours, peer = results({AIONET: [sample(300)], STREAMS: []}).rows()
    assert ours.rate == 300
    assert ours.rate_ratio is None
    assert not peer.samples


@pytest.mark.parametrize(
    ("server", "client", "limited", "disturbed"),
    [(1.0, 0.5, False, False), (0.5, 1.0, True, False), (1.0, 1.0, False, False), (0.5, 0.5, False, True)],
)
def test_what_was_the_limit_shows_in_who_had_no_time_left(
    server: float, client: float, *, limited: bool, disturbed: bool
) -> None:
    found = results({AIONET: [sample(1000, server, client)], STREAMS: [sample(1000)]})
    assert found.client_was_the_limit is limited
    assert found.disturbed is disturbed
    assert ("The client was the bottleneck: the CPU column tells more" in shown(found)) is limited
    assert ("1 000*" in shown(found)) is limited
    assert ("Something else was running" in shown(found)) is disturbed


def test_both_sides_of_few_connections_wait_without_being_disturbed() -> None:
    found = results({AIONET: [sample(1000, 0.5, 0.5)]}, attrs.evolve(WORKLOAD, connections=1))
    assert not found.disturbed


def test_one_core_for_both_sides_is_said() -> None:
    found = results({AIONET: [sample(1000, 0.5, 0.5)]}, cores=Cores(None, (None,)))
    assert not found.disturbed
    assert "One core" in shown(found)


def test_where_the_processes_were_pinned_is_said() -> None:
    found = results({AIONET: [sample(1000)]}, cores=Cores(2, (3, 4)))
    assert "The server was pinned to core 2, the clients to 3 and 4." in shown(found)


def test_a_table_without_any_figure_can_be_shown() -> None:
    found = results({each: [] for each in ALL})
    found.interrupted = True
    assert shown(found).count("aionet ") >= 2
    assert "Ctrl-C" in shown(found)
    assert found.as_json()["results"] == []


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_with_long_figures(width: int) -> None:
    slow = Sample(messages=1_234_567, seconds=1.0, p50=0.123456, p99=1.234567, server_cpu=123, client_cpu=0.99)
    lines = shown(results({each: [slow] * 3 for each in ALL}), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert sum("1 234 567" in line for line in lines) == 4


def test_a_wide_table_has_bars_in_proportion() -> None:
    lines = shown(results({AIONET: [sample(900)], STREAMS: [sample(300)]}), width=100).splitlines()
    bars = [line.count("█") for line in lines if "█" in line]
    assert bars == [18, 6]


def test_json_is_what_the_samples_say() -> None:
    found = json.loads(json.dumps(results({AIONET: [sample(2000)], STREAMS: [sample(1000)]}).as_json()))
    ours, _ = found["results"]
    assert ours["messages_per_second"] == 2000
    assert ours["server_cpu_us_per_message"] == 500
    assert (ours["p50_us"], ours["p99_us"]) == (50, 100)
    assert (ours["rate_to_asyncio"], ours["cpu_to_asyncio"]) == (2.0, 0.5)
    assert found["cores"] == {"server": 0, "clients": [1]}
    assert {"Python", "aionet"} <= set(found["versions"])


@given(st.lists(st.integers(0, 1000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_value_at_that_rank(values: list[int], part: float) -> None:
    assert quantile(Counter(values), part) == sorted(values)[math.ceil(part * len(values)) - 1]


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile({}, 0.5)


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999.6, "1 000"), (1234567, "1 234 567")])
def test_thousands_are_set_apart(number: float, text: str) -> None:
    assert thousands(number) == text
