"""How long messages are: always the same, or drawn from a distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import attrs

from aionet.errors import OptionError

if TYPE_CHECKING:
    import random

__all__ = ["FORMS", "MAX_SIZE", "Sizes"]

FORMS: Final = "64, uniform:64-1024, normal:1000,200 (mean, deviation) or choice:64:0.9,1000:0.1 (sizes and weights)"
MAX_SIZE: Final = 16 * 1024 * 1024


@attrs.frozen
class Sizes:
    """A distribution of sizes in bytes, as it was written: see FORMS.

    Sizes drawn from a normal distribution are rounded, and at least 1.
    """

    text: str
    kind: str
    numbers: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Sizes:
        """Make a distribution of what a person wrote.

        Raises OptionError for what is none, or has sizes that are not from 1 to 16 MiB.
        """
        kind, colon, rest = text.strip().partition(":")
        try:
            if not colon:
                return cls(text, "fixed", (_size(kind),))
            if kind == "uniform":
                low, high = map(_size, rest.split("-"))
                if low <= high:
                    return cls(text, kind, (low, high))
            elif kind == "normal":
                mean, deviation = rest.split(",")
                if 0 <= float(deviation) < math.inf:
                    return cls(text, kind, (_size(mean), float(deviation)))
            elif kind == "choice":
                return cls(text, kind, _choices(rest))
        except ValueError:
            pass
        raise OptionError(f"size {text!r}: expected {FORMS}; at least 1 and at most {MAX_SIZE} bytes")

    @property
    def fixed(self) -> bool:
        """Whether every message has the same size."""
        return self.kind == "fixed"

    @property
    def least(self) -> int:
        """The least size that may be drawn."""
        return 1 if self.kind == "normal" else int(min(self._sizes))

    @property
    def most(self) -> int:
        """The greatest size that may be drawn; of a normal distribution, what hardly ever is."""
        if self.kind == "normal":
            mean, deviation = self.numbers
            return min(MAX_SIZE, math.ceil(mean + 6 * deviation))
        return int(max(self._sizes))

    def draw(self, random: random.Random) -> int:
        """Draw a size."""
        numbers = self.numbers
        match self.kind:
            case "fixed":
                return int(numbers[0])
            case "uniform":
                return random.randint(int(numbers[0]), int(numbers[1]))
            case "normal":
                return min(max(round(random.gauss(*numbers)), 1), MAX_SIZE)
            case _:
                return int(random.choices(self._sizes, numbers[1::2])[0])

    @property
    def _sizes(self) -> tuple[float, ...]:
        return self.numbers[::2] if self.kind == "choice" else self.numbers

    def __str__(self) -> str:
        return self.text


def _size(text: str) -> int:
    size = int(text)
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(text)
    return size


def _choices(text: str) -> tuple[float, ...]:
    numbers: list[float] = []
    for part in text.split(","):
        size, weight = part.split(":")
        if not 0 < float(weight) < math.inf:
            raise ValueError(weight)
        numbers += [_size(size), float(weight)]
    return tuple(numbers)
