"""The statuses with which commands end; 0 is success, and 2 a wrong call."""

from __future__ import annotations

import signal
from typing import Final

__all__ = ["FAILED", "INTERRUPTED", "TERMINATED"]

FAILED: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT  # the statuses that shells give to what a signal has ended
TERMINATED: Final = 128 + signal.SIGTERM
