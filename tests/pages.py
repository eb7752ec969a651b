"""Read the pages of the documentation, and run the Python that they show.

How a page says what is to be run, and how:

* A ``python`` block is a whole program. It runs as it stands, on each loop, and has to end.
* A ``text`` block right after it is exactly what it prints.
* Below ``<!-- server -->`` it runs in a process of its own until the next such block or the end of the page; then
  Ctrl-C ends it, or the signal of ``<!-- server, ended by SIGTERM -->``, with status 0. The first line that it
  prints ends with its address; a client that says nothing and ends must be let go.
* Below ``<!-- file: NAME -->`` it is that file, and pytest runs the files of the page together.
* A block that begins with ``>>>`` is an interactive session, which doctest compares.

Port 8000 stands for one that is free.
"""

from __future__ import annotations

import doctest
import io
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tests.leaks import logging_as_it_was
from tests.ports import free_port
from tests.programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAGES", "ROOT", "Block", "Page"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<role>[^\n]+) -->\n)?^```python\n(?P<code>.*?)^```$(?:\n\n^```text\n(?P<prints>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_FENCE = re.compile(r"^\s*(?:```|~~~)(.+)$", re.MULTILINE)
_ROLE = re.compile(r"server(?:, ended by (?P<signal>SIG\w+))?|file: (?P<file>\w+\.py)")

# Runs a program whose aionet.run chooses the loop that is named.
_STARTER = """
import runpy, sys
from aionet.system import loops
loops.available_loops = lambda: (sys.argv[1],)
runpy.run_path(sys.argv[2], run_name="__main__")
"""


@attrs.frozen
class Block:
    """A Python block: its code, the line of the page where that begins, its role, and what it prints."""

    code: str
    line: int
    role: re.Match[str] | None
    prints: str | None

    @property
    def file(self) -> str | None:
        """The name of the file that it is."""
        return self.role["file"] if self.role else None


@attrs.frozen
class Page:
    """A page: where it is, and what it says."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Page:
        """Read a page, with a free port for 8000."""
        return cls(path, re.sub(r"\b8000\b", str(free_port()), path.read_text()))

    def languages(self) -> set[str]:
        """Return the languages of all its blocks."""
        return set(_FENCE.findall(self.text))

    def blocks(self) -> list[Block]:
        """Return its Python blocks."""
        found = [self._block(match) for match in _BLOCK.finditer(self.text)]
        assert len(found) == self.text.count("```python"), f"{self.path}: a Python block is not where a line begins"
        return found

    def _block(self, match: re.Match[str]) -> Block:
        line = self.text.count("\n", 0, match.start("code")) + 1
        role = _ROLE.fullmatch(match["role"]) if match["role"] else None
        assert role or not match["role"], f"{self.path}:{line}: what is <!-- {match['role']} -->?"
        return Block(match["code"], line, role, match["prints"])

    def run(self, loop: str, folder: Path) -> None:
        """Run its programs in order; ``folder`` is for those that are servers."""
        with ExitStack() as stack:
            for block in self.blocks():
                if block.file:
                    continue
                if block.role:
                    stack.close()
                    stack.enter_context(self._serving(block, loop, folder))
                elif block.code.startswith(">>>"):
                    self._run_session(block)
                else:
                    printed = self._run_program(block)
                    assert block.prints in (None, printed), f"{self.path}:{block.line} printed:\n{printed}"

    def run_files(self, folder: Path) -> None:
        """Put its files into ``folder``, and run the tests among them."""
        for block in self.blocks():
            if block.file:
                (folder / block.file).write_text(block.code)
        options = ["-W", "error", "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-q", *options, "--rootdir", str(folder)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _run_program(self, block: Block) -> str:
        # Blank lines before it: a traceback then names the page's line.
        code = compile("\n" * (block.line - 1) + block.code, str(self.path), "exec", dont_inherit=True)
        with logging_as_it_was(), redirect_stdout(io.StringIO()) as printed:
            exec(code, {"__name__": "__main__"})  # noqa: S102 - the page is the project's own
        return printed.getvalue()

    def _run_session(self, block: Block) -> None:
        session = doctest.DocTestParser().get_doctest(block.code, {}, self.path.name, str(self.path), block.line - 1)
        said = io.StringIO()
        with logging_as_it_was():
            failed = doctest.DocTestRunner(verbose=False).run(session, out=said.write).failed
        assert not failed, said.getvalue()

    @contextmanager
    def _serving(self, block: Block, loop: str, folder: Path) -> Iterator[None]:
        program = folder / f"line{block.line}.py"
        program.write_text(block.code)
        command = [sys.executable, "-W", "error", "-c", _STARTER, loop, str(program)]
        with (
            tempfile.TemporaryFile("w+") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder) as process,
        ):
            try:
                assert process.stdout is not None
                printed = process.stdout.readline()
                _come_and_go(printed)
                yield
                process.send_signal(signal.Signals[(block.role and block.role["signal"]) or "SIGINT"])
                printed += process.stdout.read()
                status = process.wait(PATIENCE)
            finally:
                process.kill()
                stderr.seek(0)
                said = stderr.read()
        where = f"{self.path}:{block.line}"
        assert (status, said) == (0, ""), f"{where}: status {status}\n{said}"
        assert block.prints in (None, printed), f"{where} printed:\n{printed}"


def _come_and_go(line: str) -> None:
    """Connect to the address that a server printed, and leave; it is in serve_forever then, where signals drain it."""
    host, _, port = line.rpartition(" ")[2].strip().rpartition(":")
    assert port, f"no address at the end of {line!r}"
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
