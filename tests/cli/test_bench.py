"""``aionet bench``, run as its users run it."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aionet.bench.results import Results
from tests.bench.servers import answering, echo, echo_datagram, make_certificate, refused, serving, sink

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

BENCH = [sys.executable, "-m", "aionet", "bench"]
SHORT = ["--duration", "0.3", "--warmup", "0", "-c", "2"]
ESCAPE = "\x1b"


def environment(**variables: str) -> dict[str, str]:
    """This process's, less what changes how programs show things."""
    ours = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "NO_COLOR", "COLUMNS"}}
    return ours | {"TERM": "xterm-256color"} | variables


def bench(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), timeout=50, input=stdin
    )


def on_a_terminal(*arguments: str, env: Mapping[str, str]) -> str:
    """What a terminal receives."""
    terminal, end = pty.openpty()
    with subprocess.Popen([*BENCH, *arguments], stdin=end, stdout=end, stderr=end, env=env) as process:
        os.close(end)
        received = b""
        try:
            while True:
                received += os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other end any more
            assert process.wait() == 0, received
        finally:
            process.kill()
            os.close(terminal)
    return received.decode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that echoes."""
    with serving(echo) as where:
        yield where


def test_it_tells_the_rate_the_latencies_and_how_it_was_measured(endpoint: str) -> None:
    done = bench(endpoint, *SHORT)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[\d ]+ messages answered a second$", done.stdout, re.MULTILINE)
    assert "closed loop" in done.stdout
    assert re.search(r"p50 +p75 +p90", done.stdout)
    assert "Too short" in done.stdout
    assert ESCAPE not in done.stdout + done.stderr
    assert done.stderr.startswith("2 connections, about 0 s\n")


def test_options_may_come_before_the_endpoint(endpoint: str) -> None:
    assert bench(*SHORT, endpoint).returncode == 0


def test_where_there_is_no_terminal_a_line_a_second_is_printed(endpoint: str) -> None:
    done = bench(endpoint, "-d", "1.2", "--warmup", "0", "--rate", "200")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r" *1\.\d s  \d+/s  p50 .*  p99 .*  max .*  0 errors", lines[1]), lines
    assert "open loop, 200 a second (constant)" in " ".join(done.stdout.split())
    assert bench(endpoint, *SHORT, "--quiet").stderr == ""


def test_on_a_terminal_there_is_a_view_that_goes_away(endpoint: str) -> None:
    shown = on_a_terminal(endpoint, *SHORT, env=environment())
    assert "of 0.3 s" in shown
    assert ESCAPE in shown
    assert "messages answered a second" in shown


def test_no_color_is_plain_text(endpoint: str) -> None:
    shown = on_a_terminal(endpoint, *SHORT, env=environment(NO_COLOR="1"))
    assert ESCAPE not in shown
    assert "2 connections" in shown


def test_as_json_it_is_what_the_file_holds(endpoint: str, tmp_path: Path) -> None:
    file, hgrm = tmp_path / "r.json", tmp_path / "r.hgrm"
    done = bench(endpoint, *SHORT, "--json", "-o", file, "--hgrm", hgrm, "--pid", os.getpid())
    assert done.returncode == 0, done.stderr
    found = Results.load(file)
    assert json.loads(done.stdout) == json.loads(file.read_text())
    assert found.server_cpu is not None
    assert shlex.split(found.command)[:3] == ["aionet", "bench", endpoint]
    assert f"TotalCount     = {found.latency.count:12.3f}" in hgrm.read_text()


class _Page(HTMLParser):
    """What a page consists of, and whether it wants anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.wanted: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.wanted += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_page_that_needs_nothing_else(endpoint: str, tmp_path: Path) -> None:
    page, plots = tmp_path / "report.html", tmp_path / "plots"
    done = bench(endpoint, *SHORT, "--report", page, "--plots", plots)
    assert done.returncode == 0, done.stderr
    seen = _Page()
    seen.feed(page.read_text())
    assert seen.tags.count("svg") == 5
    assert all(wanted.startswith("#") for wanted in seen.wanted)
    for said in ("messages answered a second", "Too short", "aionet bench", "Latency by percentile", "Python"):
        assert said in seen.text
    files = sorted(path.name for path in plots.iterdir())
    assert len(files) == 10
    assert {name.rpartition(".")[2] for name in files} == {"png", "svg"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.glob("*.png"))


