"""recv_exactly, recv_until, recv_line: whole messages, and what is left stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import FrameTooLargeError, IncompleteReadError, Limits, Stream
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.contract.pairs import PairFactory


async def send_chunks(stream: Stream, chunks: Iterable[bytes]) -> None:
    """Send each chunk in a turn of its own, then the end."""
    for chunk in chunks:
        await stream.send(chunk)
        await asyncio.sleep(0)
    await stream.send_eof()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut into chunks of these sizes, over and over."""
    chunks: list[bytes] = []
    while data:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[:size])
        data = data[size:]
    return chunks


# --- recv_exactly -----------------------------------------------------------------------------------------------------


async def test_recv_exactly_waits_for_the_last_byte(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv_exactly(4)) as receiving:
        for byte in (b"a", b"b", b"c"):
            await theirs.send(byte)
            await turns()
            assert not receiving.done()
        await theirs.send(b"de")
        assert await receiving == b"abcd"
        assert await ours.recv() == b"e"


async def test_recv_exactly_gives_more_than_the_receive_buffer_holds(pairs: PairFactory) -> None:
    data = bytes(range(256)) * 64
    async with pairs(limits=Limits(receive_buffer=100)) as (ours, theirs), running(theirs.send(data)):
        assert await ours.recv_exactly(len(data)) == data


async def test_recv_exactly_of_nothing_takes_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        assert await ours.recv_exactly(0) == b""
        await theirs.send(b"abc")
        assert await ours.recv_exactly(1) == b"a"
        assert await ours.recv_exactly(0) == b""
        assert await ours.recv_exactly(2) == b"bc"
        await theirs.send_eof()
        assert await ours.recv() == b""
        assert await ours.recv_exactly(0) == b""


async def test_recv_exactly_of_less_than_nothing_is_a_mistake(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        with pytest.raises(ValueError, match="count=-1"):
            await ours.recv_exactly(-1)


async def test_an_end_inside_recv_exactly_raises_with_what_came(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [b"ab", b"c"])):
        with pytest.raises(IncompleteReadError) as caught:
            await ours.recv_exactly(4)
        assert (caught.value.partial, caught.value.expected) == (b"abc", 4)
        assert isinstance(caught.value, EOFError)
        assert await ours.recv() == b""
        with pytest.raises(asyncio.IncompleteReadError) as caught_again:
            await ours.recv_exactly(1)
        assert (caught_again.value.partial, caught_again.value.expected) == (b"", 1)


# --- recv_until -------------------------------------------------------------------------------------------------------


async def test_recv_until_gives_the_message_with_its_separator_and_keeps_the_rest(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"one\r\n\r\ntwo\r\n\r\nthree")
        assert await ours.recv_until(b"\r\n\r\n") == b"one\r\n\r\n"
        assert await ours.recv_until(b"\r\n\r\n") == b"two\r\n\r\n"
        assert await ours.recv() == b"three"


async def test_recv_until_finds_a_separator_that_arrives_in_pieces(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv_until(b"<end>")) as receiving:
        for piece in (b"a<", b"e<en", b"d>", b"<", b"e", b"n", b"d"):  # it ends within the third
            await turns()
            assert receiving.done() is (piece in (b"<", b"e", b"n", b"d"))
            await theirs.send(piece)
        assert await receiving == b"a<e<end>"
        await theirs.send(b">")
        assert await ours.recv_until(b"<end>") == b"<end>"


async def test_recv_until_looks_anew_for_another_separator(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"a;b,c")
        async with running(ours.recv_until(b"!")) as receiving:
            await turns()
            assert not receiving.done()
        assert await ours.recv_until(b";") == b"a;"
        assert await ours.recv_until(b",") == b"b,"


async def test_recv_until_an_empty_separator_is_a_mistake(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        with pytest.raises(ValueError, match="separator is empty"):
            await ours.recv_until(b"")


async def test_an_end_before_the_separator_raises_with_what_came(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [b"ab", b"c\r"])):
        with pytest.raises(IncompleteReadError) as caught:
            await ours.recv_until(b"\r\n")
        assert (caught.value.partial, caught.value.expected) == (b"abc\r", None)
        assert await ours.recv() == b""


