"""On what it was measured: figures without it say nothing."""

import os
import platform
from importlib import metadata
from pathlib import Path

BUSY = 0.5  # load average above which others are at work

LIBRARIES = (
    "aionet",
    "uvloop",
    "aiofastnet",
    "anyio",
    "trio",
    "twisted",
    "tornado",
    "gevent",
    "easynetwork",
    "asyncudp",
    "asyncio-dgram",
)


def processor() -> str:
    """The processor's name as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version(library: str) -> str | None:
    """Of a library that is installed."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, str]:
    """Processor, cores, kernel, Python and libraries."""
    facts = {
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    versions = {library: version(library) for library in LIBRARIES}
    return facts | {library: number for library, number in versions.items() if number}


def warnings() -> list[str]:
    """What keeps the figures from meaning much, if anything."""
    found = []
    if len(os.sched_getaffinity(0)) == 1:
        found.append("ONE CORE: server and load generator share it, which brings every ratio nearer to 1")
    if os.getloadavg()[0] > BUSY:
        found.append(f"BUSY MACHINE: load average {os.getloadavg()[0]:.1f} before the start")
    return found
