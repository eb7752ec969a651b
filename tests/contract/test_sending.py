"""send and send_many: all of the data, in order, taken before the first wait."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import Limits, Stream
from tests.contract.filling import MUCH, SMALL_BUFFERS, receive_all, receive_all_slowly
from tests.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.contract.pairs import PairFactory


async def send_many(stream: Stream, data: bytes) -> None:
    """Send the data in four buffers."""
    quarter = len(data) // 4 + 1
    await stream.send_many([data[start : start + quarter] for start in range(0, len(data), quarter)])


each_send = pytest.mark.parametrize("send", [Stream.send, send_many], ids=["send", "send_many"])


@each_send
async def test_what_is_sent_arrives_whole(
    pairs: PairFactory, send: Callable[[Stream, bytes], Coroutine[Any, Any, None]]
) -> None:
    async with pairs() as (ours, theirs), running(receive_all(theirs)) as receiving:
        await send(ours, MUCH)
        await ours.send_eof()
        assert await receiving == MUCH


@each_send
async def test_a_send_that_the_peer_does_not_read_waits(
    pairs: PairFactory, send: Callable[[Stream, bytes], Coroutine[Any, Any, None]]
) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(send(ours, MUCH)) as sending:
        await turns(100)
        assert not sending.done()
        assert await theirs.recv_exactly(len(MUCH)) == MUCH
        await sending


@each_send
async def test_cancelling_a_blocked_send_cuts_nothing(
    pairs: PairFactory, send: Callable[[Stream, bytes], Coroutine[Any, Any, None]]
) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        async with running(send(ours, MUCH)) as sending:
            await turns()
        assert sending.cancelled()
        async with running(receive_all_slowly(theirs)) as receiving:
            await send(ours, b"after")
            await ours.send_eof()
            assert await receiving == MUCH + b"after"


async def test_a_send_that_is_cancelled_before_it_runs_sends_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        async with running(ours.send(b"never")):
            pass
        await ours.send(b"x")
        await ours.send_eof()
        assert await receive_all(theirs) == b"x"


async def test_cancelling_one_blocked_send_leaves_the_others_waiting(pairs: PairFactory) -> None:
    async with (
        pairs(options=SMALL_BUFFERS) as (ours, theirs),
        running(ours.send(MUCH)) as first,
        running(ours.send(b"second")) as second,
    ):
        async with running(ours.send(b"third")) as third:
            await turns()
        assert (first.done(), second.done(), third.cancelled()) == (False, False, True)
        assert await theirs.recv_exactly(len(MUCH) + 11) == MUCH + b"secondthird"
        await asyncio.gather(first, second)


async def test_concurrent_sends_are_served_in_order(pairs: PairFactory) -> None:
    messages = [bytes([number]) * (number * 997 % 40_000 + 1) for number in range(200)]
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        finished: list[int] = []

        async def send(number: int) -> None:
            if number % 2:
                await ours.send(messages[number])
            else:
                await ours.send_many([messages[number][:500], messages[number][500:]])
            finished.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(len(messages)):
                group.create_task(send(number))
            expected = b"".join(messages)
            assert await theirs.recv_exactly(len(expected)) == expected
        assert finished == sorted(finished)


async def test_sends_of_one_turn_leave_in_order(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        sizes = [1, 20_000, 3, 0, 70_000, 16_384, 16_385, 5]
        messages = [bytes([number]) * size for number, size in enumerate(sizes)]
        async with running(receive_all(theirs)) as receiving:
            for message in messages:
                await ours.send(message)
                await ours.send_many([message, b"", message])
            await ours.send_eof()
            assert await receiving == b"".join(message * 3 for message in messages)


@settings(max_examples=25)
@given(
    messages=st.lists(st.tuples(st.binary(max_size=3), st.integers(0, 20_000), st.booleans()), max_size=20),
    reads=st.lists(st.integers(1, 50_000), min_size=1, max_size=5),
)
async def test_whatever_is_sent_arrives_in_order(
    pairs: PairFactory, messages: list[tuple[bytes, int, bool]], reads: list[int]
) -> None:
    buffers = [text * times for text, times, _ in messages]

    async def receive(stream: Stream) -> bytes:
        received = b""
        while data := await stream.recv(reads[len(received) % len(reads)]):
            received += data
        return received

    async with pairs(limits=Limits(high_water=1000)) as (ours, theirs), running(receive(theirs)) as receiving:
        for buffer, (_, _, split) in zip(buffers, messages, strict=True):
            if split:
                await ours.send_many([buffer[:100], bytearray(buffer[100:])])
            else:
                await ours.send(buffer)
        await ours.send_eof()
        assert await receiving == b"".join(buffers)


@pytest.mark.parametrize("high_water", [0, 1 << 30], ids=["handed over", "queued"])
@pytest.mark.parametrize("in_one_turn", [False, True], ids=["first of its turn", "second of its turn"])
@pytest.mark.parametrize("size", [10, 1 << 20])
async def test_a_mutable_buffer_is_the_callers_again_after_send(
    pairs: PairFactory, high_water: int, size: int, in_one_turn: object
) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=high_water)) as (ours, theirs):
        before = b"before" if in_one_turn else b""

        async def send_and_reuse() -> None:
            buffer = bytearray(b"a" * size)
            await ours.send(before)
            await ours.send(buffer)
            buffer[:] = b"!" * size
            buffer[:] = b"b" * size
            await ours.send(memoryview(buffer))
            buffer[:] = b"c" * size
            await ours.send_many([buffer, memoryview(buffer)[1:]])
            buffer.clear()  # a buffer that somebody still holds cannot be resized
            await ours.send_eof()

        async with running(send_and_reuse()) as sending:
            expected = before + b"a" * size + b"b" * size + b"c" * (2 * size - 1)
            assert await receive_all_slowly(theirs) == expected
            await sending


async def test_a_cancelled_send_has_let_go_of_a_mutable_buffer(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        buffer = bytearray(MUCH)
        async with running(ours.send(buffer)) as sending:
            await turns()
        assert sending.cancelled()
        buffer[:] = bytes(len(buffer))
        assert await theirs.recv_exactly(len(MUCH)) == MUCH


@pytest.mark.parametrize(
    "buffer",
    [
        array("I", range(1000)),
        memoryview(array("d", [1.5, 2.5])),
        memoryview(array("H", range(60_000)) * 10),
        memoryview(bytes(range(256))).cast("B", (16, 16)),
        memoryview(bytearray(range(256)))[3:7],
        bytearray(),
        memoryview(b""),
    ],
    ids=["array", "doubles", "many shorts", "two dimensions", "slice", "empty", "empty view"],
)
@pytest.mark.parametrize("copies", [1, 2])
async def test_buffers_of_any_format_are_sent_as_their_bytes(pairs: PairFactory, buffer: Any, copies: int) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        expected = bytes(memoryview(buffer))

        async def send() -> None:
            for _ in range(copies):
                await ours.send(buffer)
            await ours.send_many([buffer] * copies)
            await ours.send_eof()

        async with running(send()):
            assert await receive_all(theirs) == expected * 2 * copies


@pytest.mark.parametrize(
    "wrong", ["text", None, 5, [b"x"], memoryview(b"abcdef")[::2]], ids=lambda wrong: type(wrong).__name__
)
async def test_what_is_no_contiguous_buffer_is_a_mistake_that_sends_nothing(pairs: PairFactory, wrong: Any) -> None:
    async with pairs() as (ours, theirs):
        for _ in range(2):  # the first and a later send of a turn take different ways
            with pytest.raises((TypeError, BufferError)):
                await ours.send(wrong)
            await ours.send(b"x")
        await ours.send_eof()
        assert await receive_all(theirs) == b"xx"


async def test_a_wrong_item_among_many_sends_none_of_them(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        items: list[Any] = [b"a", "text", b"b"]
        with pytest.raises(TypeError):
            await ours.send_many(items)
        with pytest.raises(TypeError):
            await ours.send_many(5)  # type: ignore[arg-type]
        await ours.send(b"x")
        await ours.send_eof()
        assert await receive_all(theirs) == b"x"


async def test_nothing_is_sent_as_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await ours.send(b"")
        await ours.send_many([])
        await ours.send_many([b"", b""])
        await ours.send_many([b"x", b""])
        await ours.send(b"")
        await ours.send_eof()
        assert await receive_all(theirs) == b"x"


async def test_send_many_takes_an_iterator_and_more_buffers_than_one_system_call(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(receive_all(theirs)) as receiving:
        await ours.send_many(str(number).encode() for number in range(5000))
        await ours.send_eof()
        assert await receiving == "".join(map(str, range(5000))).encode()


async def test_an_iterator_that_fails_sends_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        with pytest.raises(ZeroDivisionError):
            await ours.send_many(bytes(1 // number) for number in (1, 1, 0))
        await ours.send_eof()
        assert await receive_all(theirs) == b""


async def test_both_ends_may_send_much_at_the_same_time(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):

        async def exchange(stream: Stream) -> bytes:
            async with running(receive_all(stream)) as receiving:
                await stream.send(MUCH)
                await stream.send_eof()
                return await receiving

        received, received_by_them = await asyncio.gather(exchange(ours), exchange(theirs))
        assert received == received_by_them == MUCH
