"""Steer what happens when, without a clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

__all__ = ["running", "turns", "unless_held_up", "until"]

_T = TypeVar("_T")


async def turns(count: int = 20) -> None:
    """Let the loop go round ``count`` times: enough for whatever needs no more than the loop to happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go round until the condition holds. The test's own time limit is the only one."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


@asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, _T]) -> AsyncGenerator[asyncio.Task[_T]]:
    """Run a coroutine in a task, and cancel it at the end of the block if it still runs."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def unless_held_up(attempt: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
    """Make an attempt that takes a machine with time to spare; again if it failed while the loop stood still so long.

    For what is about real time: a deadline that passes while nothing runs has passed.
    """
    while True:
        async with running(_longest_stand_still()) as watching:
            failure: Exception | None = None
            await turns(1)  # it watches now
            try:
                await attempt()
            except Exception as error:  # noqa: BLE001 - raised below unless it is the machine's fault
                failure = error
            watching.cancel()
            longest = await watching
        if failure is None:
            return
        if longest < seconds:
            raise failure


async def _longest_stand_still() -> float:
    """Watch the loop until cancelled; return for how many seconds it has stood still at most."""
    loop = asyncio.get_running_loop()
    longest, before = 0.0, loop.time()
    with suppress(asyncio.CancelledError):
        while True:
            try:
                await asyncio.sleep(0.005)
            finally:
                longest = max(longest, loop.time() - before)
                before = loop.time()
    return longest
