"""What it looks like when the process or the system is out of something, and how long to leave it alone then."""

from __future__ import annotations

import errno
from typing import Final

__all__ = ["EXHAUSTED", "REST"]

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Descriptors, of the process or the system; memory."""

REST: Final = 0.1
"""Seconds after which something may have become free."""
