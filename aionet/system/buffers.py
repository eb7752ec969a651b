"""One large receive buffer for all connections of a thread.

``sock.recv(256 KiB)`` allocates 256 KiB for every message, which glibc maps and unmaps each time: more work than all
the rest of an echo. Reading into one buffer that stays, and copying what came, costs the copy alone. It is one a thread
because ``recv_into`` lets go of the interpreter lock while the kernel writes.
"""

from __future__ import annotations

import threading

__all__ = ["BULK_SIZE", "shared_buffer"]

# As much as one turn of the loop reads from one connection: the bound that keeps reading fair.
BULK_SIZE = 256 * 1024

_local = threading.local()


def shared_buffer() -> memoryview:
    """Return this thread's receive buffer. Its content is good until the next read on the thread."""
    try:
        return _local.view  # type: ignore[no-any-return]
    except AttributeError:
        _local.view = memoryview(bytearray(BULK_SIZE))
        return _local.view  # type: ignore[no-any-return]