async def test_partial_is_all_that_came_however_much(pairs: PairFactory) -> None:
    data = bytes(700_000)
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [data])):
        with pytest.raises(IncompleteReadError) as caught:
            await ours.recv_until(b"\n", max_bytes=1 << 20)
        assert len(caught.value.partial) == len(data)
        assert await ours.recv() == b""


# --- recv_line --------------------------------------------------------------------------------------------------------


async def test_recv_line_gives_lines_then_a_last_one_without_ending_then_nothing(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [b"one\ntw", b"o\r\n", b"\nlast"])):
        lines = [await ours.recv_line() for _ in range(6)]
        assert lines == [b"one\n", b"two\r\n", b"\n", b"last", b"", b""]


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 100])
async def test_a_message_of_exactly_the_limit_passes(pairs: PairFactory, chunk: int) -> None:
    data = b"12345678\r\n" * 2
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, [chunk]))):
        assert await ours.recv_until(b"\r\n", max_bytes=10) == b"12345678\r\n"
        assert await ours.recv_line(max_bytes=10) == b"12345678\r\n"


@pytest.mark.parametrize("chunk", [1, 3, 100])
async def test_a_message_of_one_byte_more_than_the_limit_raises_and_is_left_whole(
    pairs: PairFactory, chunk: int
) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(b"ok\r\n123456789\r\nafter", [chunk]))):
        assert await ours.recv_line() == b"ok\r\n"
        for _ in range(2):
            with pytest.raises(FrameTooLargeError) as caught:
                await ours.recv_until(b"\r\n", max_bytes=10)
            assert caught.value.limit == 10
            with pytest.raises(ValueError, match="within 10 bytes"):
                await ours.recv_line(max_bytes=10)
        assert await ours.recv_line(max_bytes=11) == b"123456789\r\n"
        assert await ours.recv_exactly(5) == b"after"


async def test_a_message_without_end_raises_as_soon_as_the_limit_is_reached(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        async with running(ours.recv_line(max_bytes=5)) as receiving:
            await theirs.send(b"1234")
            await turns()
            assert not receiving.done()
            await theirs.send(b"5")
            with pytest.raises(FrameTooLargeError):
                await receiving
        assert await ours.recv() == b"12345"


async def test_the_limit_counts_the_separator_that_has_half_arrived(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv_until(b"\r\n", max_bytes=4)) as receiving:
        await theirs.send(b"abc\r")
        with pytest.raises(FrameTooLargeError):
            await receiving
        await theirs.send(b"\n")
        assert await ours.recv_until(b"\r\n", max_bytes=5) == b"abc\r\n"


async def test_the_limit_is_64_kib_unless_told_otherwise(pairs: PairFactory) -> None:
    line = b"x" * 65535 + b"\n"
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [line, line, b"x" + line])):
        assert await ours.recv_line() == line
        assert await ours.recv_until(b"\n") == line
        with pytest.raises(FrameTooLargeError):
            await ours.recv_line()
        with pytest.raises(FrameTooLargeError):
            await ours.recv_until(b"\n")


@pytest.mark.parametrize("chunk", [50, 10_000])
async def test_a_message_may_be_larger_than_the_receive_buffer(pairs: PairFactory, chunk: int) -> None:
    line = b"x" * 5000 + b"\n"
    async with (
        pairs(limits=Limits(receive_buffer=100)) as (ours, theirs),
        running(send_chunks(theirs, cut(line, [chunk]))),
    ):
        assert await ours.recv_line(max_bytes=6000) == line


async def test_a_line_without_ending_that_is_longer_than_the_limit_raises(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, [b"123456"])):
        with pytest.raises(FrameTooLargeError):
            await ours.recv_line(max_bytes=5)
        assert await ours.recv_line(max_bytes=7) == b"123456"


