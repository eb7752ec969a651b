"""What runs: Python, the system, the loops, the libraries."""

from __future__ import annotations

import os
import platform
import ssl
from importlib import metadata

from aionet.cli.doctor.finding import Finding, Verdict
from aionet.system.loops import available_loops

__all__ = ["versions"]


def versions() -> list[Finding]:
    """Return a finding for each."""
    return [
        _plain("aionet", metadata.version("aionet"), "this package"),
        _plain("Python", platform.python_version(), platform.python_implementation()),
        _plain("system", f"{platform.system()} {platform.release()}", f"{platform.machine()}, {_cores()}"),
        _plain("OpenSSL", ssl.OPENSSL_VERSION.removeprefix("OpenSSL "), "what Python's ssl module, and so TLS, uses"),
        _uvloop(),
    ]


def _plain(name: str, found: str, means: str) -> Finding:
    return Finding(name, found, found, Verdict.OK, means)


def _cores() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return "1 core for this process" if cores == 1 else f"{cores} cores for this process"


def _uvloop() -> Finding:
    if available_loops()[-1] == "uvloop":
        return _plain("uvloop", metadata.version("uvloop"), "the loop that aionet.run uses, unless it is told another")
    means = "aionet.run uses asyncio's own loop, and each turn of it costs more"
    return Finding("uvloop", None, "not installed", Verdict.LIMITED, means, "pip install 'aionet[uvloop]'")
