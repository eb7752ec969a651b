"""The arithmetic of the marks, on figures that are given."""

import json
from itertools import chain, cycle
from pathlib import Path

import attrs
import pytest

from benchmarks import __main__ as command_line
from benchmarks.candidate import Candidate
from benchmarks.compare import Comparison, Spread, compare
from benchmarks.generator import GeneratorRow
from benchmarks.idle import KIB, IdleRow
from benchmarks.marks import ROWS
from benchmarks.measure import BenchmarkError, Sample, Workload
from benchmarks.readme import markdown_lines
from benchmarks.report import comparison_lines
from benchmarks.rows import Mark, Row

OURS = Candidate("aionet_streams", "asyncio")
PEER = Candidate("streams", "asyncio")
WORK = Workload("echo")


def sample(messages: int, *, server_busy: float = 1.0, client_busy: float = 0.5) -> Sample:
    return Sample(messages, seconds=2.0, server_cpu=2 * server_busy, client_cpu=2 * client_busy)


def compared(ours: list[int], peer: list[int]) -> Comparison:
    return Comparison(WORK, {OURS: [sample(n) for n in ours], PEER: [sample(n) for n in peer]})


def row(least: float | None) -> Row:
    return Row("echo", "echo", WORK, (Mark(OURS, PEER, least),))


def test_a_sample_gives_messages_a_second_and_cpu_a_message() -> None:
    found = Sample(messages=1000, seconds=2.0, server_cpu=1.0, client_cpu=0.5)
    assert found.rate == 500
    assert found.cost == pytest.approx(1e-3)
    assert found.server_busy == pytest.approx(0.5)
    assert found.client_busy == pytest.approx(0.25)


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    spread = Spread.of([4.0, 1.0, 2.0])
    assert spread == Spread(median=2.0, least=1.0, greatest=4.0)
    assert spread.width == pytest.approx(0.75)


def test_the_ratio_is_taken_round_by_round() -> None:
    # The machine halves its speed in the second round; both candidates suffer alike, and the ratio does not.
    assert compared([3000, 1500], [1000, 500]).ratio(OURS, PEER) == Spread(3.0, 3.0, 3.0)


def test_the_ratio_by_cpu_does_not_depend_on_how_much_of_its_core_a_server_had() -> None:
    half_idle = sample(1500, server_busy=0.5)
    comparison = Comparison(WORK, {OURS: [half_idle], PEER: [sample(1000)]})
    assert comparison.ratio(OURS, PEER) == Spread(1.5, 1.5, 1.5)
    assert comparison.cpu_ratio(OURS, PEER) == Spread(3.0, 3.0, 3.0)
    assert row(3.0).judge(comparison).verdicts[0].by_cpu == "by CPU 3.00"


@pytest.mark.parametrize(("least", "met"), [(3.0, True), (3.01, False), (None, None)])
def test_a_mark_is_met_from_its_own_value_on(least: float | None, met: bool | None) -> None:  # noqa: FBT001
    result = row(least).judge(compared([2000, 3000, 9000], [1000, 1000, 1000]))
    assert result.verdicts[0].met is met
    assert result.verdicts[0].measured == "3.00 (2.00 to 9.00)"
    assert result.verdicts[0].our_figure == "1 500"
    assert result.verdicts[0].peer_figure == "500"


def test_what_could_not_be_measured_misses_its_mark() -> None:
    comparison = Comparison(WORK, {OURS: [sample(1)]}, {PEER: "it broke"})
    verdict = row(1.0).judge(comparison).verdicts[0]
    assert verdict.met is False
    assert verdict.measured == "not measured"
    assert str(verdict).endswith("MISSED")


def test_candidates_take_turns() -> None:
    turns: list[Candidate] = []

    def measure(candidate: Candidate, _: Workload) -> Sample:
        turns.append(candidate)
        return sample(1)

    compare([OURS, PEER, OURS], WORK, 3, measure=measure)
    assert turns == [OURS, PEER] * 3


def test_a_candidate_that_breaks_is_left_out_and_the_others_go_on() -> None:
    counts = {OURS: cycle([sample(5)]), PEER: chain([sample(7)])}

    def measure(candidate: Candidate, _: Workload) -> Sample:
        found = next(counts[candidate], None)
        if found is None:
            message = "Traceback\n  in the middle\nValueError: it broke"
            raise BenchmarkError(message)
        return found

    comparison = compare([OURS, PEER], WORK, 3, measure=measure)
    assert comparison.samples == {OURS: [sample(5)] * 3}
    assert comparison.ratio(OURS, PEER) is None
    assert "not measured: ValueError: it broke" in "\n".join(comparison_lines(comparison))