# --- any chunking -----------------------------------------------------------------------------------------------------

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=10)


@settings(max_examples=25)
@given(lines=st.lists(st.binary(max_size=100).map(lambda line: line.replace(b"\n", b"-")), max_size=20), sizes=sizes)
async def test_any_chunking_gives_the_same_lines(pairs: PairFactory, lines: list[bytes], sizes: list[int]) -> None:
    data = b"\n".join(lines)
    expected = [line + b"\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        received = []
        while line := await ours.recv_line():
            received.append(line)
        assert received == expected


@settings(max_examples=25)
@given(
    messages=st.lists(st.binary(max_size=100).map(lambda text: text.replace(b"!", b"?")), max_size=20),
    separator=st.sampled_from([b"!", b"!!", b"ab!", b"!ab!", b"aab!"]),
    sizes=sizes,
)
async def test_any_chunking_gives_the_same_separated_messages(
    pairs: PairFactory, messages: list[bytes], separator: bytes, sizes: list[int]
) -> None:
    data = b"".join(message + separator for message in messages)
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        for expected in data.split(separator)[:-1]:
            assert await ours.recv_until(separator) == expected + separator
        rest = data.split(separator)[-1]
        with pytest.raises(IncompleteReadError) as caught:
            await ours.recv_until(separator)
        assert caught.value.partial == rest


@settings(max_examples=25)
@given(messages=st.lists(st.binary(max_size=100), max_size=20), sizes=sizes)
async def test_any_chunking_gives_the_same_messages_of_known_length(
    pairs: PairFactory, messages: list[bytes], sizes: list[int]
) -> None:
    data = b"".join(messages)
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        assert [await ours.recv_exactly(len(message)) for message in messages] == messages
        assert await ours.recv() == b""


async def _recv_into(stream: Stream, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: await stream.recv_into(buffer)])


async def _cancelled(stream: Stream, size: int) -> bytes:
    receiving = asyncio.create_task(stream.recv_exactly(1000))
    await turns(size % 4)
    receiving.cancel()
    await asyncio.wait([receiving])
    return b"" if receiving.cancelled() else receiving.result()


OPERATIONS: dict[str, Callable[[Stream, int], Awaitable[bytes]]] = {
    "recv": Stream.recv,
    "recv_into": _recv_into,
    "recv_exactly": Stream.recv_exactly,
    "recv_until": lambda stream, size: stream.recv_until(b"b", max_bytes=size),
    "recv_line": Stream.recv_line,
    "cancelled": _cancelled,
}


@settings(max_examples=40)
@given(
    data=st.text("ab\n", max_size=300).map(str.encode),
    sizes=sizes,
    operations=st.lists(st.tuples(st.sampled_from(list(OPERATIONS)), st.integers(1, 40)), min_size=1, max_size=10),
)
async def test_any_mix_of_operations_and_cancels_gives_every_byte_once_and_in_order(
    pairs: PairFactory, data: bytes, sizes: list[int], operations: list[tuple[str, int]]
) -> None:
    received = b""
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        for turn in range(2 * len(data) + len(operations)):
            name, size = operations[turn % len(operations)]
            try:
                received += await OPERATIONS[name](ours, size)
            except IncompleteReadError as exc:
                received += exc.partial
            except FrameTooLargeError:
                pass
        while chunk := await ours.recv():
            received += chunk
    assert received == data


async def test_a_message_is_there_at_once_when_it_has_already_arrived(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"12345\n12345;12345")
        await until(lambda: ours.statistics().receive_buffer == 17)
        steps = 0

        async def count_steps() -> None:
            nonlocal steps
            while True:
                steps += 1
                await asyncio.sleep(0)

        async with running(count_steps()):
            assert await ours.recv_line() == b"12345\n"
            assert await ours.recv_until(b";") == b"12345;"
            assert await ours.recv_exactly(5) == b"12345"
            assert steps == 0