def test_ctrl_c_shows_what_was_measured(endpoint: str) -> None:
    command = [*BENCH, endpoint, "-d", "60", "--warmup", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.readline()  # one second has passed
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "messages answered a second" in out
    assert "Ended early by Ctrl-C" in out


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running in a process group of its own as a terminal's shell starts it, until the block ends."""
    command = [*BENCH, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), process_group=0
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C: every process of the group has it. Return what else was written."""
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=20)


@pytest.mark.parametrize("comparing", [False, True])
def test_ctrl_c_before_it_is_connected_is_one_line(comparing: bool) -> None:  # noqa: FBT001 - pytest's
    connected = threading.Event()

    def never_shake_hands(sock: socket.socket) -> None:
        connected.set()
        sink(sock)

    with serving(never_shake_hands) as where:
        run = f"{where.replace('tcp:', 'tls:')} --timeout 60"
        with started(*(["compare", run, run] if comparing else shlex.split(run))) as process:
            assert connected.wait(20)
            out, err = interrupt(process)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "aionet: interrupted"
    assert len(err.splitlines()) == 1 + comparing  # which said how long it will take


def test_ctrl_c_in_the_warm_up_shows_what_there_is(endpoint: str) -> None:
    with started(endpoint, "-d", "60", "--warmup", "60") as process:
        assert process.stderr is not None
        process.stderr.readline()
        out, err = interrupt(process)
    assert process.returncode == 130, err
    assert err in ("", "aionet: interrupted\n")
    assert "Ended early by Ctrl-C" in out or err


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    silent = threading.Event()

    def fall_silent(sock: socket.socket) -> None:
        while data := sock.recv(65536):
            if not silent.is_set():
                sock.sendall(data)

    with serving(fall_silent) as where, started(where, "-d", "60", "--warmup", "0", "--timeout", "60") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.readline()  # one second has passed
        silent.set()  # from now on it waits for the last replies
        os.killpg(process.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        out, err = interrupt(process)
    assert process.returncode == 130, err
    assert out == ""
    assert err.endswith("aionet: interrupted\n")
    assert "Traceback" not in err


def test_ctrl_c_while_local_workers_start_is_one_line(endpoint: str) -> None:
    with started(endpoint, "--cluster", "local:2") as process:
        tasks = Path(f"/proc/{process.pid}/task")
        while sum(len((task / "children").read_text().split()) for task in tasks.iterdir()) < 3:
            time.sleep(0.001)  # no event tells that processes were started: two workers, and Python's resource tracker
        out, err = interrupt(process)
    assert (process.returncode, out, err) == (130, "", "aionet: interrupted\n")


def test_ctrl_c_leaves_the_rounds_that_are_whole_to_compare(endpoint: str) -> None:
    run = f"{endpoint} -d 0.3 --warmup 0 -c 1"
    with started("compare", run, run, "--rounds", "100") as process:
        assert process.stderr is not None
        while "round 2 of 100, B" not in process.stderr.readline():
            pass
        out, err = interrupt(process)
    assert process.returncode == 130, err
    assert re.search("^! [23] rounds only", out, re.MULTILINE), out
    assert "Traceback" not in err


@pytest.mark.parametrize(("condition", "status"), [("errors", 0), ("rate<1", 0), ("max>1ns", 1), ("doubts", 1)])
def test_the_status_says_whether_a_condition_was_broken(endpoint: str, condition: str, status: int) -> None:
    done = bench(endpoint, *SHORT, "--fail-on", "errors", "--fail-on", condition)
    assert done.returncode == status, done.stderr
    assert (f"failed on: {condition}" in done.stderr) == bool(status)


def test_a_server_that_does_not_answer_is_a_failure() -> None:
    with serving(sink) as silent:
        done = bench(silent, *SHORT, "--timeout", "0.2")
    assert done.returncode == 1
    assert "no reply within 0.2 s" in done.stdout
    assert done.stderr.endswith(f"aionet: {silent}: nothing came back\n")


def test_a_refused_connection_is_one_line() -> None:
    where = refused()
    done = bench(where, *SHORT)
    assert done.returncode == 1
    assert done.stderr == f"aionet: {where} ({where[6:]}): connect: Connection refused\n"


def test_a_request_comes_from_a_file(tmp_path: Path, endpoint: str) -> None:
    request = tmp_path / "request"
    request.write_bytes(b"hello\n")
    done = bench(endpoint, *SHORT, "--request", request, "--expect", "line", "--pipeline", "2")
    assert done.returncode == 0, done.stderr
    assert "requests answered a second" in done.stdout
    assert "request-file · 6 bytes" in done.stdout
    assert bench(endpoint, *SHORT, "--request", "-", "--expect", "line", stdin="hi\n").returncode == 0


def test_handshakes_are_told_and_what_was_agreed_on(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with serving(echo, tls=context) as where:
        done = bench(where, *SHORT, "--mode", "connect", "--tls-ca", certificate, "--tls-resume")
        refusing = bench(where, *SHORT, "--mode", "connect")
        trusting = bench(where, *SHORT, "--tls-insecure")
    assert done.returncode == 0, done.stderr
    assert "connections a second" in done.stdout
    assert re.search(r"^handshakes +[\d ]+ a second, p50 ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^TLS +TLSv1.3 TLS_\w+, \d+% resumed", done.stdout, re.MULTILINE), done.stdout
    assert refusing.returncode == 1
    assert "handshake: certificate verify failed" in refusing.stdout
    assert trusting.returncode == 0, trusting.stderr


def test_datagrams_have_facts_of_their_own() -> None:
    with answering(echo_datagram) as where:
        done = bench(where, *SHORT)
    assert done.returncode == 0, done.stderr
    assert "datagrams answered a second" in done.stdout
    assert "0 reordered, 0 duplicates" in done.stdout
    assert "jitter" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nowhere"], 2, "bad endpoint 'nowhere'"),
        (["tcp://h:1", "--size", "x"], 2, "expected 64, uniform:64-1024"),
        (["tcp://h:1", "--fail-on", "x"], 2, "expected errors, errors>N"),
        (["tcp://h:1", "--expect", "line"], 2, "mode echo has no replies"),
        (["tcp://h:1", "--report", "/no/such/folder/x.html"], 1, "there is no folder /no/such/folder"),
        ([], 2, "Missing argument 'ENDPOINT'"),
        (["compare", "/no/such/file", "/nor/this"], 1, "/no/such/file: No such file or directory"),
        (["compare", "tcp://h:1", "/a/file"], 2, "expected two files, or two commands"),
        (["compare", "tcp://h:1 --size x", "tcp://h:1"], 2, "expected 64, uniform:64-1024"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], status: int, says: str) -> None:
    done = bench(*arguments)
    assert done.returncode == status
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "bench run" not in done.stderr


def test_help_names_the_options_and_the_comparison() -> None:
    done = bench("--help")
    assert done.returncode == 0
    assert "bench [OPTIONS] ENDPOINT\n" in done.stdout
    assert "bench compare [OPTIONS] A B\n" in done.stdout
    for option in ("--mode", "--rate", "--fail-on", "--report", "--pid"):
        assert option in done.stdout


def test_two_commands_are_compared_in_turns(endpoint: str) -> None:
    words = "-d 0.3 --warmup 0 -c 1 --rate"
    done = bench("compare", f"{endpoint} {words} 100", f"{endpoint} {words} 1000", "--rounds", "3")
    assert done.returncode == 0, done.stderr
    found = re.match(r"B to A: (?:no difference shown \()?(\d+\.\d\d)x, 95 % [\d.]+–[\d.]+", done.stdout)  # noqa: RUF001 - from, to
    assert found, done.stdout
    assert float(found[1]) > 1
    rounds = re.findall(r"^round (\d) of 3, ([AB]): [\d ]+/s, p99 ", done.stderr, re.MULTILINE)
    assert rounds == [(turn, side) for turn in "123" for side in "AB"]
    assert "3 rounds only" in done.stdout


def test_two_files_are_compared_and_the_same_one_is_no_different(endpoint: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    bench(endpoint, "-d", "1", "--warmup", "0", "-o", file)
    done = bench("compare", file, file, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["comparisons"]["rate"]["ratio"] == 1
    assert not found["comparisons"]["rate"]["different"]
    assert found["notes"][0].startswith("One run each")


def test_a_library_that_is_missing_is_named(endpoint: str) -> None:
    program = "import sys; sys.modules['hdrh.histogram'] = None; from aionet.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", endpoint], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "aionet: hdrhistogram is not installed: pip install 'aionet[bench]'\n",
    )
