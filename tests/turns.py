"""Steer what happens when, without a clock."""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

__all__ = ["running", "turns", "unless_held_up", "until"]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Test: TypeAlias = "Callable[_P, Coroutine[Any, Any, None]]"


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


def unless_held_up(seconds: float) -> Callable[[_Test[_P]], _Test[_P]]:
    """Decorate a test of what happens in real time: it runs again where it failed and the loop had stood still so long.

    A deadline that passes while the machine runs something else has passed, and rightly.
    """

    def decorate(test: _Test[_P]) -> _Test[_P]:
        @functools.wraps(test)
        async def repeated(*args: _P.args, **kwargs: _P.kwargs) -> None:
            while True:
                async with running(_longest_stand_still()) as watching:
                    await turns(1)  # it watches now
                    try:
                        return await test(*args, **kwargs)
                    except Exception:
                        watching.cancel()
                        if await watching < seconds:
                            raise

        return repeated

    return decorate


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
