"""Runs of datagrams that the kernel takes and gives at once: UDP_SEGMENT and UDP_GRO.

A run is datagrams of one size to one peer, of which only the last may be shorter, handed over as one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_RUN_BYTES", "MAX_SEGMENTS", "cut", "run_end"]

# UDP_MAX_SEGMENTS of every kernel since 4.18; newer ones take 128.
MAX_SEGMENTS: Final = 64
# The largest payload of an IPv4 packet: 65535 less the headers of IP and UDP. A run travels as one packet at first.
MAX_RUN_BYTES: Final = 65507


def run_end(sizes: Sequence[int], start: int, largest: int) -> int:
    """Return the index past the run that begins at ``start``, in a list of datagrams of which there are the sizes.

    What is larger than ``largest`` bytes, or empty, is a run of its own.
    """
    size = sizes[start]
    if not 0 < size <= largest:
        return start + 1
    like = sizes[start : start + min(MAX_SEGMENTS, MAX_RUN_BYTES // size)]
    # Counting is done in C: a list of equal sizes, the usual one, costs nothing here.
    if like.count(size) == len(like):
        return start + max(len(like), 1)
    equal = next(index for index, one in enumerate(like) if one != size)
    return start + equal + (0 < like[equal] < size)


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut a run into its datagrams."""
    return [data[at : at + size] for at in range(0, len(data), size)]
