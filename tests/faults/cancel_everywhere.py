"""Cancel an operation at each of its suspensions, and look at what is left.

An ``await`` is where a task can be cancelled, so an operation with n suspensions has n places to leave something
behind: a socket half connected, a task that nobody awaits, a callback that the event loop keeps. Here the operation
runs once for each of them, in a scene that is set up anew, and after each run the process must be as it was before.

A suspension is what reaches the event loop: the steps of the coroutine are driven one by one, and whatever it yields is
counted. The tasks that the operation starts are driven the same way, since a cancel may hit while one of them is in the
middle of something; what is cancelled is always the operation, as its user would do it.

Every cancel races with the event that is waited for, and both may win. What waits for a Future is resumed in the turn
after the event, and a cancel may come in between; what waits for an aionet Wakeup is resumed by the event itself, and
then the race is for who comes first in one and the same turn. So each operation is cancelled at two moments.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import pytest

from aionet.system.poller import EpollPoller
from tests.leaks import GRACE, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

__all__ = ["Moment", "cancel_everywhere", "every_moment"]

_Scene = TypeVar("_Scene")
_Result = TypeVar("_Result")

# An operation with more suspensions than this does not end.
_MOST: Final = 200


class Moment(Enum):
    """When the cancel comes."""

    WAITING = "as soon as it waits"
    EVENT = "in the turn in which that happens which it waits for"


every_moment: Final = pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())


async def cancel_everywhere(
    scene: Callable[[], AbstractAsyncContextManager[_Scene]],
    operation: Callable[[_Scene], Awaitable[_Result]],
    afterwards: Callable[[_Scene, _Result | None], Awaitable[object]],
    *,
    moment: Moment,
    at_each: Callable[[_Scene, int], object] = lambda _scene, _number: None,
    grace: float = GRACE,
) -> int:
    """Cancel ``operation`` at its 1st, 2nd, 3rd ... suspension; return how many there were.

    ``at_each(scene, number)`` is called at each suspension, for the other side to take its next step. ``afterwards``
    checks what the operation worked on; it gets the result, None where the operation was cancelled. Then the scene
    ends, and no descriptor, no task and no registration with the loop may be left, ``grace`` seconds later at most.
    """
    for number in itertools.count(1):
        interruption = _Interruption(number, moment)
        async with nothing_left(grace), _before_each_event(interruption.before_event), scene() as set_up:
            interruption.at_each = partial(at_each, set_up)
            result = await _run(interruption, operation(set_up))
            await afterwards(set_up, result)
        if not interruption.reached:
            return number - 1
        assert number < _MOST, f"after {number} suspensions there still is another one"
    raise AssertionError  # count() does not end


@asynccontextmanager
async def _before_each_event(call: Callable[[], object]) -> AsyncGenerator[None]:
    """Call before each callback of a descriptor."""
    watch = EpollPoller.watch

    def watch_and_call(poller: EpollPoller, fd: int, events: int, callback: Callable[[int], object]) -> None:
        def call_first(events: int) -> None:
            call()
            callback(events)

        watch(poller, fd, events, call_first)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpollPoller, "watch", watch_and_call)
        yield


async def _run(interruption: _Interruption, operation: Awaitable[_Result]) -> _Result | None:
    with _tasks_driven():
        task = asyncio.get_running_loop().create_task(_driven(operation, interruption))
        interruption.task = task
        await asyncio.wait([task])
    if interruption.delivered:
        assert task.cancelled(), f"the cancel at suspension {interruption.number} was swallowed: {task!r}"
        return None
    return task.result()


_current: Final[contextvars.ContextVar[_Interruption | None]] = contextvars.ContextVar("interruption", default=None)


@contextmanager
def _tasks_driven() -> Generator[None]:
    """Drive every task that the operation starts: it is known by its context, which it inherits."""

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any) -> asyncio.Task[Any]:
        context: contextvars.Context | None = arguments.get("context")
        interruption = _current.get() if context is None else context.get(_current)
        if interruption is None:
            return asyncio.Task(coroutine, loop=loop, **arguments)
        driven: Any = _driven(coroutine, interruption)
        driven.__qualname__ = coroutine.__qualname__  # what a task that is left behind shows
        task = asyncio.Task(driven, loop=loop, **arguments)
        task.add_done_callback(lambda _: coroutine.close())  # it was not begun if the task was cancelled at once
        return task

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(factory)
    try:
        yield
    finally:
        loop.set_task_factory(before)


async def _driven(awaitable: Awaitable[_Result], interruption: _Interruption) -> _Result:
    _current.set(interruption)
    result: _Result = await _Steps(awaitable, interruption)
    return result


class _Steps:
    """Awaits a coroutine and shows each of its suspensions to an interruption."""

    def __init__(self, awaitable: Awaitable[Any], interruption: _Interruption) -> None:
        self._awaitable = awaitable
        self._interruption = interruption

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._awaitable.__await__()
        take: Any = steps.__next__
        argument: tuple[BaseException, ...] = ()
        while True:
            try:
                waits_for = take(*argument)
            except StopIteration as end:
                return end.value
            try:
                yield self._interruption.suspended(waits_for)
                take, argument = steps.__next__, ()
            except BaseException as exc:  # noqa: BLE001 - whatever the event loop throws is the coroutine's to handle
                take, argument = steps.throw, (exc,)


class _Interruption:
    """Cancels a task at the suspension of the given number, its own or one of the tasks that it has started.

    ``reached`` says that there was such a suspension, ``delivered`` that the task still ran when the cancel came.
    """

    def __init__(self, number: int, moment: Moment) -> None:
        self.number = number
        self.reached = False
        self.delivered = False
        self.task: asyncio.Task[Any] | None = None
        self.at_each: Callable[[int], object] = lambda _number: None
        self._moment = moment
        self._count = 0
        self._cancels_at_event = False

    def suspended(self, waits_for: Any) -> Any:
        """Take note of a suspension; return what the task shall wait for."""
        self._count += 1
        number = self._count
        self.at_each(number)
        if number != self.number:
            return waits_for
        self.reached = True
        if self._moment is Moment.WAITING or waits_for is None:
            # From inside its own step: the task hands the cancel on to what it waits for as soon as it has suspended.
            self.cancel()
        elif isinstance(waits_for, asyncio.Future):
            return _CancelledWhenDone(waits_for, self)
        else:
            self._cancels_at_event = True
        return waits_for

    def before_event(self) -> None:
        """Be there first: the loop is about to make the callback of a descriptor."""
        if self._cancels_at_event:
            self._cancels_at_event = False
            self.cancel()

    def cancel(self) -> None:
        assert self.task is not None
        self.delivered = self.task.cancel()


class _CancelledWhenDone:
    """Stands in for a future that a task waits for, and cancels before it hands on that the future is done."""

    def __init__(self, waits_for: asyncio.Future[Any], interruption: _Interruption) -> None:
        waits_for._asyncio_future_blocking = False
        self._asyncio_future_blocking = True
        self._waits_for = waits_for
        self._interruption = interruption

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._waits_for.get_loop()

    def add_done_callback(self, step: Callable[[Self], object], *, context: contextvars.Context) -> None:
        def done(_: object) -> None:
            self._interruption.cancel()
            step(self)

        self._waits_for.add_done_callback(done, context=context)

    def result(self) -> Any:
        return self._waits_for.result()

    def cancel(self, msg: Any = None) -> bool:
        return self._waits_for.cancel(msg=msg)
