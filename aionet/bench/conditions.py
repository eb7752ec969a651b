"""What makes a run a failure: conditions such as ``errors``, ``p99>5ms`` or ``rate<10000``."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final

import attrs

from aionet.bench.trust import doubts
from aionet.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.bench.results import Results

__all__ = ["FORMS", "Condition"]

FORMS: Final = (
    "errors, errors>N or errors>N%, loss>N%, rate<N, p50>TIME to p99.99>TIME, max>TIME (such as 5ms, 200us, 1s), doubts"
)

_COMPARISON: Final = re.compile(r"(?P<figure>[a-z]+[\d.]*)\s*(?:(?P<sign>[<>])\s*(?P<limit>[\d.]+)(?P<unit>[a-z%]*))?")
_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {"<": operator.lt, ">": operator.gt}
_TIMES: Final = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_PLAIN: Final = {"": 1.0, "%": 0.01}


@attrs.frozen
class Condition:
    """A figure, and a limit that it must not pass."""

    text: str
    figure: str
    sign: str
    limit: float
    of_all: bool  # the limit is a part of all messages

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Make a condition of what a person wrote.

        Raises OptionError for what is none.
        """
        match = _COMPARISON.fullmatch(text.strip())
        if match is not None:
            figure, sign, unit = match["figure"], match["sign"], match["unit"]
            try:
                if sign is None and figure in ("errors", "doubts"):
                    return cls(text, figure, ">", 0.0, of_all=False)
                if sign is not None and unit in _units(figure):
                    limit = float(match["limit"]) * _units(figure)[unit]
                    return cls(text, figure, sign, limit, of_all=unit == "%")
            except ValueError:
                pass
        raise OptionError(f"fail-on {text!r}: expected {FORMS}")

    def broken_by(self, results: Results) -> bool:
        """Whether the results are such that the run is a failure."""
        return _SIGNS[self.sign](self._value(results), self.limit)

    def _value(self, results: Results) -> float:
        match self.figure:
            case "errors":
                failed = results.failed + results.datagrams.lost
                return failed / max(results.sent, failed, 1) if self.of_all else failed
            case "loss":
                return results.loss if self.of_all else results.datagrams.lost
            case "rate":
                return results.rate
            case "doubts":
                return len(doubts(results))
            case "max":
                return results.latency.max
            case _:
                return results.latency.percentile(float(self.figure[1:]))

    def __str__(self) -> str:
        return self.text


def _units(figure: str) -> dict[str, float]:
    """The units that a figure may have, each with what it is worth; raise ValueError for what is no figure."""
    if figure in ("errors", "loss"):
        return _PLAIN
    if figure == "rate":
        return {"": 1.0}
    if figure == "max" or (figure[0] == "p" and 0 < float(figure[1:]) <= 100):  # noqa: PLR2004 - per cent
        return _TIMES
    raise ValueError(figure)
