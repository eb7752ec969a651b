"""What holds for every framer: any chunking, limits before memory, and work in proportion to the bytes."""

from __future__ import annotations

import json
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import (
    COBS,
    Chunked,
    Delimited,
    FixedSize,
    FrameError,
    Framer,
    FrameTooLargeError,
    LengthPrefixed,
    Lines,
    MessageError,
    NeedMore,
    Netstrings,
    OptionError,
    ReceiveBuffer,
    VarintPrefixed,
)
from tests.unit.wire.framers import CASES, Case, Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut into chunks of these sizes, over and over."""
    place = turn = 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        yield data[place : place + size]
        place += size
        turn += 1


@every_case
@settings(max_examples=20)
@given(data=st.data(), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_any_chunking_gives_the_messages_that_were_encoded(case: Case, data: st.DataObject, sizes: list[int]) -> None:
    messages = data.draw(st.lists(case.messages, max_size=12))
    stream = b"".join(map(case.framer.encode, messages))
    decoder = Decoder(case.framer)
    assert decoder.feed(*cut(stream, sizes)) == messages
    assert decoder.buffer.size == 0


@every_case
@settings(max_examples=10)
@given(data=st.data())
def test_what_is_no_whole_message_is_left_as_it_is(case: Case, data: st.DataObject) -> None:
    frame = case.framer.encode(data.draw(case.messages))
    place = data.draw(st.integers(0, len(frame) - 1))
    decoder = Decoder(case.framer)
    assert decoder.feed(frame[:place]) == []
    assert decoder.buffer.peek(0, 1000) == frame[:place]
    assert decoder.needed <= len(frame)


# --- limits -----------------------------------------------------------------------------------------------------------

LIMITED: dict[str, tuple[Callable[[int], Framer[bytes]], bytes]] = {
    "lines": (lambda most: Lines(max_bytes=most), b"x" * 20),
    "crlf lines": (lambda most: Lines("crlf", max_bytes=most), b"x" * 20),
    "delimited": (lambda most: Delimited(b"--", max_bytes=most), b"x" * 20),
    "length": (lambda most: LengthPrefixed(max_bytes=most), b"x" * 20),
    "varint": (lambda most: VarintPrefixed(max_bytes=most), b"x" * 20),
    "netstrings": (lambda most: Netstrings(max_bytes=most), b"x" * 20),
    "COBS": (lambda most: COBS(max_bytes=most), b"x" * 20),
    "chunked": (lambda most: Chunked(max_bytes=most), b"x" * 20),
    "the last chunk": (lambda most: Chunked(max_bytes=most), b""),
    "mapped": (lambda most: Lines(max_bytes=most).map(bytes, bytes), b"x" * 20),
}


@pytest.mark.parametrize(("make", "message"), LIMITED.values(), ids=LIMITED)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_message_of_one_byte_more_than_the_limit_is_refused_and_left_whole(
    make: Callable[[int], Framer[bytes]], message: bytes, chunk: int
) -> None:
    frame = make(1000).encode(message)
    framer = make(len(frame) - 1)
    with pytest.raises(FrameTooLargeError) as sent:
        framer.encode(message)
    assert sent.value.limit == framer.max_bytes == len(frame) - 1
    decoder = Decoder(framer)
    for chunks in (cut(frame, [chunk]), [b""]):
        with pytest.raises(FrameTooLargeError) as caught:
            decoder.feed(*chunks)
        assert caught.value.limit == len(frame) - 1
    assert frame.startswith(decoder.buffer.peek(0, 1000))
    enough = Decoder(make(len(frame)))
    assert enough.feed(*cut(frame + frame, [chunk])) == [message, message]


HUGE: Final = 2**63
DECLARED: dict[str, tuple[Framer[bytes], bytes]] = {
    "length": (LengthPrefixed(8), HUGE.to_bytes(8)),
    "little-endian length": (LengthPrefixed(8, byteorder="little"), HUGE.to_bytes(8, "little")),
    "the largest length": (LengthPrefixed(8), b"\xff" * 8),
    "varint": (VarintPrefixed(), b"\x80" * 9 + b"\x01"),
    "netstring": (Netstrings(), b"%d:" % HUGE),
    "chunk": (Chunked(), b"%x\r\n" % HUGE),
}


@pytest.mark.parametrize(("framer", "head"), DECLARED.values(), ids=DECLARED)
def test_a_declared_length_of_2_to_the_63_takes_no_memory(framer: Framer[bytes], head: bytes) -> None:
    decoder = Decoder(framer)
    tracemalloc.start()
    try:
        with pytest.raises(FrameTooLargeError, match=r"a message of 92\d{17} bytes|a message of 18\d{18} bytes"):
            decoder.feed(head)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert decoder.buffer.size == len(head)


def test_the_limit_is_64_kib_unless_told_otherwise() -> None:
    for framer in (Lines(), Delimited(b";"), LengthPrefixed(), VarintPrefixed(), Netstrings(), COBS(), Chunked()):
        assert framer.max_bytes == 65536
    assert FixedSize(100_000).max_bytes == 100_000
    assert LengthPrefixed(max_bytes=7).map(bytes).max_bytes == 7


# --- work in proportion to the bytes ----------------------------------------------------------------------------------


class CountingBuffer(ReceiveBuffer):
    """Counts the bytes that its methods look at or copy."""

    __slots__ = ("cost",)

    def __init__(self) -> None:
        self.cost = 0
        super().__init__()

    def find(self, separator: bytes) -> int:
        buffer = self

        class Counting(bytearray):
            def find(self, sub: Any, start: Any = 0, *rest: Any) -> int:
                index = super().find(sub, start, *rest)
                buffer.cost += (len(self) if index < 0 else index + len(separator)) - start
                return index

        kept = self._data
        self._data = Counting(kept)
        try:
            return super().find(separator)
        finally:
            self._data = kept

    def peek(self, start: int, stop: int) -> bytes:
        found = super().peek(start, stop)
        self.cost += len(found)
        return found

    def take(self, count: int) -> bytes:
        self.cost += count
        return super().take(count)

    def take_part(self, start: int, stop: int, count: int) -> bytes:
        self.cost += stop - start
        return super().take_part(start, stop, count)


def cost(framer: Framer[Any], stream: bytes, chunk: int) -> int:
    """Count the bytes looked at, and the lines of Python run, to decode a stream in chunks."""
    buffer = CountingBuffer()
    decoder = Decoder(framer, buffer)
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decoder.feed(*cut(stream, [chunk]))
    finally:
        sys.settrace(before)
    assert buffer.size == 0
    return buffer.cost + lines


UNLIMITED: Final = 2**40
LONG: dict[str, tuple[Framer[bytes], Callable[[int], bytes]]] = {
    "lines": (Lines(max_bytes=UNLIMITED), bytes),
    "lf lines": (Lines("lf", max_bytes=UNLIMITED), bytes),
    "crlf lines": (Lines("crlf", max_bytes=UNLIMITED), bytes),
    "crlf lines of carriage returns": (Lines("crlf", max_bytes=UNLIMITED), lambda size: b"\r" * size),
    "kept lines": (Lines(keep=True, max_bytes=UNLIMITED), lambda size: bytes(size) + b"\n"),
    "delimited": (Delimited(b"\0\0\0\1", max_bytes=UNLIMITED), bytes),
    "length": (LengthPrefixed(max_bytes=UNLIMITED), bytes),
    "varint": (VarintPrefixed(max_bytes=UNLIMITED), bytes),
    "netstrings": (Netstrings(max_bytes=UNLIMITED), bytes),
    "COBS of zeros": (COBS(max_bytes=UNLIMITED), bytes),
    "COBS without zeros": (COBS(max_bytes=UNLIMITED), lambda size: b"x" * size),
    "chunked": (Chunked(max_bytes=UNLIMITED), bytes),
    "length in its place": (LengthPrefixed(strip=0, max_bytes=UNLIMITED), lambda size: bytes(size + 4)),
    "mapped": (Lines(max_bytes=UNLIMITED).map(bytes, bytes), bytes),
}


@pytest.mark.parametrize("chunk", [1, 1000])
@pytest.mark.parametrize(("framer", "message"), LONG.values(), ids=LONG)
def test_twice_the_message_is_at_most_two_and_a_half_times_the_work(
    framer: Framer[bytes], message: Callable[[int], bytes], chunk: int
) -> None:
    once, twice = (cost(framer, framer.encode(message(size)), chunk) for size in (2000, 4000))
    assert twice <= 2.5 * once


@pytest.mark.parametrize("chunk", [1, 100_000])
@pytest.mark.parametrize(("framer", "message"), LONG.values(), ids=LONG)
def test_twice_the_messages_are_at_most_two_and_a_half_times_the_work(
    framer: Framer[bytes], message: Callable[[int], bytes], chunk: int
) -> None:
    once, twice = (cost(framer, framer.encode(message(10)) * count, chunk) for count in (100, 200))
    assert twice <= 2.5 * once


@pytest.mark.parametrize("chunk", [1, 100_000])
def test_twice_a_fixed_size_is_at_most_two_and_a_half_times_the_work(chunk: int) -> None:
    once, twice = (cost(FixedSize(size), bytes(size * 10), chunk) for size in (200, 400))
    assert twice <= 2.5 * once
    once, twice = (cost(FixedSize(10), bytes(10 * count), chunk) for count in (100, 200))
    assert twice <= 2.5 * once


def test_what_the_peer_adds_to_a_message_is_looked_at_once_too() -> None:
    def trailers(count: int) -> int:
        return cost(Chunked(max_bytes=UNLIMITED), b"0\r\n" + b"a: b\r\n" * count + b"\r\n", 1)

    def zeros(count: int) -> int:
        return cost(COBS(max_bytes=UNLIMITED), b"\0" * count + b"\x01\0", 1)

    assert trailers(800) <= 2.5 * trailers(400)
    assert zeros(4000) <= 2.5 * zeros(2000)


# --- your own ---------------------------------------------------------------------------------------------------------


def test_two_functions_make_typed_messages() -> None:
    values: list[Any] = [{"a": [1, None]}, "text", 7, b"\0\xff"]
    packed = LengthPrefixed(2).map(msgpack.unpackb, cast("Callable[[Any], bytes]", msgpack.packb))
    assert Decoder(packed).feed(*map(packed.encode, values)) == values
    pair = struct.Struct("<hd")
    pairs = FixedSize(pair.size).map(pair.unpack, lambda value: pair.pack(*value))
    assert Decoder(pairs).feed(pairs.encode((-3, 0.5))) == [(-3, 0.5)]


def test_what_cannot_be_decoded_is_taken_and_the_next_message_comes_next() -> None:
    framer = Lines().map(json.loads)
    decoder = Decoder(framer)
    with pytest.raises(MessageError, match="cannot be decoded: JSONDecodeError: Expecting value") as caught:
        decoder.feed(b"nonsense\n[1]\n")
    assert caught.value.content == b"nonsense"
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)
    assert decoder.feed(b"") == [[1]]


def test_two_functions_more_are_applied_to_the_result_of_the_first() -> None:
    framer = Lines().map(bytes.decode, str.encode).map(int, str)
    assert framer.encode(12) == b"12\n"
    assert Decoder(framer).feed(b"12\n") == [12]
    decoder = Decoder(framer)
    with pytest.raises(MessageError) as caught:
        decoder.feed(b"\xff\n")
    assert caught.value.content == b"\xff"


@pytest.mark.parametrize(
    ("framer", "message"),
    [
        (Lines(keep=True), b""),
        (Lines(keep=True), b"x"),
        (Lines("crlf", keep=True), b"x"),
        (Lines("crlf", keep=True), b"\n"),
        (Delimited(b"abc", keep=True), b"zz"),
        (Delimited(b"abc", keep=True), b"zabcz"),
    ],
)
def test_what_is_kept_must_be_there(framer: Framer[bytes], message: bytes) -> None:
    with pytest.raises(ValueError, match="does not end with its delimiter"):
        framer.encode(message)


class OnlyReceives(Framer[bytes]):
    """One method is all that a framer needs."""

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        return buffer.take(2) if buffer.size >= 2 else NeedMore(2 - buffer.size)


def test_a_framer_is_one_method_and_then_only_receives() -> None:
    assert Decoder(OnlyReceives()).feed(b"abcd") == [b"ab", b"cd"]
    for framer in (OnlyReceives(), Lines().map(bytes)):
        with pytest.raises(TypeError, match="only receives"):
            framer.encode(b"ab")


@pytest.mark.parametrize(
    ("make", "options", "complaint"),
    [
        (Lines, {"max_bytes": 0}, r"Lines: max_bytes=0: expected an integer from 1"),
        (Lines, {"ending": "cr"}, r"Lines: ending='cr': expected \"either\" or \"lf\" or \"crlf\""),
        (Delimited, {"delimiter": b""}, r"Delimited: delimiter=b'': expected at least one byte"),
        (Delimited, {"delimiter": "x"}, r"Delimited: delimiter='x'"),
        (FixedSize, {"size": 0}, r"FixedSize: size=0"),
        (LengthPrefixed, {"size": 9}, r"LengthPrefixed: size=9: expected an integer from 1 to 8"),
        (LengthPrefixed, {"size": True}, r"LengthPrefixed: size=True"),
        (LengthPrefixed, {"byteorder": "network"}, r"LengthPrefixed: byteorder='network'"),
        (LengthPrefixed, {"offset": -1}, r"LengthPrefixed: offset=-1"),
        (COBS, {"max_bytes": 1.5}, r"COBS: max_bytes=1.5"),
    ],
)
def test_a_value_out_of_range_is_named(make: Callable[..., object], options: dict[str, object], complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        make(**options)


def test_framers_are_values() -> None:
    assert Lines("lf") == Lines("lf", keep=False)
    assert LengthPrefixed(2) != LengthPrefixed(4)
    assert repr(LengthPrefixed(2)).startswith("LengthPrefixed(size=2, byteorder='big', offset=0")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(Lines(), "max_bytes", 3)  # noqa: B010 - what it refuses is the point, and the type checkers know it


def test_nonsense_is_refused_at_the_byte_where_the_message_began() -> None:
    for framer, nonsense in ((Netstrings(), b"x"), (Chunked(), b"GET /\r\n"), (VarintPrefixed(), b"\xff" * 11)):
        decoder = Decoder(framer)
        for _ in range(2):
            with pytest.raises(FrameError):
                decoder.feed(nonsense)
        assert decoder.buffer.peek(0, len(nonsense)) == nonsense
