"""Which of two is faster, and how sure that is.

The ratio of two medians is one number, and says nothing of how it would come out the next time. So the samples are
drawn anew from themselves, ten thousand times (the bootstrap), and the middle 95 % of the ratios are the interval.

Bootstrap intervals of few samples are too narrow: with five runs a 95 % interval would hold the truth in some 85 of 100
cases. Hesterberg ("What Teachers Should Know About the Bootstrap", 2015, section 5.3) widens them by what Student's t
demands of so few, and these are such expanded percentile intervals. An interval can still not be wider than the samples
themselves spread, and three runs remain three runs.

Samples that were taken in turns (A B A B) are drawn in pairs: what slowed a round slowed both.
"""

from __future__ import annotations

import math
import random
import statistics
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Comparison", "compare"]

_RESAMPLES: Final = 10_000
_CONFIDENCE: Final = 0.95

# Student's t, 97.5 %, by degrees of freedom from 1 on; beyond, 1.96 is near enough to widen by a percent or less.
_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@attrs.frozen
class Comparison:
    """B against A: the ratio of the medians, and between what it lies with 95 % confidence."""

    a: float
    b: float
    ratio: float
    low: float
    high: float
    samples: int  # of the side that has fewer

    @property
    def different(self) -> bool:
        """Whether a difference is shown: the interval leaves out 1."""
        return not self.low <= 1 <= self.high

    def __str__(self) -> str:
        interval = f"95 % {self.low:.2f}–{self.high:.2f}"  # noqa: RUF001 - from, to
        if self.different:
            return f"{self.ratio:.2f}x, {interval}"
        return f"no difference shown ({self.ratio:.2f}x, {interval})"


def compare(a: Sequence[float], b: Sequence[float], *, paired: bool, seed: int = 0) -> Comparison:
    """Compare two sides' samples, of which there are two each at least; ``paired``: taken in turns.

    Raises ValueError for fewer, for medians of zero, and for pairs of unequal number.
    """
    fewer = min(len(a), len(b))
    if fewer < 2:  # noqa: PLR2004 - one has no spread
        raise ValueError("one sample has no spread: expected two at least on each side")
    if not statistics.median(a) or not statistics.median(b):
        raise ValueError("nothing was measured on one side")
    if paired and len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} samples are no pairs")
    chance = random.Random(seed)  # noqa: S311 - no secret
    ratios: list[float] = []
    for _ in range(_RESAMPLES):
        drawn = chance.choices(range(len(a)), k=len(a))
        of_a = [a[index] for index in drawn]
        of_b = [b[index] for index in drawn] if paired else chance.choices(b, k=len(b))
        ratios.append(statistics.median(of_b) / (statistics.median(of_a) or math.inf))
    ratios.sort()
    tail = _tail(fewer)
    return Comparison(
        a=statistics.median(a),
        b=statistics.median(b),
        ratio=statistics.median(b) / statistics.median(a),
        low=ratios[math.floor(tail * (_RESAMPLES - 1))],
        high=ratios[math.ceil((1 - tail) * (_RESAMPLES - 1))],
        samples=fewer,
    )


def _tail(samples: int) -> float:
    """The part of the ratios to leave out at each end."""
    degrees = samples - 1
    t = _T[degrees - 1] if degrees <= len(_T) else -statistics.NormalDist().inv_cdf((1 - _CONFIDENCE) / 2)
    return statistics.NormalDist().cdf(-math.sqrt(samples / degrees) * t)
