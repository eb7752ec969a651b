"""HdrHistogram: the distribution of latencies as it is kept, merged and exchanged (hdrhistogram.org).

A thin face over the package ``hdrhistogram``, which has no types and may be missing.
"""

from __future__ import annotations

import importlib
import io
import re
from typing import TYPE_CHECKING, Any, Final

from aionet.bench.buckets import SIGNIFICANT_DIGITS
from aionet.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HIGHEST", "Histogram", "require_library"]

_DEVIATION: Final = re.compile(r"(?<=StdDeviation   = )[ \d.]+\]")

HIGHEST: Final = 24 * 3600 * 10**9  # ns; no run waits longer for a reply


def require_library() -> Any:  # noqa: ANN401 - the package has no types
    """Import the package.

    Raises MissingExtraError where it is not installed.
    """
    try:
        return importlib.import_module("hdrh.histogram")
    except ImportError as error:
        raise MissingExtraError("hdrhistogram is not installed: pip install 'aionet[bench]'") from error


class Histogram:
    """A distribution of times in nanoseconds, three significant digits each.

    Raises MissingExtraError where the package ``hdrhistogram`` is not installed.
    """

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._inner = require_library().HdrHistogram(1, HIGHEST, SIGNIFICANT_DIGITS)
        for value, count in (counts or {}).items():
            self._inner.record_value(min(value, HIGHEST), count)

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """Make a histogram of its encoded form, whatever wrote it.

        Raises ValueError for text that is none.
        """
        new = cls()
        try:
            new._inner.decode_and_add(text.encode())
        except Exception as error:  # the package raises whatever zlib, base64 and ctypes raise
            raise ValueError(f"no encoded histogram: {error}") from error
        return new

    def encode(self) -> str:
        """The encoded form that all of HdrHistogram's ports read (V2, compressed, base64)."""
        encoded: bytes = self._inner.encode()
        return encoded.decode()

    def add(self, other: Histogram) -> None:
        """Add the counts of another one; nothing is lost."""
        self._inner.add(other._inner)

    @property
    def count(self) -> int:
        """How many values."""
        return int(self._inner.get_total_count())

    @property
    def max(self) -> int:
        """The largest value; 0 where there is none."""
        return int(self._inner.get_max_value()) if self.count else 0

    @property
    def min(self) -> int:
        """The least value; 0 where there is none."""
        return int(self._inner.get_min_value()) if self.count else 0

    @property
    def mean(self) -> float:
        """The mean of all values; 0 where there is none."""
        return float(self._inner.get_mean_value()) if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """The value that so many of a hundred do not exceed; 0 where there is none."""
        return min(int(self._inner.get_value_at_percentile(percent)), self.max) if self.count else 0

    def recorded(self) -> Iterator[tuple[int, int]]:
        """Each bucket that is not empty: the value that stands for it, and its count, in order."""
        for item in self._inner.get_recorded_iterator():
            yield int(item.value_iterated_to), int(item.count_added_in_this_iter_step)

    def hgrm(self) -> str:
        """The percentile distribution in milliseconds, as HdrHistogram's plotters take it (.hgrm)."""
        out = io.BytesIO()
        self._inner.output_percentile_distribution(out, 1e6)
        deviation = float(self._inner.get_stddev()) if self.count else 0.0
        # The package scales the mean and forgets the deviation beside it.
        return _DEVIATION.sub(f"{deviation / 1e6:12.3f}]", out.getvalue().decode())
