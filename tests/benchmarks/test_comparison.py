"""The comparison with the peers: its rows, its file, its tables, its plots."""

import json
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from benchmarks import __main__ as command_line
from benchmarks import comparison
from benchmarks.candidate import Candidate
from benchmarks.compare import Comparison, Spread
from benchmarks.comparison import SECTIONS, rows
from benchmarks.idle import KIB, IdleRow
from benchmarks.measure import BenchmarkError, Sample, Workload
from benchmarks.results import COMPARISON, DIRECTORY, Results, ResultsError, write
from benchmarks.rows import Row, Timing
from benchmarks.tables import BEGIN, END, PageError, markdown, put

OURS, PEER, LIMIT = Candidate("aionet_streams", "asyncio"), Candidate("streams", "asyncio"), Candidate("c")
TIMING = Timing(rounds=2, seconds=1.0, warmup=0.1)


def sample(rate: int, *, busy: float = 1.0) -> Sample:
    return Sample(rate, seconds=1.0, server_cpu=busy, client_cpu=0.5)


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What draws, if matplotlib is installed; it has opened its fonts, which stay open as long as the process lives."""
    module: ModuleType = pytest.importorskip("benchmarks.plots", exc_type=ImportError)
    figure = module.Figure()
    for weight in ("normal", "bold"):
        figure.text(0, 0, "text", fontweight=weight)
    figure.savefig(tmp_path_factory.mktemp("fonts") / "text.svg")
    return module


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """A file with one row of messages and the row of memory."""
    echo, idle = rows()[1], comparison.IDLE_ROW
    assert isinstance(echo, Row)
    samples = {
        OURS: [sample(20_000), sample(22_000)],
        PEER: [sample(9000, busy=0.5), sample(9000, busy=0.5)],
        LIMIT: [sample(50_000), sample(50_000)],
    }
    measured = Comparison(echo.workload, samples, {Candidate("trio", "trio"): "Traceback\nValueError: it broke"})
    memory = idle.judge(10_000, {OURS: [3.0 * KIB], PEER: [5.0 * KIB]}, {})
    path = tmp_path / "comparison.json"
    write(path, {"processor": "a fast one"}, TIMING, [echo.judge(measured), memory])
    return path


def test_the_names_of_the_rows_are_different() -> None:
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names)


def test_every_row_compares_servers_that_exist_and_aionet_is_among_them() -> None:
    for row in rows():
        candidates = row.candidates if isinstance(row, Row) else list(row.shown)
        assert [Candidate.parse(str(candidate)) for candidate in candidates] == candidates
        assert any(candidate.ours for candidate in candidates)


def test_what_is_written_is_read_again(found: Path) -> None:
    results = Results.read(found)
    assert results.machine == {"processor": "a fast one"}
    assert results.timing == TIMING
    (echo,) = results.rates.values()
    assert echo.rate(OURS) == Spread(21_000, 20_000, 22_000)
    assert echo.workload.size == 1000
    assert list(echo.failures) == [Candidate("trio", "trio")]
    assert results.memory["idle"][PEER].median == 5 * KIB


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "Expecting value"), ('{"format": 1, "rows"', "Expecting"), ("[]", "format 1"), ('{"format": 2}', "format 1")],
    ids=["empty", "cut short", "something else", "another format"],
)
def test_a_file_that_is_no_comparison_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=rf"bad\.json: .*{complaint}"):
        Results.read(path)


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line.main(["tables", "--json", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err


def test_the_tables_show_the_fastest_first_and_who_could_not_be_measured(found: Path, tmp_path: Path) -> None:
    lines = list(markdown(Results.read(found), tmp_path, tmp_path / "page.md"))
    table = lines[lines.index("### TCP echo, 10 connections") + 2 :]
    assert table[:7] == [
        "| server | 1 kB, messages/s | CPU µs |",
        "|---|--:|--:|",
        "| C, epoll | 50 000 | 20.0 |",
        "| **aionet streams, on asyncio** | 21 000 | 47.7 |",
        "| asyncio streams, on asyncio | 9 000\\* | 55.6 |",
        "",
        "Not measured: trio@trio: ValueError: it broke",
    ]
    assert lines[-2:] == ["| **aionet streams, on asyncio** | 3.00 |", "| asyncio streams, on asyncio | 5.00 |"]


def test_a_page_takes_the_tables_in_the_place_of_those_it_has(found: Path, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"before\n{BEGIN}\nyesterday\n{END}\nafter\n")
    (tmp_path / "echo.svg").touch()
    arguments = ["tables", "--json", str(found), "--into", str(page), "--plots", str(tmp_path)]
    assert command_line.main(arguments) == 0
    once = page.read_text()
    assert command_line.main(arguments) == 0
    assert page.read_text() == once
    assert once.startswith(f"before\n{BEGIN}\n- measured: 2 rounds of 1 s, medians\n")
    assert once.endswith(f"\n{END}\nafter\n")
    assert "(../echo.svg)" in once
    assert "yesterday" not in once


def test_the_tables_of_some_sections_only(found: Path, tmp_path: Path) -> None:
    lines = list(markdown(Results.read(found), tmp_path, tmp_path / "page.md", ["idle"]))
    assert [line for line in lines if line.startswith("###")] == ["### Memory of an idle connection, of 10000"]


@pytest.mark.parametrize(("page", "only"), [("README.md", ["echo"]), ("docs/explanation/comparison.md", [])])
def test_the_pages_show_what_was_kept(page: str, only: list[str]) -> None:
    path = DIRECTORY.parents[1] / page
    shown = path.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown.strip().splitlines() == list(markdown(Results.read(COMPARISON), DIRECTORY, path, only))


def test_every_plot_that_was_kept_is_shown() -> None:
    root = DIRECTORY.parents[1]
    pages = (root / "README.md").read_text() + (root / "docs/explanation/comparison.md").read_text()
    kept = {path.name for path in DIRECTORY.glob("*.svg")}
    assert kept
    assert {name for name in kept if f"benchmarks/results/{name}" not in pages} == set()


def test_a_page_without_a_place_for_the_tables_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(PageError, match=r"page\.md: expected a line <!-- tables -->"):
        put(page, iter([]))


def test_the_plots_are_drawn_of_what_was_measured(plots: ModuleType, found: Path, tmp_path: Path) -> None:
    drawn = [path.name for path in plots.draw(Results.read(found), tmp_path / "plots")]
    assert drawn == ["echo.svg", "echo-cpu.svg", "idle.svg"]
    first = (tmp_path / "plots" / "echo.svg").read_bytes()
    list(plots.draw(Results.read(found), tmp_path / "plots"))
    assert (tmp_path / "plots" / "echo.svg").read_bytes() == first


def test_the_growth_is_drawn_as_lines(plots: ModuleType, tmp_path: Path) -> None:
    (section,) = (section for section in SECTIONS if section.name == "growth")
    path, results = tmp_path / "comparison.json", []
    for row in section.columns.values():
        assert isinstance(row, Row)
        results.append(row.judge(Comparison(row.workload, {OURS: [sample(20_000)], LIMIT: [sample(50_000)]})))
    write(path, {}, TIMING, results)
    assert [path.name for path in plots.draw(Results.read(path), tmp_path)] == ["growth.svg"]


def test_an_interrupted_run_keeps_the_rows_that_had_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = rows()[0]

    def measure(row: Row, timing: Timing, _: object) -> object:
        if row.name != first.name:
            raise KeyboardInterrupt
        return row.judge(Comparison(row.workload, {OURS: [sample(timing.rounds)]}))

    monkeypatch.setattr(Row, "measure", measure)
    path = tmp_path / "comparison.json"
    with pytest.raises(KeyboardInterrupt):
        command_line.main(["--rounds", "7", "--json", str(path)])
    results = Results.read(path)
    assert list(results.rates) == [first.name]
    assert results.rates[first.name].rate(OURS).median == 7
    assert results.timing == attrs.evolve(comparison.TIMING, rounds=7)


def test_without_a_command_everything_is_measured_and_who_fails_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(candidate: Candidate, workload: Workload) -> Sample:
        if candidate == PEER:
            raise BenchmarkError("it broke")
        return sample(1000)

    def keep(candidate: Candidate, connections: int, *, tls: bool) -> float:
        return float(connections + len(candidate.file))

    monkeypatch.setattr("benchmarks.compare.compare.__defaults__", (lambda _: None, measure))
    monkeypatch.setattr("benchmarks.idle.memory_of_connection", keep)
    monkeypatch.setattr(Candidate, "missing", None)
    path = tmp_path / "comparison.json"
    monkeypatch.setattr(command_line, "COMPARISON", path)
    assert command_line.main([]) == 1
    kept = json.loads(path.read_text())
    assert [row["name"] for row in kept["rows"]] == [row.name for row in rows()]
    broken = sum(PEER in row.candidates for row in rows() if not isinstance(row, IdleRow))
    assert f"{broken} could not be measured" in capsys.readouterr().out
