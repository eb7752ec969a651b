"""Run the examples as their users do: each in a process of its own, addressed by what it prints."""

import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
import pytest

from aionet import available_loops
from tests.tools import IN_CI

EXAMPLES = Path(__file__).parent.parent / "examples"
LOOPS = [name for name in ("asyncio", "uvloop") if IN_CI or name in available_loops()]

# How long any one step of a peer may take, in seconds: a test that hangs fails with the step it hung in.
PATIENCE = 20.0

every_loop = pytest.mark.parametrize("loop", LOOPS)


@attrs.frozen
class Program:
    """An example that runs, and the address that it listens on."""

    process: subprocess.Popen[str]
    address: str

    @property
    def host(self) -> str:
        """The host, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port, which the system chose."""
        return int(self.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        """Connect a plain blocking socket, over whichever family the program listens on."""
        if "/" in self.address:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.address)
            return sock
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def memory(self) -> int:
        """Return the resident memory of the program, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        resident = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert resident is not None
        return int(resident[1]) * 1024


def command(example: str, *args: str, loop: str) -> list[str]:
    """Return the command that runs an example: like its users, but with every warning shown."""
    return [sys.executable, "-W", "default", str(EXAMPLES / example), "--loop", loop, *args]


@contextmanager
def running(
    example: str,
    *args: str,
    loop: str,
    ends_by: signal.Signals | None = signal.SIGTERM,
    complains: str = "",
    port: int = 0,
) -> Iterator[Program]:
    """Run an example, on a free port, until the block ends; then it must end by ``ends_by``, with status 0.

    None: it ends by itself, or the block has told it to. A signal while Python ends would kill it: it is sent once.
    What it writes to stderr must match ``complains`` as a whole: unclosed sockets and tracebacks show there.
    """
    place = [] if "--unix" in args else ["--port", str(port)]
    with (
        tempfile.TemporaryFile("w+") as stderr,  # a pipe that nobody reads could fill up, and hold the program
        subprocess.Popen(
            command(example, *args, *place, loop=loop), stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            yield Program(process, _address(process, stderr))
            if ends_by is not None:
                process.send_signal(ends_by)
            status = process.wait(PATIENCE)
            said = _said(stderr)
            assert status == 0, f"status {status}\n{said}"
            assert re.fullmatch(complains, said, re.DOTALL), said
        finally:
            process.kill()


def shared_by_module(example: str, *args: str, complains: str = "") -> object:
    """Make a fixture of an example that runs for all tests of a module, once on each loop."""

    @pytest.fixture(scope="module", params=LOOPS)
    def server(request: pytest.FixtureRequest) -> Iterator[Program]:
        with running(example, *args, loop=request.param, complains=complains) as program:
            yield program

    return server


def _address(process: subprocess.Popen[str], stderr: IO[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            return line.split()[2]
    raise AssertionError(_said(stderr))


def _said(stderr: IO[str]) -> str:
    stderr.seek(0)
    return stderr.read()


def receive_all(sock: socket.socket) -> bytes:
    """Receive until the peer's end."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def run(*command: str, stdin: bytes = b"", status: int = 0) -> bytes:
    """Run a peer to its end and return what it printed; fail unless it ends with ``status``."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == status, f"{' '.join(command)}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
    return done.stdout
