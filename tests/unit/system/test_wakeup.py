"""The waiter that a callback resumes at once, and the queue of such waiters."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from aionet.system.wakeup import DONE, WaitQueue, Wakeup
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# asyncio has a task in C and one in Python: they ask the same of what they wait for.
KINDS_OF_TASK: list[type[asyncio.Task[Any]]] = [asyncio.Task, asyncio.tasks._PyTask]  # type: ignore[attr-defined]
each_kind_of_task = pytest.mark.parametrize("task_type", KINDS_OF_TASK, ids=["C", "Python"])

each_way_to_wake = pytest.mark.parametrize("wake", [Wakeup.wake, Wakeup.wake_soon], ids=["now", "soon"])


def in_callback(function: Callable[[], object]) -> None:
    """Call a function from a callback of the loop, where no task runs."""
    asyncio.get_running_loop().call_soon(function)


@each_kind_of_task
async def test_wake_resumes_the_task_before_it_returns(task_type: type[asyncio.Task[None]]) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)
    happened: list[str] = []

    async def wait() -> None:
        await wakeup
        happened.append("resumed")

    def wake() -> None:
        wakeup.wake()
        happened.append("woken")

    task = task_type(wait(), loop=loop)
    await until(lambda: wakeup.waiting)
    in_callback(wake)
    await task
    assert happened == ["resumed", "woken"]


@each_kind_of_task
async def test_wake_soon_resumes_the_task_a_turn_later(task_type: type[asyncio.Task[None]]) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)
    happened: list[str] = []

    async def wait() -> None:
        await wakeup
        happened.append("resumed")

    task = task_type(wait(), loop=loop)
    await until(lambda: wakeup.waiting)
    wakeup.wake_soon()
    happened.append("woken")
    assert not wakeup.waiting
    await task
    assert happened == ["woken", "resumed"]


@each_way_to_wake
async def test_an_event_that_nobody_waits_for_is_not_kept(wake: Callable[[Wakeup], None]) -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    wake(wakeup)

    async def wait() -> None:
        await wakeup

    async with running(wait()) as task:
        await turns()
        assert not task.done()


@each_way_to_wake
async def test_a_second_event_in_one_turn_finds_nobody(wake: Callable[[Wakeup], None]) -> None:
    wakeup = Wakeup(asyncio.get_running_loop())

    async def wait_then_do_something_else() -> None:
        await wakeup
        await asyncio.Event().wait()

    def wake_twice() -> None:
        wake(wakeup)
        wake(wakeup)

    async with running(wait_then_do_something_else()) as task:
        await until(lambda: wakeup.waiting)
        in_callback(wake_twice)
        await turns()
        assert not task.done()


@each_kind_of_task
async def test_it_serves_one_wait_after_another(task_type: type[asyncio.Task[int]]) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)

    async def wait() -> int:
        for _ in range(100):
            await wakeup
        return 100

    task = task_type(wait(), loop=loop)
    while not task.done():
        in_callback(wakeup.wake)
        await asyncio.sleep(0)
    assert task.result() == 100


@each_kind_of_task
async def test_a_cancel_ends_the_wait_with_its_message_and_the_next_wait_knows_nothing_of_it(
    task_type: type[asyncio.Task[str]],
) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)

    async def wait() -> str:
        try:
            await wakeup
        except asyncio.CancelledError as exc:
            await wakeup
            return str(exc)
        return "not cancelled"

    task = task_type(wait(), loop=loop)
    await until(lambda: wakeup.waiting)
    task.cancel("enough")
    await turns()
    assert wakeup.waiting
    in_callback(wakeup.wake)
    assert await task == "enough"


@each_kind_of_task
async def test_a_wake_in_the_turn_of_a_cancel_finds_nobody(task_type: type[asyncio.Task[None]]) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)

    async def wait() -> None:
        await wakeup

    task = task_type(wait(), loop=loop)
    await until(lambda: wakeup.waiting)

    def cancel_then_wake() -> None:
        task.cancel()
        assert not wakeup.waiting
        wakeup.wake()
        assert not task.done()

    in_callback(cancel_then_wake)
    await asyncio.wait([task])
    assert task.cancelled()


@each_kind_of_task
async def test_a_cancel_between_wake_soon_and_its_turn_cancels_the_task(task_type: type[asyncio.Task[None]]) -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)

    async def wait() -> None:
        await wakeup

    task = task_type(wait(), loop=loop)
    await until(lambda: wakeup.waiting)
    wakeup.wake_soon()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_cancel_while_nobody_waits_is_refused_and_not_kept() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    assert not wakeup.cancel()

    async def wait() -> str:
        await wakeup
        return "resumed"

    async with running(wait()) as task:
        await until(lambda: wakeup.waiting)
        in_callback(wakeup.wake)
        assert await task == "resumed"


@each_way_to_wake
async def test_the_task_runs_in_its_own_context_and_is_the_current_one(wake: Callable[[Wakeup], None]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    wakeup = Wakeup(asyncio.get_running_loop())

    async def wait() -> tuple[str, asyncio.Task[Any] | None]:
        variable.set("the task's")
        await wakeup
        return variable.get(), asyncio.current_task()

    async with running(wait()) as task:
        await until(lambda: wakeup.waiting)
        in_callback(lambda: wake(wakeup))
        assert await task == ("the task's", task)
    assert variable.get() == "nobody's"


async def test_timeouts_and_task_groups_end_the_wait() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())

    async def wait() -> None:
        await wakeup

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await wakeup
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.001)
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())
    assert raised.group_contains(ZeroDivisionError)
    assert not wakeup.waiting


async def test_it_works_in_debug_mode() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    wakeup = Wakeup(loop)

    async def wait() -> str:
        await wakeup
        return "resumed"

    async with running(wait()) as task:
        await until(lambda: wakeup.waiting)
        in_callback(wakeup.wake)
        assert await task == "resumed"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
async def test_an_eager_task_waits_and_is_resumed_and_cancelled() -> None:
    loop = asyncio.get_running_loop()
    wakeup = Wakeup(loop)
    task_type: Any = asyncio.Task  # the type checkers read it as 3.11
    eager_task = partial(task_type, loop=loop, eager_start=True)

    async def wait() -> str:
        await wakeup
        return "resumed"

    task = eager_task(wait())
    assert wakeup.waiting  # it has begun at once
    in_callback(wakeup.wake)
    assert await task == "resumed"
    task = eager_task(wait())
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_task_of_another_loop_is_refused() -> None:
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(RuntimeError, match="different loop"):
            await Wakeup(other)
    finally:
        other.close()


class _Referable(Wakeup):
    __slots__ = ("__weakref__",)


async def test_after_a_wait_it_needs_no_garbage_collector() -> None:
    loop = asyncio.get_running_loop()

    async def wait_twice(wakeup: Wakeup) -> None:
        await wakeup
        try:
            await wakeup
        except asyncio.CancelledError:
            return

    async def resume_and_cancel() -> weakref.ref[Wakeup]:
        wakeup = _Referable(loop)
        task = asyncio.create_task(wait_twice(wakeup))
        await until(lambda: wakeup.waiting)
        in_callback(wakeup.wake)
        await turns()
        task.cancel()
        await task
        return weakref.ref(wakeup)

    gc.disable()
    try:
        alive = await resume_and_cancel()
        await turns()
        assert alive() is None
    finally:
        gc.enable()


# --- the queue --------------------------------------------------------------------------------------------------------


class Waiters:
    """Tasks that wait in a queue one after another, and what became of them."""

    def __init__(self, queue: WaitQueue, count: int) -> None:
        self.resumed: list[int] = []
        self.queue = queue
        self.tasks = [asyncio.create_task(self._wait(number)) for number in range(count)]

    async def _wait(self, number: int) -> None:
        await self.queue.wait()
        self.resumed.append(number)

    async def all_wait(self) -> None:
        await until(lambda: len(self.queue) == len(self.tasks))

    async def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def from_callback(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a callback of the loop."""
    returned: list[Any] = []
    in_callback(lambda: returned.append(function()))
    await until(lambda: returned)
    return returned[0]


