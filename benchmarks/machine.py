"""On what it was measured: figures without it say nothing."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = ("aionet", "uvloop", "aiofastnet")


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
    """Processor, cores, kernel, Python and libraries, and how busy the machine was before."""
    facts = {
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load average": f"{os.getloadavg()[0]:.2f}",
    }
    versions = {library: version(library) for library in LIBRARIES}
    return facts | {library: number for library, number in versions.items() if number}


def one_core() -> bool:
    """Whether server and load generator have to share a core, which brings every ratio nearer to 1."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) == 1
