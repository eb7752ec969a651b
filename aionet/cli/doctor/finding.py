"""What the doctor finds: a fact of this system, whether it holds aionet back, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["Finding", "Verdict"]


class Verdict(StrEnum):
    """What a finding means for aionet."""

    OK = "ok"
    LIMITED = "limited"
    UNKNOWN = "unknown"


@attrs.frozen
class Finding:
    """``found`` is a plain value for programs, ``shown`` the same for people; ``means`` is what follows from it."""

    name: str
    found: str | int | bool | None
    shown: str
    verdict: Verdict
    means: str
    advice: str | None = None
