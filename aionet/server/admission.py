"""How many connections a server takes at a time.

At the limit, accepting pauses and the kernel's backlog waits: a client in the backlog is served late, one that is
accepted and closed is not served at all.
"""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["default_max_connections"]

_MOST: Final = 10_000
_SHARE_OF_DESCRIPTORS: Final = 0.8  # the rest is for files, other sockets, and what a handler opens


def default_max_connections() -> int:
    """Return the smaller of 10 000 and 80 % of RLIMIT_NOFILE."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, min(_MOST, int(soft * _SHARE_OF_DESCRIPTORS)))
