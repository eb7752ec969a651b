"""``aionet demo``, run as its users run it."""

import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from aionet.system.loops import available_loops

SHORT = ["--seconds", "0.05", "--rounds", "1"]
DEMO = [sys.executable, "-m", "aionet", "demo"]
ESCAPE = "\x1b"
GRACE = 20.0  # seconds for processes to be gone; only a defect needs them


def environment(**variables: str) -> dict[str, str]:
    """This process's, less what changes how programs show things."""
    ours = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "NO_COLOR", "COLUMNS"}}
    return ours | {"TERM": "xterm-256color"} | variables


def demo(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*DEMO, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env or environment(), timeout=50)


def on_a_terminal(*arguments: str, env: Mapping[str, str]) -> str:
    """What a terminal receives from the demo."""
    terminal, end = pty.openpty()
    with subprocess.Popen([*DEMO, *arguments], stdin=end, stdout=end, stderr=end, env=env) as process:
        os.close(end)
        try:
            received = b"".join(iter(lambda: read(terminal), b""))
            assert process.wait() == 0, received
        finally:
            process.kill()
            os.close(terminal)
    return received.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def figures(shown: str) -> list[str]:
    """The figures in the rows of a table."""
    cells = [cell for line in shown.splitlines() if line.startswith("│") for cell in line.split()]
    return [cell for cell in cells if re.fullmatch(r"[\d.]+", cell)]


def processes_with(mark: str) -> list[str]:
    """The command line of every process that has ``mark`` in its environment, zombies left out."""
    found: list[str] = []
    for directory in Path("/proc").iterdir():
        try:
            if mark.encode() in (directory / "environ").read_bytes():
                found.append((directory / "cmdline").read_text())
        except OSError:  # no process, somebody else's, or one that has just ended
            continue
    return found


