"""Every server of the comparison serves: a figure of a server that answers nothing would be worth nothing."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from benchmarks.candidate import SERVERS, Candidate, CandidateError, every
from benchmarks.idle import memory_of_connection
from benchmarks.measure import BenchmarkError, Mode, Program, Sample, Workload, cores, measure, serving

pytestmark = pytest.mark.usefixtures("cc")


def offers(candidate: Candidate, service: str) -> bool:
    """Whether a server file has that service: it says so by a function of that name."""
    source = SERVERS / f"{candidate.file}.py"
    return f"def {service}(" in source.read_text() if source.exists() else service == "udp_echo"


SHORT = Workload("echo", size=1000, connections=3, warmup=0.01, seconds=0.05)
STREAMS = Candidate("streams", "asyncio")
TLS = [one for one in every() if one.file.endswith("_tls")]
UDP = [one for one in every() if one.file.startswith("udp_")]
ECHO = [
    one for one in every() if one not in (*TLS, *UDP) and one.file != "aionet_framed"
]  # which knows messages, no bytes
LINES = [Candidate("c"), *(one for one in every() if offers(one, "lines"))]
PREFIXED = [Candidate("c"), *(one for one in every() if offers(one, "prefixed"))]


def installed(candidate: Candidate) -> Candidate:
    if candidate.missing:
        pytest.skip(f"{candidate.missing} is not installed")
    return candidate


def measured(drive: Callable[[Workload], Sample], workload: Workload) -> Sample:
    """Drive a server until it was let run in the short time of a measurement: a busy machine may not let it."""
    samples: list[Sample] = []
    while len(samples) < 5:
        samples.append(drive(workload))
        if samples[-1].messages and samples[-1].server_cpu:
            return samples[-1]
    raise AssertionError(samples)


@pytest.mark.parametrize("candidate", ECHO, ids=str)
def test_echoes_small_and_large_messages_and_serves_many_short_connections(candidate: Candidate) -> None:
    with serving(installed(candidate), "echo") as drive:
        for size in (1, 1000, 300_000):
            sample = measured(drive, attrs.evolve(SHORT, size=size))
            assert sample.seconds >= SHORT.seconds
            assert sample.client_cpu > 0
        measured(drive, attrs.evolve(SHORT, mode="accept", size=64))


@pytest.mark.parametrize("candidate", LINES, ids=str)
def test_echoes_lines(candidate: Candidate) -> None:
    with serving(installed(candidate), "lines") as drive:
        assert measured(drive, attrs.evolve(SHORT, mode="lines", size=64)).messages % SHORT.burst == 0


@pytest.mark.parametrize("candidate", PREFIXED, ids=str)
def test_echoes_messages_with_their_length_in_front(candidate: Candidate) -> None:
    with serving(installed(candidate), "prefixed") as drive:
        for size in (1, 100, 5000):
            measured(drive, attrs.evolve(SHORT, mode="prefixed", size=size, burst=64))


@pytest.mark.parametrize(
    ("candidate", "mode"),
    [(one, mode) for one in UDP for mode in ("udp_echo", "udp_receive", "udp_send") if offers(one, mode)],
    ids=str,
)
def test_datagrams_are_echoed_received_and_sent(candidate: Candidate, mode: Mode) -> None:
    workload = attrs.evolve(SHORT, mode=mode, size=1200, burst=4)
    with serving(installed(candidate), workload.service) as drive:
        measured(drive, workload)


@pytest.mark.parametrize("candidate", TLS, ids=str)
def test_echoes_through_tls_and_shakes_hands_many_times(candidate: Candidate) -> None:
    with serving(installed(candidate), "echo") as drive:
        for size in (1, 1000, 300_000):
            measured(drive, attrs.evolve(SHORT, size=size, tls=True))
        measured(drive, attrs.evolve(SHORT, mode="accept", size=64, tls=True))


def test_tls_connections_that_are_held_take_memory() -> None:
    assert 5_000 < memory_of_connection(Candidate("aionet_tls", "asyncio"), connections=100, tls=True) < 100_000


def test_connections_that_are_held_take_memory() -> None:
    kept = memory_of_connection(STREAMS, connections=300)
    assert 500 < kept < 100_000


def test_a_server_runs_on_the_core_that_was_chosen_for_it() -> None:
    core, _ = cores()
    with Program(
        [sys.executable, "-c", "import os; print('{\"cores\": %s}' % list(os.sched_getaffinity(0)))"], core
    ) as program:
        assert program.hear() == {"cores": [core]}


def test_a_server_that_fails_is_quoted() -> None:
    with (
        pytest.raises(BenchmarkError, match=r"AttributeError: .* 'no_such_service'"),
        Program(STREAMS.command("no_such_service"), 0) as server,
    ):
        server.hear()


def test_what_a_server_complains_of_stands_beside_the_failure_of_the_client(tmp_path: Path) -> None:
    script = tmp_path / "rude.py"
    script.write_text(
        "import json, socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(json.dumps({'address': '127.0.0.1:%d' % listener.getsockname()[1]}), flush=True)\n"
        "client, _ = listener.accept()\n"
        "client.recv(1)\n"
        "client.close()\n"
        "sys.exit('I had enough')\n"
    )

    @attrs.frozen
    class Rude(Candidate):
        def command(self, service: str) -> list[str]:
            assert service == "echo"
            return [sys.executable, str(script)]

    with pytest.raises(BenchmarkError, match=r"the server closed|reset") as caught:
        measure(Rude("rude"), attrs.evolve(SHORT, connections=1))
    assert any("I had enough" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("ending", [None, signal.SIGTERM], ids=["the end of stdin", "SIGTERM"])
def test_a_server_says_what_cpu_time_it_used_when_told_to_end(ending: signal.Signals | None) -> None:
    command = STREAMS.command("echo")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert '"address": "127.0.0.1:' in server.stdout.readline()
        server.stdin.write("\n")
        server.stdin.flush()
        assert '"cpu": ' in server.stdout.readline()
        if ending is None:
            server.stdin.close()
        else:
            server.send_signal(ending)
        assert '"cpu": ' in server.stdout.readline()
        assert server.wait(10) == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonesuch@uvloop", "server 'nonesuch@uvloop': expected one of .*streams@uvloop, .*c$"),
        ("__main__@uvloop", "expected one of"),
        ("streams", "expected streams@asyncio or streams@uvloop"),
        ("streams@trio", "expected streams@asyncio or streams@uvloop"),
        ("trio@uvloop", "expected trio@trio$"),
        ("c@uvloop", "expected c alone"),
    ],
)
def test_a_server_that_does_not_exist_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(CandidateError, match=complaint):
        Candidate.parse(text)


@pytest.mark.parametrize("candidate", every(), ids=str)
def test_a_server_is_found_by_what_it_prints_as(candidate: Candidate) -> None:
    assert Candidate.parse(str(candidate)) == candidate


def test_a_library_with_a_loop_of_its_own_needs_no_loop_named() -> None:
    assert Candidate.parse("gevent") == Candidate("gevent", "gevent")
    assert Candidate.parse("gevent").title == "gevent's StreamServer"
