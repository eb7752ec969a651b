"""Figures as people read them."""

from __future__ import annotations

from typing import Final

__all__ = ["amount", "counted", "period", "thousands"]

_TIMES: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_AMOUNTS: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_DIGITS: Final = 3  # significant ones: what the histograms have, and more than a figure is worth


def thousands(number: float) -> str:
    """With a space between thousands: 148 000."""
    return f"{number:,.0f}".replace(",", " ")


def counted(number: int, noun: str) -> str:
    """With its noun: 1 round, 3 rounds."""
    return f"{thousands(number)} {noun}" + ("" if number == 1 else "s")


def period(nanoseconds: float) -> str:
    """A time in the unit that suits it: 87.3 µs, 1.24 ms, 2.00 s."""
    for size, unit in _TIMES:
        if nanoseconds >= size:
            return f"{_significant(nanoseconds / size)} {unit}"
    return f"{nanoseconds:.0f} ns"


def amount(size: float) -> str:
    """Bytes in the unit that suits them: 64 B, 7.20 MB."""
    for unit_size, unit in _AMOUNTS:
        if size >= unit_size:
            return f"{_significant(size / unit_size)} {unit}"
    return f"{size:.0f} B"


def _significant(number: float) -> str:
    return f"{number:.{max(_DIGITS - len(str(int(number))), 0)}f}"