def test_a_library_that_is_not_installed_is_named_and_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(candidate: Candidate, _: Workload) -> Sample:
        pytest.fail(f"ran {candidate}")

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    absent = [Candidate("streams", "uvloop"), Candidate("aiofastnet_protocol", "asyncio")]
    comparison = compare(absent, WORK, 1, measure=measure)
    assert list(comparison.failures.values()) == ["uvloop is not installed", "aiofastnet is not installed"]


@pytest.mark.parametrize(
    ("server_busy", "client_busy", "remark"),
    [(1.0, 1.0, ""), (0.5, 1.0, "the load generator was the limit"), (0.5, 0.5, "disturbed")],
)
def test_a_figure_that_means_little_says_so(server_busy: float, client_busy: float, remark: str) -> None:
    found = sample(1, server_busy=server_busy, client_busy=client_busy)
    line = list(comparison_lines(Comparison(WORK, {OURS: [found]})))[-1]
    assert remark in line
    assert line.endswith(")") == bool(remark)


def test_the_memory_of_a_connection_has_to_stay_within_the_mark() -> None:
    idle = IdleRow("idle", "idle", connections=1000, most=6 * KIB, ours=(OURS, PEER))
    result = idle.judge(1000, {OURS: [6.0 * KIB, 5.0 * KIB, 7.0 * KIB], PEER: [6.1 * KIB]}, {})
    assert [verdict.met for verdict in result.verdicts] == [True, False]
    assert result.verdicts[0].measured == "6.00 KiB"
    broken = idle.judge(1000, {OURS: [1.0]}, {OURS: "it broke", PEER: "it is not there"})
    assert [verdict.met for verdict in broken.verdicts] == [False, False]


def test_every_row_of_the_marks_names_servers_that_exist() -> None:
    for one in ROWS:
        if isinstance(one, GeneratorRow):
            continue  # whose servers are fixed
        candidates = one.candidates if isinstance(one, Row) else [*one.ours, *one.shown]
        assert [Candidate.parse(str(candidate)) for candidate in candidates] == candidates


def test_the_readme_table_has_a_line_for_each_mark_and_names_the_machine() -> None:
    result = row(3.0).judge(compared([3000], [1000]))
    lines = list(markdown_lines({"kernel": "Linux 6"}, [result]))
    assert lines[2] == (
        "| echo | aionet streams, on asyncio | 1 500 | asyncio streams, on asyncio | 500 | 3.00 | 3.00 | >= 3.0 |"
    )
    assert lines[-1].endswith("; kernel: Linux 6.")


def test_the_marks_can_be_kept_in_a_file_with_every_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    peer, ours = (Candidate(file, "asyncio") for file in ("streams", "aionet_streams"))
    found = Comparison(WORK, {ours: [sample(300), sample(200)], peer: [sample(100), sample(100)]})
    monkeypatch.setattr("benchmarks.rows.compare", lambda *_: found)
    assert command_line.main(["marks", "--only", "lines", "--json", str(tmp_path / "marks.json")]) == 1
    kept = json.loads((tmp_path / "marks.json").read_text())
    assert kept["machine"]["kernel"]
    (lines,) = kept["rows"]
    assert [one["messages"] for one in lines["figures"]["samples"]["aionet_streams@asyncio"]] == [300, 200]
    assert [verdict["met"] for verdict in lines["verdicts"]] == [True, False]


def test_one_core_is_said_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)
    assert command_line.main(["marks", "--only", "echo", "--rounds", "0"]) == 1
    assert "ONE CORE" in capsys.readouterr().out


@pytest.mark.usefixtures("cc")
def test_the_command_compares_the_servers_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--rounds", "1", "--seconds", "0.02", "--warmup", "0.01"]
    assert command_line.main(["echo", "--servers", "c,streams@asyncio", *short]) == 0
    printed = capsys.readouterr().out
    assert "C, epoll" in printed
    assert "asyncio streams, on asyncio" in printed


def test_an_unknown_server_ends_the_command_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["echo", "--servers", "nonesuch@asyncio"]) == 2
    assert "server 'nonesuch@asyncio': expected one of" in capsys.readouterr().err


def test_timing_reaches_the_workload_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Workload] = []

    def compare(_: object, workload: Workload, *_rest: object) -> Comparison:
        seen.append(workload)
        return compared([1], [1])

    monkeypatch.setattr("benchmarks.rows.compare", compare)
    command_line.main(["marks", "--only", "echo", "--rounds", "1", "--seconds", "7", "--warmup", "3"])
    assert [(workload.seconds, workload.warmup) for workload in seen] == [(7, 3)]
    assert attrs.evolve(seen[0], seconds=2, warmup=0.5) == ROWS[0].workload  # type: ignore[union-attr]
