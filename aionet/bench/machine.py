"""On what it was measured, and how busy that was: figures without it say nothing."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["Machine", "Worker", "cpu_seconds", "load", "versions"]

_LIBRARIES: Final = ("aionet", "uvloop")
_MOST_PID: Final = 2**22  # PID_MAX_LIMIT of Linux (man 5 proc_sys_kernel)
_CPU_CLOCK: Final = 2  # CPUCLOCK_SCHED: user and system time, to the nanosecond


@attrs.frozen
class Machine:
    """A machine as a report names it; ``load`` is its load average of the last minute, before the start."""

    processor: str
    cores: int
    system: str
    load: float

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        return cls(_processor(), len(os.sched_getaffinity(0)), f"{platform.system()} {platform.release()}", load())


@attrs.frozen(kw_only=True)
class Worker:
    """A worker of a cluster, and how many generators it ran.

    ``start_error`` is how far from the agreed start they may have begun, in nanoseconds.
    """

    address: str
    host: str
    machine: Machine
    versions: dict[str, str]
    generators: int
    start_error: int

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Worker:
        """Make a worker of what attrs.asdict has made of one."""
        read: dict[str, Any] = {"machine": Machine(**given["machine"])}
        return cls(**given | read)


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def versions(*others: str) -> dict[str, str]:
    """Of Python and of what was measured with, and of other libraries; figures without them say nothing."""
    found = {"Python": platform.python_version()}
    for library in (*_LIBRARIES, *others):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            pass
    return found


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time that a process, with all its threads, has used so far; None if there is none.

    It is the clock that clock_getcpuclockid (man 3) makes of a process id, which Python does not have. /proc counts in
    hundredths of a second: of a slot, that is a tenth.
    """
    if not 0 < pid <= _MOST_PID:
        return None  # the clocks of 0 and -1 are this process's own
    try:
        return time.clock_gettime(~pid << 3 | _CPU_CLOCK)
    except OSError:
        return None
