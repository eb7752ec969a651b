"""The processes that the demo starts."""

import os
from pathlib import Path

import pytest

from aionet.bench.process import Process, ProcessError

# Says its process id as JSON, then answers each line with how many there were.
GOOD = """
import json, os, sys
def say(**values): print(json.dumps(values), flush=True)
say(pid=os.getpid())
for number, _ in enumerate(sys.stdin, 1): say(number=number, arguments=sys.argv[1:])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that children can run: GOOD, until a test writes another."""
    script = tmp_path / "child.py"
    script.write_text(GOOD)
    return script


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_answers_and_ends_with_the_block(script: Path) -> None:
    with Process("the child", script, ["a", 1]) as process:
        pid = process.hear()["pid"]
        assert process.ask() == {"number": 1, "arguments": ["a", "1"]}
        assert process.ask()["number"] == 2
        assert runs(pid)
    assert not runs(pid)


def test_it_ends_where_the_block_fails(script: Path) -> None:
    pid = 0
    with pytest.raises(KeyboardInterrupt), Process("the child", script) as process:
        pid = process.hear()["pid"]
        raise KeyboardInterrupt
    assert not runs(pid)


def test_what_it_said_last_is_in_the_error(script: Path) -> None:
    script.write_text("raise SystemExit('first line\\nno such thing')")
    with pytest.raises(ProcessError) as caught, Process("the child", script) as process:
        process.hear()
    assert str(caught.value) == "the child ended with status 1: no such thing"


def test_the_signal_that_killed_it_is_in_the_error(script: Path) -> None:
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with (
        pytest.raises(ProcessError, match=r"^the child was killed by SIGKILL$"),
        Process("the child", script) as process,
    ):
        process.hear()


def test_it_runs_on_its_core(script: Path) -> None:
    core = max(os.sched_getaffinity(0))
    with Process("the child", script, core=core) as process:
        assert os.sched_getaffinity(process.hear()["pid"]) == {core}


def test_its_silence_is_an_error(script: Path) -> None:
    with (
        pytest.raises(ProcessError, match=r"^the child said nothing for 0\.01 s$"),
        Process("the child", script) as process,
    ):
        process.hear()
        process.hear(timeout=0.01)


def test_a_failure_at_its_end_is_an_error(script: Path) -> None:
    script.write_text("import sys; sys.stdin.read(); sys.exit('not so fast')")
    with pytest.raises(ProcessError, match="status 1: not so fast"), Process("the child", script):
        pass


def test_telling_one_that_has_ended_shows_when_it_is_heard(script: Path) -> None:
    script.write_text("import os; print('{}', flush=True); os.close(0)\nwhile True: pass")
    with pytest.raises(ProcessError, match=r"^the child said nothing"), Process("the child", script) as process:
        process.hear()
        process.tell()
        process.hear(timeout=0.05)


def test_one_that_complained_explains_the_failure_of_another(script: Path) -> None:
    script.write_text("import sys; print('oh dear', file=sys.stderr); print('{}', flush=True); sys.stdin.read()")
    with Process("the server", script) as server:
        server.hear()
        explained = server.explain(ProcessError("the client failed"))
    assert str(explained) == "the client failed; the server said: oh dear"


def test_one_that_has_ended_explains_the_failure_of_another(script: Path) -> None:
    script.write_text("raise SystemExit('gone')")
    with (
        pytest.raises(ProcessError, match="gone"),
        Process("the server", script) as server,
        pytest.raises(ProcessError),
    ):
        server.hear()
        raise server.explain(ProcessError("the client failed"))


def test_one_that_knows_nothing_explains_nothing(script: Path) -> None:
    failure = ProcessError("the client failed")
    with Process("the server", script) as server:
        server.hear()
        assert server.explain(failure) is failure


def test_ctrl_c_in_the_terminal_does_not_reach_it(script: Path) -> None:
    # A terminal signals the foreground's process group: this process's, with whatever has not left it.
    with Process("the child", script) as process:
        pid = process.hear()["pid"]
        group = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[2])
        assert group == pid
