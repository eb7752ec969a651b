"""Compile the C programs of this folder, once for each version of their text."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ("-O2", "-Wall", "-Wextra")


class CompilerError(Exception):
    """There is no C compiler, or it refused a program."""


def cache_directory() -> Path:
    """Where compiled programs are kept: in the user's cache, where nobody else can put a program of his own."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aionet" / "benchmarks"


def compiler() -> str:
    """The path of the C compiler: $CC, or `cc`."""
    name = os.environ.get("CC", "cc")
    path = shutil.which(name)
    if path is None:
        message = f"no C compiler: {name!r} is not on the PATH (Debian, Ubuntu: apt install gcc libc6-dev; or set CC)"
        raise CompilerError(message)
    return path


def build(source: str, cache: Path | None = None, flags: tuple[str, ...] = ()) -> Path:
    """The program compiled from a C file of this folder, for example `load.c`; `flags` come last, as libraries must.

    Raises:
        CompilerError: without a compiler, or with what it said.

    """
    text = (HERE / source).read_bytes() + " ".join(flags).encode()
    cache = cache or cache_directory()
    program = cache / f"{Path(source).stem}-{hashlib.sha256(text).hexdigest()[:16]}"
    if program.exists():
        return program
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    command = [compiler(), *FLAGS, "-o", str(fresh), str(HERE / source), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(command)} failed:\n{done.stderr}"
        raise CompilerError(message)
    fresh.replace(program)  # at once, so that nobody runs half a program
    return program
