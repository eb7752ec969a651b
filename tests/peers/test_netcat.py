"""``aionet connect`` and ``aionet listen`` with socat and ncat at the other end."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands import COMMAND, aionet, running
from tests.peers.listening import ncat_sends, socat_answers
from tests.programs import PATIENCE, every_loop, run
from tests.tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = bytes(range(256)) * 8000
CHECKSUM = hashlib.sha256(REQUEST).hexdigest().encode() + b"  -\n"

MUCH = 100_000_000
# What the same command takes to move a few bytes is 30 MB; 100 MB more would show.
MEMORY = 60_000_000

every_transport = pytest.mark.parametrize("transport", ["tcp", "unix"])


@every_loop
@every_transport
def test_a_request_that_ends_is_answered(loop: str, transport: str, tmp_path: Path) -> None:
    with socat_answers("sha256sum", tmp_path / "socket" if transport == "unix" else None) as server:
        done = aionet("connect", str(server), "--loop", loop, stdin=REQUEST)
    assert (done.status, done.output, done.errors) == (0, CHECKSUM, "")


@every_loop
@every_transport
def test_a_server_that_ends_first_still_gets_what_is_sent(loop: str, transport: str, tmp_path: Path) -> None:
    reply, received = tmp_path / "reply", tmp_path / "received"
    reply.write_bytes(REQUEST)
    with ncat_sends(reply, received, tmp_path / "socket" if transport == "unix" else None) as server:
        done = aionet("connect", str(server), "--loop", loop, stdin=REQUEST)
        assert (done.status, done.output, done.errors) == (0, REQUEST, "")
    assert received.read_bytes() == REQUEST


@every_loop
@pytest.mark.parametrize("client", ["socat", "ncat"])
def test_clients_get_stdin_and_what_they_send_is_written(loop: str, client: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(REQUEST)
    with (
        (tmp_path / "in").open("rb") as stdin,
        (tmp_path / "out").open("wb") as stdout,
        running("listen", "tcp://127.0.0.1:0", "--loop", loop, stdin=stdin, stdout=stdout) as command,
    ):
        port = command.port()
        end = {"socat": ["-t", str(PATIENCE), "-", f"TCP:127.0.0.1:{port}"], "ncat": ["127.0.0.1", str(port)]}[client]
        assert run(require_tool(client), *end, stdin=REQUEST) == REQUEST
        assert command.end().status == 0
    assert (tmp_path / "out").read_bytes() == REQUEST


@every_loop
def test_a_hundred_megabytes_pass_both_ways_in_bounded_memory(loop: str) -> None:
    source = f"head -c {MUCH} /dev/zero"
    with socat_answers("cat") as server:
        peak = _memory_of(f'{source} | "$@" | sha256sum', "connect", str(server), "--loop", loop)
    assert peak < MEMORY


@every_loop
def test_a_slow_reader_is_waited_for(loop: str) -> None:
    """The peer sends without end, and nobody reads stdout for a while: what waits is waiting on the peer's side."""
    read, write = os.pipe()
    with (
        socat_answers("cat /dev/zero") as server,
        os.fdopen(read, "rb") as reader,
        os.fdopen(write, "wb") as writer,
        running("connect", str(server), "--loop", loop, stdout=writer) as command,
    ):
        received = 0
        for _ in range(50):
            received += len(reader.read(100_000))
        assert received == 5_000_000
        assert _resident(command.process.pid) < MEMORY


@every_loop
def test_datagrams_reach_socat_and_its_answers_come_back(loop: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    server = [require_tool("socat"), "-d", "-d", f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork", "EXEC:tr a-z A-Z"]
    with subprocess.Popen(server, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "receiving on" in process.stderr.readline()
            with running("connect", f"udp://127.0.0.1:{port}", "--wait", "0.1", "--loop", loop) as command:
                command.stdin.write(b"loud")
                assert command.stdout.read(4) == b"LOUD"
                assert command.end().status == 0
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


@every_loop
def test_socat_sends_datagrams_to_listen(loop: str) -> None:
    with running("listen", "udp://127.0.0.1:0", "--wait", "0.2", "--loop", loop) as command:
        sender = [require_tool("socat"), "-t", "0.5", "-", f"UDP4:127.0.0.1:{command.port()}"]
        command.stdin.write(b"answer")
        assert run(*sender, stdin=b"from socat") == b"answer"
        assert command.stdout.read(10) == b"from socat"
        assert command.end().status == 0


def _memory_of(script: str, *arguments: str) -> int:
    """Run a pipeline around a command, check that it gave MUCH zeros on, and return its peak of memory in bytes."""
    report = "import resource; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    inner = f"import subprocess, sys; status = subprocess.call(sys.argv[1:]); {report}; sys.exit(status)"
    command = [require_tool("bash"), "-o", "pipefail", "-c", script, "bash", COMMAND[0], "-c", inner]
    done = subprocess.run(
        [*command, *COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.split()[0] == hashlib.sha256(bytes(MUCH)).hexdigest()
    return int(done.stderr) * 1024


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123 - no file of ours
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024
