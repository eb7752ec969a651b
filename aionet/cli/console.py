"""Where commands write: results to stdout, progress to stderr.

Each is styled where it is a terminal, and plain text without a single escape code where it is not or where NO_COLOR
(no-color.org) is set.
"""

from __future__ import annotations

import io
import os
import sys

from rich.console import Console

__all__ = ["output", "progress_output"]


def output() -> Console:
    """Return the console on stdout."""
    _never_fail_to_encode(sys.stdout)
    return _console(stderr=False)


def progress_output() -> Console:
    """Return the console on stderr."""
    _never_fail_to_encode(sys.stderr)
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # rich leaves bold and the cursor's movements when NO_COLOR takes the colours; who sets it wants neither.
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, soft_wrap=False, force_terminal=False if plain else None)


def _never_fail_to_encode(stream: object) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
