"""What a process that the demo starts does for itself: stay on its core, and speak in lines of JSON."""

from __future__ import annotations

import json
import os
import sys

__all__ = ["pin", "say"]


def pin(core: int | None) -> None:
    """Run this process on that core alone; None leaves it to the system."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def say(**values: object) -> None:
    """Print one line of JSON at once."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()