async def test_the_first_that_came_is_resumed_first() -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    waiters = Waiters(queue, 3)
    await waiters.all_wait()
    for count in (1, 2, 3):
        assert await from_callback(queue.wake_first)
        assert waiters.resumed == list(range(count))
    assert not await from_callback(queue.wake_first)
    assert len(queue) == 0


async def test_one_that_was_cancelled_in_this_turn_is_passed_over() -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    waiters = Waiters(queue, 2)
    await waiters.all_wait()

    def cancel_the_first_then_wake() -> bool:
        waiters.tasks[0].cancel()
        return queue.wake_first()

    assert await from_callback(cancel_the_first_then_wake)
    assert waiters.resumed == [1]
    await asyncio.wait(waiters.tasks)
    assert [task.cancelled() for task in waiters.tasks] == [True, False]


async def test_whoever_is_cancelled_leaves_the_queue() -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    waiters = Waiters(queue, 3)
    await waiters.all_wait()
    waiters.tasks[1].cancel()
    await until(waiters.tasks[1].done)
    assert len(queue) == 2
    await from_callback(queue.wake_all)
    assert waiters.resumed == [0, 2]


@pytest.mark.parametrize("wake_all", [WaitQueue.wake_all, WaitQueue.wake_all_soon])
async def test_waking_all_leaves_those_who_come_meanwhile(wake_all: Callable[[WaitQueue], None]) -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    times = 0

    async def wait_again_and_again() -> None:
        nonlocal times
        while True:
            await queue.wait()
            times += 1

    async with running(wait_again_and_again()):
        await until(lambda: len(queue))
        for count in (1, 2):
            in_callback(lambda: wake_all(queue))
            await turns()
            assert times == count


async def test_wake_all_soon_resumes_nobody_at_once() -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    waiters = Waiters(queue, 3)
    await waiters.all_wait()
    queue.wake_all_soon()
    assert waiters.resumed == []
    await asyncio.wait(waiters.tasks)
    assert waiters.resumed == [0, 1, 2]


async def test_wake_all_goes_on_where_one_cancels_the_next() -> None:
    queue = WaitQueue(asyncio.get_running_loop())
    tasks: list[asyncio.Task[str]] = []

    async def first() -> str:
        await queue.wait()
        tasks[1].cancel()
        return "resumed"

    async def wait() -> str:
        await queue.wait()
        return "resumed"

    coroutines: list[Coroutine[Any, Any, str]] = [first(), wait(), wait()]
    tasks += [asyncio.create_task(coroutine) for coroutine in coroutines]
    await until(lambda: len(queue) == 3)
    in_callback(queue.wake_all)
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_what_is_done_can_be_awaited_run_and_cancelled_as_often_as_one_likes() -> None:
    for _ in range(2):
        await DONE
        await asyncio.create_task(DONE)
        await asyncio.wait_for(DONE, 1)
        await asyncio.gather(DONE, DONE)
        DONE.close()
        task = asyncio.create_task(DONE)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert asyncio.iscoroutine(DONE)
