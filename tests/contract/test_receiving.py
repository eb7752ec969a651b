"""recv and recv_into: what has arrived, at least one byte; the end, again and again."""

from __future__ import annotations

import asyncio
import tracemalloc
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import SocketOptions, Stream, StreamResetError
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory


async def arrived(stream: Stream, count: int) -> None:
    """Wait until ``count`` bytes have arrived that nobody has taken."""
    await until(lambda: stream.statistics().receive_buffer >= count)


async def test_recv_waits_for_the_first_byte(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv()) as receiving:
        await turns()
        assert not receiving.done()
        await theirs.send(b"a")
        assert await receiving == b"a"


async def test_recv_gives_what_has_arrived_and_waits_for_no_more(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"hello")
        await arrived(ours, 5)
        assert await ours.recv(100) == b"hello"


async def test_recv_gives_at_most_max_bytes_and_keeps_the_rest(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"hello")
        await arrived(ours, 5)
        assert [await ours.recv(2) for _ in range(3)] == [b"he", b"ll", b"o"]


async def test_recv_cuts_what_arrives_while_it_waits(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv(2)) as receiving:
        await turns()
        await theirs.send(b"hello")
        assert await receiving == b"he"
        assert await ours.recv_exactly(3) == b"llo"


async def test_recv_gives_at_most_256_kib_unless_told_otherwise(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(theirs.send(bytes(3 << 20))):
        sizes = [len(await ours.recv())]
        while sum(sizes) < 3 << 20:
            await turns(3)
            sizes.append(len(await ours.recv()))
        assert max(sizes) <= 256 * 1024


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_recv_of_less_than_a_byte_is_a_mistake_and_takes_nothing(pairs: PairFactory, max_bytes: int) -> None:
    async with pairs() as (ours, theirs):
        with pytest.raises(ValueError, match=f"max_bytes={max_bytes}"):
            await ours.recv(max_bytes)
        await theirs.send(b"all of it")
        await arrived(ours, 9)
        with pytest.raises(ValueError, match=f"max_bytes={max_bytes}"):
            await ours.recv(max_bytes)
        assert await ours.recv() == b"all of it"


async def test_what_was_sent_before_the_end_comes_before_the_end(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"last words")
        await theirs.send_eof()
        assert await ours.recv_exactly(10) == b"last words"
        assert await ours.recv() == b""


async def test_the_end_comes_again_and_again(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send_eof()
        for _ in range(3):
            assert await ours.recv() == b""
            assert await ours.recv_into(bytearray(1)) == 0
            assert await ours.recv_line() == b""
            assert [data async for data in ours] == []


async def test_the_end_resumes_whoever_waits(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        async with running(ours.recv()) as receiving:
            await turns()
            await theirs.send_eof()
            assert await receiving == b""
        async with running(theirs.recv_into(bytearray(1))) as receiving_into:
            await turns()
            await ours.send_eof()
            assert await receiving_into == 0


async def test_async_for_gives_everything_and_ends_with_the_stream(pairs: PairFactory) -> None:
    data = bytes(range(256)) * 4096
    async with pairs() as (ours, theirs):

        async def send() -> None:
            await theirs.send(data)
            await theirs.send_eof()

        async with running(send()):
            assert b"".join([chunk async for chunk in ours]) == data


async def test_async_for_never_gives_an_empty_chunk(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        for _ in range(3):
            await theirs.send(b"")
        await theirs.send(b"x")
        await theirs.send_eof()
        assert [data async for data in ours] == [b"x"]


async def test_a_reset_by_the_peer_raises_each_time(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs):
        theirs.abort()
        for _ in range(2):
            with pytest.raises(StreamResetError):
                await ours.recv()
            with pytest.raises(StreamResetError):
                await ours.recv_into(bytearray(1))
            with pytest.raises(ConnectionResetError):
                await ours.recv_exactly(1)
            with pytest.raises(ConnectionResetError):
                await ours.recv_until(b"\n")
            with pytest.raises(ConnectionResetError):
                await ours.recv_line()
            with pytest.raises(StreamResetError):
                await anext(ours)


async def test_a_reset_resumes_whoever_waits(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs), running(ours.recv()) as receiving:
        await turns()
        theirs.abort()
        with pytest.raises(StreamResetError):
            await receiving


async def test_what_arrived_before_the_peer_was_lost_is_received_first(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"last words")
        theirs.abort()
        assert await ours.recv_exactly(10) == b"last words"
        if pairs.resets:
            with pytest.raises(StreamResetError):
                await ours.recv()
        else:
            assert await ours.recv() == b""


async def test_what_arrived_before_the_peer_was_lost_is_received_although_a_send_failed(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"last words")
        theirs.abort()
        with pytest.raises(ConnectionError):
            await ours.send(b"x")
        assert await ours.recv_exactly(10) == b"last words"
        with pytest.raises(ConnectionError):
            await ours.recv()


async def test_recv_into_fills_the_callers_buffer_and_says_how_far(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        buffer = bytearray(b"........")
        async with running(ours.recv_into(buffer)) as receiving:  # waits, then reads straight into it
            await turns()
            await theirs.send(b"abc")
            assert await receiving == 3
        assert buffer == b"abc....."
        await theirs.send(b"defgh")
        await arrived(ours, 5)
        assert await ours.recv_into(memoryview(buffer)[3:6]) == 3  # from what has arrived
        assert buffer == b"abcdef.."
        assert await ours.recv() == b"gh"


async def test_recv_into_leaves_what_does_not_fit(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        buffer = bytearray(2)
        async with running(ours.recv_into(buffer)) as receiving:
            await turns()
            await theirs.send(b"abcdef")
            assert await receiving == 2
        assert buffer == b"ab"
        assert await ours.recv_into(buffer) == 2
        assert buffer == b"cd"
        assert await ours.recv_exactly(2) == b"ef"


async def test_recv_into_takes_any_writable_buffer_and_counts_bytes(pairs: PairFactory) -> None:
    numbers = array("I", [1, 2, 3])
    async with pairs() as (ours, theirs):
        received = array("I", [0, 0, 0])
        async with running(ours.recv_into(memoryview(received))) as receiving:
            await turns()
            await theirs.send(numbers)  # type: ignore[arg-type] # PEP 688's Buffer comes with 3.12
            assert await receiving == 3 * numbers.itemsize
        assert received == numbers


async def test_recv_into_an_empty_buffer_is_a_mistake(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        with pytest.raises(ValueError, match="empty"):
            await ours.recv_into(bytearray())


async def test_recv_into_a_read_only_buffer_is_a_mistake_that_loses_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        with pytest.raises(TypeError):
            await ours.recv_into(memoryview(bytes(5)))
        await theirs.send(b"hello")
        await arrived(ours, 5)
        with pytest.raises(TypeError):
            await ours.recv_into(memoryview(bytes(5)))
        assert await ours.recv() == b"hello"


async def test_recv_into_makes_no_copy_on_the_way(pairs: PairFactory) -> None:
    if pairs.in_memory:
        pytest.skip("OpenSSL works on buffers in memory")
    size = 100 * 1024
    options = SocketOptions(send_buffer=4 * size, receive_buffer=4 * size)  # all of it fits into the kernel
    async with pairs(options=options) as (ours, theirs):
        buffer = bytearray(size)
        async with running(ours.recv_into(buffer)) as receiving:
            await turns()
            data = bytes(size)
            tracemalloc.start()
            try:
                await theirs.send(data)
                count = await receiving
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert count > size // 2
        assert peak < count // 2, "something held a copy of what was received"


@settings(max_examples=25)
@given(
    data=st.binary(max_size=2000),
    cuts=st.lists(st.integers(1, 500), min_size=1),
    sizes=st.lists(st.integers(1, 500), min_size=1),
)
async def test_whatever_the_chunks_and_the_sizes_asked_for_the_bytes_are_the_same(
    pairs: PairFactory, data: bytes, cuts: list[int], sizes: list[int]
) -> None:
    async with pairs() as (ours, theirs):

        async def send() -> None:
            start = turn = 0
            while start < len(data):
                end = start + cuts[turn % len(cuts)]
                await theirs.send(data[start:end])
                await asyncio.sleep(0)
                start, turn = end, turn + 1
            await theirs.send_eof()

        received = bytearray()
        async with running(send()):
            for turn in range(len(data) + 1):
                size = sizes[turn % len(sizes)]
                if turn % 2:
                    chunk = await ours.recv(size)
                else:
                    buffer = bytearray(size)
                    chunk = bytes(buffer[: await ours.recv_into(buffer)])
                assert len(chunk) <= size
                if not chunk:
                    break
                received += chunk
        assert received == data