def left_of(mark: str) -> list[str]:
    """The processes with this mark that do not end."""
    deadline = time.monotonic() + GRACE
    while (found := processes_with(mark)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


@pytest.fixture
def endless() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that would run for hours, of which a second server has been measured, and a mark of its processes."""
    mark = uuid.uuid4().hex
    command = [*DEMO, "--seconds", "0.1", "--rounds", "1000", "--json"]
    env = environment(MARK=mark)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("round 1 of 1000, asyncio streams on asyncio"):
                    break
            yield process, mark
        finally:
            process.kill()


def test_every_server_on_every_loop_has_its_row() -> None:
    result = demo(*SHORT)
    assert result.returncode == 0, result.stderr
    rows = [re.findall(r"[^\s│]+", line) for line in result.stdout.splitlines() if re.search(r"│.*\d+\.\d\d", line)]
    others = [[f"{package},", kind] for kind in ("TLS", "UDP") for package in ("aionet", "asyncio")]
    servers = [["aionet"], ["asyncio", "streams"], *others]
    named = [
        [*[loop][:first], *words]
        for loop in available_loops()
        for first, words in zip([1, 0, 0, 0, 0, 0], servers, strict=True)
    ]
    assert [row[: len(words)] for row, words in zip(rows, named, strict=True)] == named
    assert [row[-2:] for row in rows[1::2]] == [["1.00", "1.00"] for _ in rows[1::2]]


def test_messages_that_fit_into_no_datagram_are_for_streams_alone() -> None:
    result = demo(*SHORT, "--loop", "asyncio", "--size", "65508", "--json")
    assert [row["server"] for row in json.loads(result.stdout)["results"]] == [
        "aionet",
        "streams",
        "tls",
        "streams_tls",
    ]


def test_away_from_a_terminal_there_are_plain_lines() -> None:
    result = demo(*SHORT, "--loop", "asyncio")
    assert ESCAPE not in result.stdout + result.stderr
    announced, *measured = result.stderr.splitlines()
    assert re.fullmatch(r"6 servers, 1 round: about \d+ s", announced)
    assert [line.partition(":")[0] for line in measured] == [
        "round 1 of 1, aionet on asyncio",
        "round 1 of 1, asyncio streams on asyncio",
        "round 1 of 1, aionet, TLS on asyncio",
        "round 1 of 1, asyncio, TLS on asyncio",
        "round 1 of 1, aionet, UDP on asyncio",
        "round 1 of 1, asyncio, UDP on asyncio",
    ]


def test_json_has_what_was_counted() -> None:
    result = demo(*SHORT, "--json", "--connections", "3", "--size", "100")
    found = json.loads(result.stdout)
    assert found["workload"]["connections"] == 3
    assert found["workload"]["size"] == 100
    assert not found["interrupted"]
    rows = found["results"]
    assert [(row["loop"], row["server"]) for row in rows] == list(
        itertools.product(available_loops(), ["aionet", "streams", "tls", "streams_tls", "datagrams", "protocol"])
    )
    for row in rows:
        (only,) = row["rounds"]
        assert row["messages"] == only["messages"] > 0
        assert row["messages_per_second"] == round(only["messages"] / only["seconds"])
        assert 0 < row["p50_us"] <= row["p99_us"]
        assert row["server_cpu_us_per_message"] == round(1e6 * only["server_cpu"] / only["messages"], 3) > 0
    peers = [row for row in rows if row["server"] in ("streams", "streams_tls", "protocol")]
    assert [row["rate_to_asyncio"] for row in peers] == [1 for _ in rows[::2]]


def test_a_terminal_sees_the_table_fill() -> None:
    seen = on_a_terminal("--seconds", "0.1", "--rounds", "1", "--loop", "asyncio", env=environment())
    _, empty, one_measured, *_, result = seen.split("TCP, TLS, UDP echo")
    assert "round 1 of 1  aionet on asyncio" in empty
    assert not figures(empty)
    assert "round 1 of 1  asyncio streams on asyncio" in one_measured
    assert 0 < len(figures(one_measured)) < len(figures(result))
    assert ESCAPE in result


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_escape_codes_gets_none(variables: dict[str, str]) -> None:
    seen = on_a_terminal(*SHORT, "--loop", "asyncio", env=environment(**variables))
    assert ESCAPE not in seen
    assert "round 1 of 1, aionet on asyncio: " in seen


def test_ctrl_c_ends_early_with_what_was_measured(endless: tuple[subprocess.Popen[str], str]) -> None:
    process, mark = endless
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    found = json.loads(output)
    assert found["interrupted"]
    assert [row["server"] for row in found["results"]][:2] == ["aionet", "streams"]
    assert left_of(mark) == []


def test_what_a_killed_demo_started_ends_with_it(endless: tuple[subprocess.Popen[str], str]) -> None:
    process, mark = endless
    assert len(processes_with(mark)) >= 1
    process.kill()
    process.communicate()
    assert left_of(mark) == []


def test_a_server_that_does_not_start_is_a_clear_error(tmp_path: Path) -> None:
    broken = "import os\ndef new_event_loop():\n    os.write(2, b'no loop today')\n    os._exit(3)\n"
    (tmp_path / "uvloop.py").write_text(broken)
    result = demo(*SHORT, "--loop", "uvloop", env=environment(PYTHONPATH=str(tmp_path)))
    assert result.returncode == 1
    error = "aionet: the server (aionet on uvloop) ended with status 3: no loop today"
    assert result.stderr.splitlines()[-1] == error
    assert result.stdout == ""


def without_uvloop(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.modules['uvloop'] = None; from aionet.__main__ import main; main()"
    command = [sys.executable, "-c", program, "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def test_a_loop_that_is_not_installed_is_a_clear_error() -> None:
    result = without_uvloop("--loop", "uvloop")
    assert (result.returncode, result.stderr) == (2, "aionet: uvloop is not installed: pip install 'aionet[uvloop]'\n")


def test_without_uvloop_the_demo_runs_on_asyncio_and_says_how_to_get_it() -> None:
    result = without_uvloop(*SHORT)
    assert result.returncode == 0
    assert "pip install 'aionet[uvloop]'" in result.stdout
    assert result.stderr.startswith("6 servers")


def test_more_connections_than_descriptors_are_refused() -> None:
    limited = ["bash", "-c", 'ulimit -n 100; exec "$@"', "bash", *DEMO, "--connections", "90"]
    result = subprocess.run(limited, capture_output=True, text=True, check=False, env=environment())
    assert result.returncode == 2
    assert "90 is more than the 80 that the system's limit on descriptors (100) allows" in result.stderr


@pytest.mark.parametrize("option", [["--connections", "0"], ["--size", "-1"], ["--rounds", "x"], ["--loop", "trio"]])
def test_an_option_out_of_range_is_named(option: list[str]) -> None:
    result = demo(*option)
    assert result.returncode == 2
    assert option[0] in result.stderr
    assert "Traceback" not in result.stderr
