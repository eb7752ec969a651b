"""peek and unread: looking at what comes, and putting it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import BusyError, ClosedStreamError, Limits, StreamResetError, StreamTimeoutError, Timeouts
from tests.contract.test_fairness import BOUND, most_in_a_row
from tests.contract.test_messages import cut, send_chunks, sizes
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory


async def test_what_is_peeked_at_is_received_all_the_same(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.peek(4)) as peeking:
        for byte in (b"a", b"b", b"c"):
            await theirs.send(byte)
            await turns()
            assert not peeking.done()
        await theirs.send(b"de")
        assert await peeking == b"abcd"
        await until(lambda: ours.statistics().receive_buffer == 5)
        assert await ours.peek(2) == b"ab"
        assert await ours.recv() == b"abcde"


async def test_a_peek_at_the_end_gives_what_there_is(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [b"ab"])):
        assert await ours.peek(10) == b"ab"
        assert await ours.recv() == b"ab"
        assert await ours.peek(10) == b""
        assert await ours.recv() == b""


async def test_a_peek_may_want_more_than_the_receive_buffer_holds(pairs: PairFactory) -> None:
    async with pairs(limits=Limits(receive_buffer=100)) as (ours, theirs), running(theirs.send(bytes(20_000))):
        assert await ours.peek(20_000) == bytes(20_000)
        assert await ours.recv_exactly(20_000) == bytes(20_000)


async def test_a_peek_at_nothing_is_a_mistake(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        with pytest.raises(ValueError, match="peek: count=0"):
            await ours.peek(0)


async def test_a_cancelled_peek_loses_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        async with running(ours.peek(10)):
            await theirs.send(b"abc")
            await turns()
        assert await ours.recv() == b"abc"


async def test_a_peek_raises_what_a_receive_would(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs):
        theirs.abort()
        with pytest.raises(StreamResetError, match="peek on"):
            await ours.peek(1)
        ours.abort()
        with pytest.raises(ClosedStreamError):
            await ours.peek(1)


async def test_the_message_timeout_bounds_a_peek(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(message=0.05)) as (ours, theirs):
        await theirs.send(b"a")
        with pytest.raises(StreamTimeoutError, match="peek on"):
            await ours.peek(2)


async def test_peeking_again_and_again_lets_others_run(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"x")
        assert await most_in_a_row(lambda: ours.peek(1)) <= BOUND


@pytest.mark.parametrize("chunk", [b"ab", b"abcdef"])
async def test_what_is_put_back_is_received_again(pairs: PairFactory, chunk: bytes) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(chunk)
        taken = await ours.recv_exactly(2)
        ours.unread(taken)
        assert ours.statistics().receive_buffer == len(chunk)
        assert await ours.recv() == chunk
        ours.unread(memoryview(b"xyz"))
        ours.unread(bytearray(b"w"))
        assert await ours.recv() == b"wxyz"


async def test_only_bytes_are_put_back(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        number: Any = 5
        with pytest.raises(TypeError):
            ours.unread(number)
        ours.unread(memoryview(b"by"))
        ours.unread(bytearray(b"some "))
        await theirs.send_eof()
        assert await ours.recv_exactly(7) == b"some by"


async def test_bytes_may_be_put_back_at_the_end_of_the_stream(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"line")
        await theirs.send_eof()
        assert await ours.recv_line() == b"line"
        assert await ours.recv() == b""
        ours.unread(b"line")
        assert await ours.recv_line() == b"line"
        assert await ours.recv_line() == b""


async def test_nothing_is_put_back_while_somebody_receives_nor_after_closing(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        async with running(ours.recv()):
            await turns()
            with pytest.raises(BusyError, match="unread on"):
                ours.unread(b"x")
        ours.abort()
        with pytest.raises(ClosedStreamError, match="unread on"):
            ours.unread(b"x")


@settings(max_examples=25)
@given(data=st.text("ab\n", max_size=100).map(str.encode), sizes=sizes, looks=st.lists(st.integers(1, 30), min_size=1))
async def test_looking_and_putting_back_change_nothing_for_who_receives(
    pairs: PairFactory, data: bytes, sizes: list[int], looks: list[int]
) -> None:
    received = b""
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        for count in looks:
            seen = await ours.peek(count)
            assert seen == data[len(received) : len(received) + count]
            line = await ours.recv_line()
            ours.unread(line[1:])
            received += line[:1]
        while chunk := await ours.recv():
            received += chunk
    assert received == data
