"""A cancelled receiving operation loses nothing, whenever the cancel comes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from aionet import Stream
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory

Receive: TypeAlias = Callable[[Stream], Coroutine[Any, Any, bytes]]


async def recv_into(stream: Stream) -> bytes:
    """Receive into a buffer, and return what is in it."""
    buffer = bytearray(100)
    return bytes(buffer[: await stream.recv_into(buffer)])


async def next_chunk(stream: Stream) -> bytes:
    """Receive as ``async for`` does."""
    return await anext(stream)


# Each of them is satisfied by b"hello\n".
RECEIVES: dict[str, Receive] = {
    "recv": lambda stream: stream.recv(),
    "recv_into": recv_into,
    "recv_exactly": lambda stream: stream.recv_exactly(6),
    "recv_until": lambda stream: stream.recv_until(b"o\n"),
    "recv_line": lambda stream: stream.recv_line(),
    "async for": next_chunk,
}

each_receive = pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)


async def outcome(receiving: asyncio.Task[bytes]) -> bytes:
    """Wait for the end of a task that may have been cancelled; return what it received."""
    await asyncio.wait([receiving])
    return b"" if receiving.cancelled() else receiving.result()


@each_receive
async def test_a_cancel_before_arrival_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        async with running(receive(ours)) as receiving:
            await turns()
        assert receiving.cancelled()
        await theirs.send(b"hello\n")
        assert await receive(ours) == b"hello\n"


@each_receive
async def test_a_cancel_right_before_arrival_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs), running(receive(ours)) as receiving:
        await turns()
        await theirs.send(b"hello\n")
        receiving.cancel()  # the task is on its way already when the loop sees that the stream is readable
        assert await outcome(receiving) == b""
        assert await receive(ours) == b"hello\n"


@each_receive
async def test_a_cancel_in_the_turn_of_the_arrival_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs), running(receive(ours)) as receiving:
        await turns()
        await theirs.send(b"hello\n")
        asyncio.get_running_loop().call_soon(receiving.cancel)  # just before what arrived, in the same turn
        received = await outcome(receiving)
        if received == b"":
            assert await receive(ours) == b"hello\n"
        else:
            assert received == b"hello\n"


@each_receive
async def test_a_cancel_in_any_turn_around_the_arrival_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    loop = asyncio.get_running_loop()
    async with pairs() as (ours, theirs):
        for before in range(4):
            for after in range(4):
                async with running(receive(ours)) as receiving:
                    await turns(before)
                    await theirs.send(b"hello\n")
                    await turns(after)
                    timer = loop.call_at(loop.time(), receiving.cancel)  # timers run at another point of the turn
                    received = await outcome(receiving)
                    timer.cancel()
                if received == b"":
                    received = await receive(ours)
                assert received == b"hello\n", f"cancelled {before} turns after the call, {after} after the send"


@each_receive
async def test_a_cancel_after_the_data_was_received_changes_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs), running(receive(ours)) as receiving:
        await turns()
        await theirs.send(b"hello\n")
        await until(receiving.done)
        assert not receiving.cancel()
        assert receiving.result() == b"hello\n"


@each_receive
async def test_a_cancel_of_the_next_receive_loses_nothing(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        received: list[bytes] = []

        async def receive_twice() -> None:
            received.append(await receive(ours))
            received.append(await receive(ours))

        async with running(receive_twice()) as receiving:
            await turns()
            await theirs.send(b"hello\n")
            await until(lambda: received)
            await theirs.send(b"HELLo\n")
            receiving.cancel()
            await asyncio.wait([receiving])
        if len(received) == 1:
            received.append(await receive(ours))
        assert received == [b"hello\n", b"HELLo\n"]


@each_receive
async def test_the_part_of_a_message_that_came_before_a_cancel_is_kept(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        async with running(ours.recv_exactly(100)) as receiving:
            await theirs.send(b"hel")
            await turns()
        assert receiving.cancelled()
        await theirs.send(b"lo\n")
        received = b""
        while len(received) < 6:
            received += await receive(ours)
        assert received == b"hello\n"


@each_receive
async def test_a_receive_may_be_cancelled_again_and_again(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):
        for _ in range(10):
            async with running(receive(ours)) as receiving:
                await asyncio.sleep(0)
            assert receiving.cancelled()
        await theirs.send(b"hello\n")
        assert await receive(ours) == b"hello\n"


@each_receive
async def test_a_cancel_that_the_task_ignores_is_forgotten(pairs: PairFactory, receive: Receive) -> None:
    async with pairs() as (ours, theirs):

        async def stubborn() -> bytes:
            try:
                return await receive(ours)
            except asyncio.CancelledError:
                return await receive(ours)

        async with running(stubborn()) as receiving:
            await turns()
            receiving.cancel()
            await turns()
            await theirs.send(b"hello\n")
            assert await receiving == b"hello\n"


async def test_a_cancelled_recv_into_writes_no_more_into_the_buffer(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        buffer = bytearray(6)
        async with running(ours.recv_into(buffer)) as receiving:
            await turns()
            await theirs.send(b"hello\n")
            receiving.cancel()
            await asyncio.wait([receiving])
            await turns()
        assert receiving.cancelled()
        assert buffer == bytes(6)
        assert await ours.recv() == b"hello\n"


async def test_a_cancelled_recv_into_lets_go_of_the_buffer(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        buffer = bytearray(6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ours.recv_into(buffer), 0.001)
        await turns()  # the traceback of a cancel holds what was on the stack, until the task has been resumed again
        gc.collect()
        buffer.clear()  # a buffer that somebody holds cannot be resized


async def test_a_cancel_says_why(pairs: PairFactory) -> None:
    async with pairs() as (ours, _), running(ours.recv()) as receiving:
        await turns()
        receiving.cancel("no longer needed")
        with pytest.raises(asyncio.CancelledError, match="no longer needed"):
            await receiving
