"""A timer that is on time."""

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from aionet.bench.alarm import Alarm, alarm

MILLISECOND = 1_000_000

KINDS = [pytest.param("timerfd", id="timerfd"), pytest.param("loop", id="the loop's")]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Alarm]:
    """Return what makes an alarm on the running loop: the system's own, or the loop's."""
    if request.param == "loop":
        monkeypatch.setattr(sys, "platform", "another")
    return lambda ring: alarm(asyncio.get_running_loop(), ring)


async def test_it_goes_off_when_it_is_set_to_and_once(make: Callable[[Callable[[], object]], Alarm]) -> None:
    rung: list[int] = []
    went_off = asyncio.Event()

    def ring() -> None:
        rung.append(time.monotonic_ns())
        went_off.set()

    made = make(ring)
    for delay in (0, 3 * MILLISECOND, -MILLISECOND):
        when = time.monotonic_ns() + delay
        made.set(when)
        await went_off.wait()
        went_off.clear()
        assert rung[-1] >= when - MILLISECOND  # the loops' timers may be as much early
    await asyncio.sleep(0.01)
    assert len(rung) == 3
    made.close()


async def test_set_anew_it_forgets_the_former_time(make: Callable[[Callable[[], object]], Alarm]) -> None:
    went_off = asyncio.Event()
    made = make(went_off.set)
    made.set(time.monotonic_ns() + 2 * MILLISECOND)
    later = time.monotonic_ns() + 20 * MILLISECOND
    made.set(later)
    await went_off.wait()
    assert time.monotonic_ns() >= later - MILLISECOND
    made.close()


async def test_set_from_its_own_call_it_goes_on(make: Callable[[Callable[[], object]], Alarm]) -> None:
    count = 0
    ended = asyncio.Event()

    def ring() -> None:
        nonlocal count
        count += 1
        if count == 20:
            ended.set()
        else:
            made.set(time.monotonic_ns() + MILLISECOND // 10)

    made = make(ring)
    made.set(time.monotonic_ns())
    await ended.wait()
    made.close()
    assert count == 20


async def test_closed_it_never_goes_off(make: Callable[[Callable[[], object]], Alarm]) -> None:
    rung: list[None] = []
    made = make(lambda: rung.append(None))
    made.set(time.monotonic_ns() + MILLISECOND)
    made.close()
    made.close()
    await asyncio.sleep(0.005)
    assert not rung
