"""Runs of a generator inside a test, on its loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aionet.bench.buckets import quantile
from aionet.bench.generator import Generator
from aionet.bench.plan import Plan
from aionet.bench.sizes import Sizes
from aionet.bench.tally import Tally

if TYPE_CHECKING:
    from aionet.bench.slot import Slot


def plan(endpoint: str, **given: Any) -> Plan:
    """A short run, without a warm-up."""
    if "size" in given:
        given["size"] = Sizes.parse(given["size"])
    usual: dict[str, Any] = {"duration": 0.2, "warmup": 0.0, "connections": 2}
    return Plan(endpoint=endpoint, **usual | given)


async def generate(given: Plan, *, stop_after: float | None = None) -> Tally:
    """Carry the plan out, and return what was counted."""
    tally = Tally(1)
    slots: list[Slot] = []
    with Generator(given, slots.append) as generator:
        await generator.open()
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, generator.stop)
        await generator.run(time.monotonic_ns())
    for slot in slots:
        tally.add(slot)
    return tally


def replies(tally: Tally) -> int:
    """All of them, the late ones too."""
    return sum(point.replies for point in tally.points.values()) + tally.late_replies


def milliseconds(tally: Tally, part: float) -> float:
    """The latency that this part of the replies does not exceed."""
    return quantile(tally.latency, part) / 1e6
