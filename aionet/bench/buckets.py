"""Latencies as counts by value, in HdrHistogram's own buckets.

The histogram of the library takes microseconds of Python for a value, and a generator has ten for a whole message. So a
generator counts in a dict, with every value rounded down to the bucket that HdrHistogram with three significant digits
would put it into: two values share a key here where they would share a bucket there. The histogram that is made of the
counts in the end is the one that recording each value would have made, bit for bit, and however long a run takes, there
are no more keys than buckets.

Values are integers from 0 on; all of ours are nanoseconds.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MASKS", "SIGNIFICANT_DIGITS", "Buckets", "add", "dump", "load", "new", "quantile"]

Buckets: TypeAlias = defaultdict[int, int]

SIGNIFICANT_DIGITS: Final = 3
# What HdrHistogram takes for three digits: 2048 steps in each power of two, 1024 of which the one below does not have.
_STEPS_BITS: Final = 11

# By the number of a value's bits: ``value & MASKS[value.bit_length()]`` is its bucket's least value. A table, and done
# by whoever counts: a call would cost as much as the count.
MASKS: Final = tuple(-1 if bits <= _STEPS_BITS else -(1 << (bits - _STEPS_BITS)) for bits in range(64))


def new() -> Buckets:
    """Nothing counted yet."""
    return defaultdict(int)


def add(into: Buckets, counts: Mapping[int, int]) -> None:
    """Add the counts to those of ``into``."""
    for value, count in counts.items():
        into[value] += count


def quantile(counts: Mapping[int, int], part: float) -> int:
    """Return the least value that ``part`` of all values do not exceed; ``counts`` has how often each occurs."""
    needed = part * sum(counts.values())
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= needed:
            return value
    raise ValueError("no values")


def dump(counts: Mapping[int, int]) -> str:
    """Return the counts as text, for a line of JSON: a fraction of the time that JSON itself would take."""
    numbers = array("q", [*counts.keys(), *counts.values()])
    _little_endian(numbers)
    return base64.b64encode(numbers.tobytes()).decode()


def load(text: str) -> Buckets:
    """Return what was dumped, on whatever machine.

    Raises ValueError for any other text.
    """
    numbers = array("q")
    numbers.frombytes(base64.b64decode(text, validate=True))
    _little_endian(numbers)
    values, odd = divmod(len(numbers), 2)
    if odd:
        raise ValueError("a value without its count")
    return defaultdict(int, zip(numbers[:values], numbers[values:], strict=True))


def _little_endian(numbers: array[int]) -> None:
    """Turn the bytes of each number, on a machine that has them the other way round."""
    if sys.byteorder == "big":
        numbers.byteswap()
