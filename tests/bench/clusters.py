"""Dask clusters as their users start them: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from tests.programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE: Final = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]


@attrs.frozen
class Cluster:
    """A cluster that runs: the address of its scheduler, and its workers, by address."""

    address: str
    workers: dict[str, subprocess.Popen[bytes]]


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """Run a cluster until the block ends."""
    with ExitStack() as stack:
        _, [address] = stack.enter_context(_running("scheduler", ["--port", "0"], 1, "Scheduler at: +(tcp://[^ ]+)"))
        alone = ["--no-nanny", "--nthreads", "1"]
        started = stack.enter_context(_running("worker", [address, *alone], workers, "Start worker at: +(tcp://[^ ]+)"))
        yield Cluster(address, dict(zip(started[1], started[0], strict=True)))


@contextmanager
def _running(
    kind: str, arguments: list[str], count: int, says: str
) -> Iterator[tuple[list[subprocess.Popen[bytes]], list[str]]]:
    """Run so many of a kind, started at the same time; yield them with what each has said it is."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *_PLACE, *arguments]
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        processes = [stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log)) for log in logs]
        for process in processes:
            stack.callback(process.kill)
        found: list[str] = []
        for log, process in zip(logs, processes, strict=True):
            deadline = time.monotonic() + PATIENCE
            while True:
                log.seek(0)
                text = log.read().decode()
                match = re.search(says, text.replace("\n", " \n"))
                if match is not None:
                    found.append(match[1].strip())
                    break
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.02)  # no event tells that a log has grown
        yield processes, found
