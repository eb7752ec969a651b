"""How much is read at a time, and where the memory for large reads comes from.

``sock.recv(256 KiB)`` allocates 256 KiB, lets the kernel write into them, and gives back what was not filled. glibc
serves an allocation of that size with mmap and frees it with munmap: the kernel then has to clear 64 pages for every
message, 76 us here for 100 kB. But glibc learns: once a block that came from mmap has been freed, blocks up to its size
come from the heap, and the heap is kept (M_MMAP_THRESHOLD in mallopt(3)). So one larger block is allocated and freed,
once, and the same read takes 17 us; reading into a buffer that stays and copying out of it takes 19.
"""

from __future__ import annotations

import functools
from typing import Final

__all__ = ["BULK_SIZE", "SMALL_SIZE", "keep_memory_of_bulk_reads"]

# As much as one turn of the loop reads from one connection: the bound that keeps reading fair.
BULK_SIZE: Final = 256 * 1024
# Comes from the heap on every allocator, whatever was freed before.
SMALL_SIZE: Final = 16 * 1024


@functools.cache
def keep_memory_of_bulk_reads() -> None:
    """Have the allocator keep the memory of freed bulk reads. Another allocator than glibc's may not care."""
    _ = bytes(4 * BULK_SIZE)
