"""The marks of the load generator itself."""

import pytest

from benchmarks.generator import Aside, GeneratorRow, Memory, judge
from benchmarks.report import thousands
from benchmarks.rows import Timing


def test_a_figure_has_to_reach_what_is_the_least() -> None:
    verdict = judge("echoes", [90.0, 120.0, 100.0], thousands, least=100, limit=180)
    assert verdict.met
    assert verdict.measured == "100 (90 to 120)"
    assert (verdict.peer, verdict.peer_figure) == ("a client in C", "180")
    assert not judge("echoes", [90.0, 120.0, 100.0], thousands, least=101).met


def test_a_figure_has_to_stay_within_what_is_the_most() -> None:
    assert judge("ms", [1.0], "{:.1f}".format, most=1.0).met
    missed = judge("ms", [1.1], "{:.1f}".format, most=1.0)
    assert not missed.met
    assert str(missed).split()[-3:] == ["<=", "1", "MISSED"]


def test_memory_counts_as_grown_from_a_tenth_of_the_run_on() -> None:
    memory = Memory()
    memory.noted = [10.0, *[20.0] * 9, 20.5]
    assert memory.growth == 0.5
    assert isinstance(memory, Aside)


@pytest.mark.usefixtures("cc")
def test_all_of_it_is_measured() -> None:
    row = GeneratorRow("generator", "short", minute=1.0)
    said: list[str] = []
    result = row.measure(Timing(rounds=1, seconds=0.3, warmup=0.05), said.append)
    tcp, udp, late, memory = (figures for name, figures in result.figures["samples"].items() if " of " not in name)
    assert tcp[0] > 1000
    assert udp[0] > 1000
    assert 0 < late[0] < 1000
    assert 1 < len(memory) <= 10  # of ten slots, the last may be read when the process that told it has ended
    assert all(5 < size < 500 for size in memory)
    assert [verdict.met is not None for verdict in result.verdicts] == [True] * 4
    assert "TCP echo, round 1 of 1" in said
