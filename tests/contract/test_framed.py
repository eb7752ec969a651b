"""Framed streams: whole messages, and a stream that stands where the next one begins."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import (
    COBS,
    BrokenStreamError,
    BusyError,
    Chunked,
    ClosedStreamError,
    Delimited,
    FixedSize,
    Framed,
    FrameError,
    Framer,
    FrameTooLargeError,
    IncompleteReadError,
    LengthPrefixed,
    Limits,
    Lines,
    MessageError,
    NeedMore,
    Netstrings,
    ReceiveBuffer,
    Stream,
    StreamTimeoutError,
    Timeouts,
    VarintPrefixed,
)
from tests.contract.filling import MUCH, SMALL_BUFFERS
from tests.contract.test_fairness import BOUND, TIMES, most_in_a_row
from tests.contract.test_messages import cut, send_chunks, sizes
from tests.turns import running, turns, until
from tests.unit.wire.framers import ForeignChunks, ForeignHeaders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.pairs import PairFactory

# Their messages are any five letters; a header or an ending that is part of the message is taken off here.
FRAMERS: dict[str, Framer[bytes]] = {
    "Lines": Lines(),
    "Lines, CRLF": Lines("crlf"),
    "Lines, LF, kept": Lines("lf", keep=True).map(lambda line: line.removesuffix(b"\n"), lambda line: line + b"\n"),
    "Delimited": Delimited(b"--"),
    "FixedSize": FixedSize(5),
    "LengthPrefixed": LengthPrefixed(),
    "LengthPrefixed, offset": ForeignHeaders(2, offset=3, strip=7),
    "LengthPrefixed, nothing stripped": LengthPrefixed(1, offset=1, adjustment=-2, strip=0).map(
        lambda frame: frame[2:], lambda message: b"T\0" + message
    ),
    "VarintPrefixed": VarintPrefixed(),
    "Netstrings": Netstrings(),
    "COBS": COBS(),
    "Chunked": Chunked(),
    "Chunked, extensions": ForeignChunks(b' ; name="a; b"'),
}
every_framer = pytest.mark.parametrize("framer", FRAMERS.values(), ids=FRAMERS)


@every_framer
async def test_messages_are_sent_and_received_one_by_one_and_all_at_once(
    pairs: PairFactory, framer: Framer[bytes]
) -> None:
    async with pairs() as (ours, theirs):
        await theirs.framed(framer).send(b"first")
        await theirs.framed(framer).send_many([b"later", b"last."])
        await theirs.send_eof()
        framed = ours.framed(framer)
        assert await framed.recv() == b"first"
        assert [message async for message in framed] == [b"later", b"last."]
        assert [message async for message in framed] == []
        for _ in range(2):
            with pytest.raises(IncompleteReadError, match="ended where a message would begin") as caught:
                await framed.recv()
            assert caught.value.partial == b""


@every_framer
async def test_an_end_inside_a_message_raises_with_what_came_of_it(pairs: PairFactory, framer: Framer[bytes]) -> None:
    frame = framer.encode(b"after")
    for place in range(1, len(frame)):
        async with pairs() as (ours, theirs), running(send_chunks(theirs, [frame, frame[:place]])):
            received = []
            with pytest.raises(
                IncompleteReadError, match=f"recv on .* ended after {place} bytes of a message"
            ) as caught:
                async for message in ours.framed(framer):
                    received.append(message)  # noqa: PERF401 - what came before the error counts
            assert caught.value.partial == frame[:place]
            assert received == [b"after"]
            assert await ours.recv() == b""


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("framer", "part", "expected"),
    [
        (LengthPrefixed(2), b"\x00\x05ab", 7),
        (LengthPrefixed(2), b"\x00\x05abcd", 7),
        (VarintPrefixed(), b"\x03ab", 4),
        (Netstrings(), b"3:abc", 6),
        (Chunked(), b"3\r\nabc\r", 8),
        (FixedSize(5), b"abcd", 5),
        (Lines(), b"abcd", None),
        (COBS(), b"\x05abc", None),
    ],
    ids=repr,
)
async def test_an_end_says_how_much_should_have_come_where_that_is_known(
    pairs: PairFactory, framer: Framer[bytes], part: bytes, expected: int | None, size: int
) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(part, [size]))):
        with pytest.raises(IncompleteReadError) as caught:
            await ours.framed(framer).recv()
        assert (caught.value.partial, caught.value.expected) == (part, expected)


@every_framer
@settings(max_examples=5)  # on every kind of connection; by themselves framers are tried with many more
@given(messages=st.lists(st.text("abc", min_size=5, max_size=5).map(str.encode), max_size=10), sizes=sizes)
async def test_any_chunking_gives_the_same_messages(
    pairs: PairFactory, framer: Framer[bytes], messages: list[bytes], sizes: list[int]
) -> None:
    data = b"".join(map(framer.encode, messages))
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        assert [message async for message in ours.framed(framer)] == messages


TRAILERS = ["Expires: never", "Empty:", "X: " + "y" * 100]


@settings(max_examples=10)
@given(chunks=st.lists(st.binary(min_size=1, max_size=30)), trailers=st.lists(st.sampled_from(TRAILERS)), sizes=sizes)
async def test_any_chunking_of_a_body_ends_where_its_trailers_do(
    pairs: PairFactory, chunks: list[bytes], trailers: list[str], sizes: list[int]
) -> None:
    foreign = ForeignChunks(b";name=value", "".join(f"{field}\r\n" for field in trailers).encode())
    data = b"".join(map(foreign.encode, [*chunks, b""]))
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data + b"after", sizes))):
        framed = ours.framed(Chunked())
        assert [await framed.recv() for _ in range(len(chunks) + 1)] == [*chunks, b""]
        assert await ours.recv_exactly(5) == b"after"
        assert await ours.recv() == b""


@settings(max_examples=25)
@given(messages=st.lists(st.binary(max_size=30), max_size=10), sizes=sizes, cancels=st.lists(st.integers(0, 5)))
async def test_a_cancelled_recv_loses_nothing(
    pairs: PairFactory, messages: list[bytes], sizes: list[int], cancels: list[int]
) -> None:
    data = b"".join(map(LengthPrefixed(1).encode, messages))
    received = []
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(data, sizes))):
        framed = ours.framed(LengthPrefixed(1))
        for count in cancels:
            async with running(framed.recv()) as receiving:
                await turns(count)
            if not receiving.cancelled() and receiving.exception() is None:
                received.append(receiving.result())
        received += [message async for message in framed]
    assert received == messages


async def test_a_burst_that_has_arrived_is_received_without_the_loop(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        framed = ours.framed(LengthPrefixed())
        await theirs.framed(LengthPrefixed()).send_many([b"x" * 100] * 100)
        await until(lambda: ours.statistics().receive_buffer == 104 * 100)
        steps = received = 0

        async def count_steps() -> None:
            nonlocal steps
            while True:
                steps += 1
                await asyncio.sleep(0)

        async with running(count_steps()):
            async for _ in framed:
                received += 1
                if received == 100:
                    break
            assert steps == 0


async def test_receiving_messages_that_have_arrived_lets_others_run(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        framed = ours.framed(Lines())
        await theirs.send(b"\n" * TIMES)
        await until(lambda: ours.statistics().receive_buffer == TIMES)
        assert await most_in_a_row(framed.recv) <= BOUND


async def test_what_follows_a_message_stays_in_the_stream(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"line\n\x00\x03abcrest")
        assert await ours.framed(Lines()).recv() == b"line"
        assert await ours.framed(LengthPrefixed(2)).recv() == b"abc"
        assert await ours.recv_exactly(4) == b"rest"


@pytest.mark.parametrize("chunk", [1, 3, 100])
async def test_a_message_that_is_too_large_is_left_whole(pairs: PairFactory, chunk: int) -> None:
    async with pairs() as (ours, theirs), running(send_chunks(theirs, cut(b"ok\n123456789\nafter", [chunk]))):
        framed = ours.framed(Lines(max_bytes=9))
        assert await framed.recv() == b"ok"
        for _ in range(2):
            with pytest.raises(
                FrameTooLargeError, match=r"recv on .* <- .*: a message .*longer than max_bytes=9"
            ) as caught:
                await framed.recv()
            assert str(caught.value).count("recv on") == 1
            assert caught.value.limit == 9
        assert await ours.framed(Lines(max_bytes=10)).recv() == b"123456789"
        assert await ours.recv_exactly(5) == b"after"


async def test_a_declared_length_of_2_to_the_63_raises_at_once_and_reading_goes_on(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send((2**63).to_bytes(8))
        with pytest.raises(FrameTooLargeError, match=str(2**63 + 8)):
            await ours.framed(LengthPrefixed(8)).recv()
        assert await ours.recv() == (2**63).to_bytes(8)


class Endless(Framer[bytes]):
    """A framer that never has enough, and whose author thought of no limit."""

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        return NeedMore()


async def test_a_framer_of_ones_own_has_a_limit_too(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(theirs.send(bytes(1_000_000))):
        with pytest.raises(FrameTooLargeError, match="longer than max_bytes=65536"):
            await ours.framed(Endless()).recv()


async def test_bytes_that_are_no_frame_are_left_and_bad_content_is_taken(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"nonsense\n7\n")
        with pytest.raises(FrameError, match=r"recv on .* <- .*: no netstring"):
            await ours.framed(Netstrings()).recv()
        numbers = ours.framed(Lines().map(int, lambda number: b"%d" % number))
        with pytest.raises(
            MessageError, match=r"recv on .* <- .*: a message that cannot be decoded: ValueError"
        ) as caught:
            await numbers.recv()
        assert caught.value.content == b"nonsense"
        assert await numbers.recv() == 7


@pytest.mark.parametrize("chunk", [50, 10_000])
async def test_a_message_may_be_larger_than_the_receive_buffer(pairs: PairFactory, chunk: int) -> None:
    for framer in (LengthPrefixed(), Lines()):
        async with (
            pairs(limits=Limits(receive_buffer=100)) as (ours, theirs),
            running(send_chunks(theirs, cut(framer.encode(b"x" * 5000) * 3, [chunk]))),
        ):
            assert [message async for message in ours.framed(framer)] == [b"x" * 5000] * 3


async def test_a_second_receiver_is_refused_whatever_it_receives_with(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.framed(Lines()).recv()) as receiving:
        await theirs.send(b"half a l")
        await turns()
        for second in (ours.framed(Lines()).recv, ours.framed(FixedSize(1)).recv, ours.recv, lambda: ours.peek(1)):
            with pytest.raises(BusyError):
                await second()
        await theirs.send(b"ine\n")
        assert await receiving == b"half a line"


async def test_after_the_stream_is_closed_a_framed_one_says_so(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        framed = ours.framed(Lines())
        async with running(framed.recv()) as receiving:
            await turns()
            ours.abort()
            with pytest.raises(ClosedStreamError):
                await receiving
        for operation in (framed.recv, framed.__anext__, lambda: framed.send(b"")):
            with pytest.raises(ClosedStreamError):
                await operation()


async def test_a_reset_is_raised_after_the_messages_before_it(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs):
        await theirs.send(b"one\ntwo\n")
        await until(lambda: ours.statistics().receive_buffer == 8)
        theirs.abort()
        framed = ours.framed(Lines())
        received: list[Any] = []
        with pytest.raises(BrokenStreamError):
            async for message in framed:
                received.append(message)  # noqa: PERF401 - what came before the error counts
        assert received == [b"one", b"two"]


async def test_the_message_timeout_bounds_a_message_that_drips(pairs: PairFactory) -> None:
    async def drip(stream: Stream) -> None:
        with contextlib.suppress(BrokenStreamError):
            while True:
                await stream.send(b"x")
                await asyncio.sleep(0.005)

    async with pairs(timeouts=Timeouts(message=0.1)) as (ours, theirs):
        await theirs.send(b"in time\n")
        framed = ours.framed(Lines())
        assert await framed.recv() == b"in time"
        async with running(drip(theirs)):
            with pytest.raises(StreamTimeoutError, match=r"recv on .*: no whole message within 0\.1 s"):
                await framed.recv()


async def test_sending_messages_waits_for_a_peer_that_does_not_read(pairs: PairFactory) -> None:
    framer = LengthPrefixed(max_bytes=1 << 30)
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        framed = ours.framed(framer)
        async with running(framed.send(MUCH)) as one, running(framed.send_many([b"x", b"y"])) as many:
            await turns()
            assert not one.done()
            assert not many.done()
            received = theirs.framed(framer)
            assert await received.recv() == MUCH
            assert [await received.recv(), await received.recv()] == [b"x", b"y"]
            await one
            await many


async def test_where_one_message_cannot_be_sent_none_is(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        framed = ours.framed(Lines())
        with pytest.raises(ValueError, match="contains its delimiter"):
            await framed.send_many([b"good", b"b\nad"])
        await framed.send_many([])
        await framed.send(b"next")
        assert await theirs.recv() == b"next\n"


async def test_a_framed_stream_shows_what_it_is(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        framed = ours.framed(FixedSize(3))
        assert repr(framed) == f"<Framed FixedSize(size=3) on {ours!r}>"
        assert (framed.stream, framed.framer) == (ours, FixedSize(3))


@pytest.mark.parametrize("receive", [Stream.recv, Stream.__anext__, Stream.recv_line])
@pytest.mark.parametrize("take", [Framed.recv, Framed.__anext__])
@pytest.mark.parametrize("before", [0, 128])  # after so many the loop comes round before the next
async def test_the_stream_goes_on_after_a_message_that_filled_the_buffer_and_makes_no_sense(
    pairs: PairFactory,
    take: Callable[[Framed[int]], Awaitable[int]],
    receive: Callable[[Stream], Awaitable[bytes]],
    before: int,
) -> None:
    async with pairs(limits=Limits(receive_buffer=100)) as (ours, theirs):
        await theirs.send(b"1\n" * before + b"x" * 1000 + b"\n")
        await until(lambda: ours.statistics().receive_buffer == 2 * before + 1001)
        framed = ours.framed(Lines().map(int))
        for _ in range(before):
            assert await take(framed) == 1
        with pytest.raises(MessageError):
            await take(framed)
        await theirs.send(b"next\n")
        assert await receive(ours) == b"next\n"
