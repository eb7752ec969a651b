"""Run the scripts beside this file, each in a process of its own: they change what a process has only once.

A script says one JSON value a line; the first is where it listens. It ends by SIGTERM, or by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator, Sequence

__all__ = ["Script", "running", "say"]

_ROOT: Final = Path(__file__).parents[2]
# How long a process may take to end, in seconds: one that hangs fails the test.
_PATIENCE: Final = 20.0


@attrs.frozen
class Script:
    """A script that runs."""

    process: subprocess.Popen[str]
    stderr: IO[str]

    def answer(self) -> Any:
        """Return the next thing that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it said nothing more\n{self.said()}"
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def status(self) -> int:
        """Wait until it ends; return its exit status."""
        return self.process.wait(_PATIENCE)

    def said(self) -> str:
        """Return what it wrote to stderr: unclosed sockets and tracebacks show there."""
        self.stderr.seek(0)
        return self.stderr.read()


def say(value: Any) -> None:
    """Tell the test something, from inside a script."""
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


@contextmanager
def running(name: str, *args: str, pass_fds: Sequence[int] = (), within: Sequence[str] = ()) -> Iterator[Script]:
    """Run tests/faults/scripts/``name``.py until the block ends, by the command ``within`` if there is one."""
    command = [*within, sys.executable, "-W", "default", "-m", f"tests.faults.scripts.{name}", *args]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with (
        tempfile.TemporaryFile("w+") as stderr,  # a pipe that nobody reads could fill up, and hold the script
        subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, pass_fds=pass_fds
        ) as process,
    ):
        try:
            yield Script(process, stderr)
        finally:
            process.kill()
