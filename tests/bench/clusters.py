"""Dask clusters as their users start them: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import re
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from tests.programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE: Final = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
_ALONE: Final = ["--no-nanny", "--nthreads", "1"]
_SCHEDULER: Final = r"Scheduler at: +(tcp://\S+)\n"
_WORKER: Final = r"(?s)Start worker at: +(tcp://\S+)\n.*Registered to: "


@attrs.frozen
class Cluster:
    """A cluster that runs: the address of its scheduler, and its workers, by address."""

    address: str
    workers: dict[str, subprocess.Popen[bytes]]


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """Run a cluster until the block ends."""
    with ExitStack() as stack:
        _, [address] = stack.enter_context(_running(_command("scheduler", "--port", "0"), 1, _SCHEDULER))
        started = stack.enter_context(_running(_command("worker", address, *_ALONE), workers, _WORKER))
        yield Cluster(address, dict(zip(started[1], started[0], strict=True)))


def _command(kind: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{kind}", *_PLACE, *arguments]


@contextmanager
def worker_without_aionet(running: Cluster, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run one more worker, in a Python that has all libraries of this one but aionet; yield its address, and it."""
    for place in {*site.getsitepackages(), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            link = folder / entry.name
            if not (entry.name.startswith(("aionet", "_aionet")) or entry.suffix == ".pth" or link.exists()):
                link.symlink_to(entry)
    program = f"import sys; sys.path.append({str(folder)!r}); from distributed.cli.dask_worker import main; main()"
    command = [sys.executable, "-I", "-S", "-c", program, running.address, *_PLACE, *_ALONE]
    with _running(command, 1, _WORKER) as ([process], [address]):
        yield address, process


@contextmanager
def _running(command: list[str], count: int, says: str) -> Iterator[tuple[list[subprocess.Popen[bytes]], list[str]]]:
    """Run it so many times at once; yield the processes, and what each ``says`` is its address."""
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
                match = re.search(says, text)
                if match is not None:
                    found.append(match[1])
                    break
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.02)  # no event tells that a log has grown
        yield processes, found
