"""Run the command line as its users do: in a process of its own, with every warning shown."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import attrs

from tests.programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-W", "default", "-m", "aionet"]


@attrs.frozen
class Ended:
    """A command that has ended: its status and what it wrote."""

    status: int
    output: bytes
    errors: str


def aionet(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> Ended:
    """Run a command to its end."""
    command = [*COMMAND, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, check=False, cwd=cwd)
    return Ended(done.returncode, done.stdout, done.stderr.decode())


@attrs.frozen
class Running:
    """A command that runs; its stdin, stdout and stderr are pipes unless the test gave it others."""

    process: subprocess.Popen[bytes]

    @property
    def stdin(self) -> IO[bytes]:
        """Its stdin, to write to."""
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Its stdout, to read from."""
        assert self.process.stdout is not None
        return self.process.stdout

    def hear(self, words: str) -> str:
        """Return the line on stderr that has these words; fail with what it said where none comes."""
        assert self.process.stderr is not None
        said = []
        for line in iter(self.process.stderr.readline, b""):
            said.append(line.decode())
            if words in said[-1]:
                return said[-1]
        raise AssertionError("".join(said))

    def port(self) -> int:
        """Return the port that it says it listens on."""
        found = re.search(r":(\d+)", self.hear("listening"))
        assert found
        return int(found[1])

    def end(self) -> Ended:
        """Close its stdin, wait for it to end, and return what else it wrote."""
        if self.process.stdin is not None and self.process.stdin.closed:
            self.process.stdin = None  # communicate would flush it
        output, errors = self.process.communicate(timeout=PATIENCE)
        return Ended(self.process.returncode, output or b"", (errors or b"").decode())


@contextmanager
def running(
    *arguments: str,
    stdin: IO[bytes] | int = subprocess.PIPE,
    stdout: IO[bytes] | int = subprocess.PIPE,
    cwd: Path | None = None,
) -> Iterator[Running]:
    """Run a command until the block ends, which may have ended it already."""
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, bufsize=0) as process:
        try:
            yield Running(process)
        finally:
            process.kill()
