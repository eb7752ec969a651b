"""A task is resumed from inside the readiness callback, and asyncio notices nothing.

What asyncio promises holds: timeouts, task groups, the current task, context variables, what happens in one turn.
"""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.filling import MUCH, SMALL_BUFFERS, SOON, echo
from tests.contract.test_cancelling import RECEIVES, Receive
from tests.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aionet import Stream
    from tests.contract.pairs import PairFactory

REPOSITORY = Path(__file__).parents[2]
each_receive = pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)


# --- timeouts ---------------------------------------------------------------------------------------------------------


@each_receive
async def test_asyncio_timeout_ends_a_receive_and_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await receive(ours)
        async with asyncio.timeout(10) as timeout:
            async with running(receive(ours)) as receiving:
                await turns()
                await theirs.send(b"hello\n")
                assert await receiving == b"hello\n"
        assert not timeout.expired()


@each_receive
async def test_wait_for_ends_a_receive_and_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        for seconds in (0.001, 0, -1):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(ours), seconds)
        async with running(asyncio.wait_for(receive(ours), 10)) as receiving:
            await turns()
            await theirs.send(b"hello\n")
            assert await receiving == b"hello\n"


async def test_asyncio_timeout_ends_a_blocked_send_and_cuts_nothing(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ours.send(MUCH)
        assert await theirs.recv_exactly(len(MUCH)) == MUCH


async def test_a_timeout_that_is_moved_while_the_receive_waits_holds(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:
                asyncio.get_running_loop().call_soon(timeout.reschedule, asyncio.get_running_loop().time())
                await ours.recv()


# --- task groups ------------------------------------------------------------------------------------------------------


async def test_a_task_group_cancels_what_waits_and_the_streams_stay_whole(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):

        async def fail() -> None:
            await turns()
            raise ZeroDivisionError

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(ours.recv())
                group.create_task(ours.send(MUCH))
                group.create_task(theirs.recv_exactly(1 << 30))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        async with running(ours.send(b"after")):
            assert await theirs.recv_exactly(len(MUCH) + 5) == MUCH + b"after"
        await theirs.send(b"x")
        assert await ours.recv() == b"x"


async def test_a_task_that_was_resumed_may_fail_its_group(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):

        async def receive_and_fail() -> None:
            raise ValueError(await theirs.recv())

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(receive_and_fail())
                group.create_task(ours.recv())
                await turns()
                await ours.send(b"x")
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError(b'x')"]


# --- the current task and its context ---------------------------------------------------------------------------------


async def test_the_current_task_is_the_one_that_was_resumed(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        seen: list[asyncio.Task[Any] | None] = []

        async def receive(stream: Stream) -> None:
            async for data in stream:
                seen.append(asyncio.current_task())
                await stream.send(data)
                seen.append(asyncio.current_task())

        async with running(receive(theirs)) as receiving:
            for _ in range(3):
                await turns()
                await ours.send(b"x")
                await ours.recv()
            assert seen == [receiving] * 6
        assert asyncio.current_task() is not receiving


async def test_no_task_is_current_in_a_callback_after_a_task_was_resumed(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()
    async with pairs() as (ours, theirs):
        current: list[object] = []
        async with running(theirs.recv()) as receiving:
            await turns()
            await ours.send(b"x")
            receiving.add_done_callback(lambda _: current.append(asyncio.current_task(loop)))
            await receiving
            await turns()
        assert current == [None]


number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


@each_receive
async def test_each_task_keeps_its_context_variables(pairs: PairFactory, receive: Receive) -> None:
    async def count(stream: Stream, first: int) -> list[int]:
        number.set(first)
        seen = []
        for _ in range(2):
            data = await receive(stream)
            seen.append(number.get())
            number.set(number.get() + 1)
            await stream.send(data)
            seen.append(number.get())
        return seen

    number.set(-1)
    async with (
        pairs() as (one, theirs),
        pairs() as (other, also_theirs),
        running(count(theirs, 10)) as first,
        running(count(also_theirs, 20)) as second,
    ):
        for _ in range(2):
            await turns()
            await one.send(b"hello\n")
            await other.send(b"hello\n")
            assert await one.recv() == await other.recv() == b"hello\n"
            assert number.get() == -1
        assert await first == [10, 11, 11, 12]
        assert await second == [20, 21, 21, 22]
    assert number.get() == -1


@each_receive
async def test_a_context_given_to_a_task_is_the_one_it_is_resumed_in(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        context = contextvars.copy_context()

        async def receive_and_count() -> None:
            await receive(ours)
            number.set(5)

        receiving = asyncio.create_task(receive_and_count(), context=context)
        await turns()
        await theirs.send(b"hello\n")
        await receiving
        assert context[number] == 5
        assert number.get() == 0


# --- in the same turn -------------------------------------------------------------------------------------------------


async def test_a_wake_and_a_cancel_in_the_same_turn_resume_the_task_once(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        resumed = 0

        async def receive() -> bytes:
            nonlocal resumed
            try:
                return await ours.recv()
            finally:
                resumed += 1

        for cancel_first in (True, False) * 5:
            async with running(receive()) as receiving:
                await turns()
                if cancel_first:
                    receiving.cancel()
                await theirs.send(b"x")
                if not cancel_first:
                    asyncio.get_running_loop().call_soon(receiving.cancel)
                await asyncio.wait([receiving])
            if receiving.cancelled():
                assert await ours.recv() == b"x"
        assert resumed == 10


async def test_one_task_may_cancel_another_that_is_resumed_in_the_same_turn(pairs: PairFactory) -> None:
    async with pairs() as (one, theirs), pairs() as (other, also_theirs):
        tasks: list[asyncio.Task[bytes]] = []

        async def receive(stream: Stream, rival: int) -> bytes:
            data = await stream.recv()
            tasks[rival].cancel()
            return data

        tasks += [asyncio.create_task(receive(theirs, 1)), asyncio.create_task(receive(also_theirs, 0))]
        await turns()
        await one.send(b"x")
        await other.send(b"x")
        await asyncio.wait(tasks)
        received = [b"" if task.cancelled() else task.result() for task in tasks]
        for stream, data in zip((theirs, also_theirs), received, strict=True):
            assert data == b"x" or await stream.recv() == b"x"


async def test_a_task_may_be_cancelled_by_itself_while_it_is_resumed(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):

        async def receive_and_stop() -> None:
            await ours.recv(1)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await ours.recv_exactly(100)

        async with running(receive_and_stop()) as receiving:
            await turns()
            await theirs.send(b"xyz")
            await asyncio.wait([receiving])
            assert receiving.cancelled()
        assert await ours.recv_exactly(2) == b"yz"


async def abort(stream: Stream) -> None:
    """Abort, as the others are called."""
    stream.abort()


CLOSES: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "abort": abort,
    "aclose": lambda stream: stream.aclose(),
    "send_eof": lambda stream: stream.send_eof(),
    "fail": lambda stream: stream.recv(-1),
}


@each_receive
@pytest.mark.parametrize("close", CLOSES.values(), ids=CLOSES)
async def test_a_handler_may_close_its_own_stream_while_it_is_resumed(
    pairs: PairFactory, receive: Receive, close: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):

        async def handle() -> bytes:
            data = await receive(theirs)
            try:
                await close(theirs)
            except ValueError:
                theirs.abort()
            return data

        async with running(handle()) as handling:
            await turns()
            await ours.send(b"hello\nand more that nobody reads")
            assert await handling in {b"hello\n", b"hello\nand more that nobody reads"}


async def test_a_handler_may_close_its_own_stream_while_a_blocked_send_is_resumed(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, timeouts=SOON) as (ours, theirs):

        async def send_and_abort() -> None:
            await ours.send(MUCH)
            ours.abort()

        async with running(send_and_abort()) as sending:
            received = 0
            while not sending.done():
                received += len(await theirs.recv())
            await sending


async def test_a_resumed_task_may_use_every_other_stream(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), pairs() as (one, other), running(echo(other)):

        async def relay() -> None:
            async for data in theirs:
                await one.send(data)
                await theirs.send(await one.recv_exactly(len(data)))

        async with running(relay()):
            for size in (1, 100, 100_000):
                await ours.send(MUCH[:size])
                assert await ours.recv_exactly(size) == MUCH[:size]
