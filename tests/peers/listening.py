"""socat and ncat as servers: each in a process of its own, known to listen when the block begins."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aionet import Endpoint
from tests.ports import free_port
from tests.programs import PATIENCE
from tests.tools import require_tool


@contextmanager
def socat_answers(command: str, unix: Path | None = None) -> Iterator[Endpoint]:
    """Let socat run ``command`` for each client, which is its stdin and stdout, until the block ends.

    -t: how long, after one half has ended, socat waits for the other.
    """
    listen = f"UNIX-LISTEN:{unix}" if unix else "TCP4-LISTEN:0,bind=127.0.0.1"
    server = [require_tool("socat"), "-d", "-d", "-t", str(PATIENCE), f"{listen},fork", f"EXEC:{command}"]
    with subprocess.Popen(server, stderr=subprocess.PIPE, text=True) as process:
        try:
            announced = _line_with(process, "listening on")
            yield _unix(unix) if unix else Endpoint.parse(f"tcp://{announced.split()[-1]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


@contextmanager
def ncat_sends(reply: Path, received: Path, unix: Path | None = None) -> Iterator[Endpoint]:
    """Let ncat send one client ``reply`` and then its end, and write what that client says to ``received``.

    The block must leave the client closed: ncat then ends by itself.
    """
    endpoint = _unix(unix) if unix else Endpoint("tcp", "127.0.0.1", free_port())
    place = ["-U", str(unix)] if unix else [str(endpoint.host), str(endpoint.port)]
    with (
        reply.open("rb") as stdin,
        received.open("wb") as stdout,
        subprocess.Popen(
            [require_tool("ncat"), "-v", "-l", *place], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            _line_with(process, "Listening on")
            yield endpoint
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
        finally:
            process.kill()


def _line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if words in line:
            return line
        said.append(line)
    raise AssertionError("".join(said))


def _unix(path: Path) -> Endpoint:
    return Endpoint("unix", path=str(path))
