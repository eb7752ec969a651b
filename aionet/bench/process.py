"""Processes of ours: started, spoken with in lines of JSON, and always ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Final, Self, cast

from aionet.errors import AionetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["PATIENCE", "Process", "ProcessError"]

# Starting Python takes a part of a second, and leaving less; only what is broken needs more, in seconds.
PATIENCE: Final = 15.0
_READ_SIZE: Final = 1024 * 1024  # a slot with its distributions is some 50 kB


class ProcessError(AionetError):
    """A process did not start, or did not do its work; the message holds what it said last."""


class Process:
    """A script of ours in a Python of its own. The end of its stdin tells it to leave; leaving the block ends it.

    ``core`` is what it is pinned to, None leaves that to the system.

    It has a process group of its own: Ctrl-C in the terminal reaches only whoever started it, who then ends it.
    """

    def __init__(self, title: str, script: Path, arguments: Iterable[object] = (), core: int | None = None) -> None:
        self._title = title
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__; a full pipe would stop a talker
        self._popen = subprocess.Popen(  # noqa: S603 - our own scripts
            [sys.executable, "-P", str(script), *map(str, arguments)],  # -P: its folder is not searched for modules
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            process_group=0,
        )
        if core is not None:
            os.sched_setaffinity(self._popen.pid, {core})
        self._input = cast("IO[bytes]", self._popen.stdin)
        self._output = cast("IO[bytes]", self._popen.stdout)
        self._heard = bytearray()  # and not returned yet
        self._given_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None and not self._given_up:
                self._leave()
        finally:
            self._popen.kill()
            self._popen.wait()
            self._close_pipes()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def fileno(self) -> int:
        """The descriptor that is readable when it has said something."""
        return self._output.fileno()

    def hear(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next line it says, within so many seconds.

        Raises ProcessError when it says nothing for so long, or ends.
        """
        deadline = time.monotonic() + timeout
        while b"\n" not in self._heard:
            if not select.select([self._output], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise ProcessError(f"{self._title} said nothing for {timeout:g} s")
            self._read()
        return self._next_line()

    def heard(self) -> Iterator[dict[str, Any]]:
        """Return each line that has come, once fileno is readable; raise ProcessError when it has ended."""
        self._read()
        while b"\n" in self._heard:
            yield self._next_line()

    def _read(self) -> None:
        data = os.read(self._output.fileno(), _READ_SIZE)
        if not data:
            raise self._failure()
        self._heard += data

    def _next_line(self) -> dict[str, Any]:
        line, _, rest = self._heard.partition(b"\n")
        self._heard = rest
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, **values: object) -> None:
        """Write a line: these values as JSON, or an empty one."""
        try:
            self._input.write(json.dumps(values).encode() + b"\n" if values else b"\n")
            self._input.flush()
        except BrokenPipeError:
            pass  # it has ended: what it said last is for hear to find

    def give_up(self) -> None:
        """Leave the block without a complaint about it: what is wrong with it is known."""
        self._given_up = True

    def ask(self) -> dict[str, Any]:
        """Tell it, and return what it answers."""
        self.tell()
        return self.hear()

    def explain(self, error: ProcessError) -> ProcessError:
        """Return why another process failed to work with this one: it has ended, or said something, or nobody knows."""
        if self._popen.poll() is not None:
            return self._failure()
        said = self._last_words()
        return ProcessError(f"{error}; {self._title} said: {said}") if said else error

    def _leave(self) -> None:
        self._input.close()
        try:
            status = self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self._title} did not end") from None
        if status:
            raise self._failure()

    def _failure(self) -> ProcessError:
        try:
            status = self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return ProcessError(f"{self._title} closed its output")
        ending = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = self._last_words()
        return ProcessError(f"{self._title} {ending}: {said}" if said else f"{self._title} {ending}")

    def _last_words(self) -> str:
        """The last line of its stderr: of a traceback, the line that says what was wrong."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]

    def _close_pipes(self) -> None:
        self._output.close()
        self._errors.close()
        try:
            self._input.close()
        except BrokenPipeError:
            pass  # a line for a process that no longer reads
