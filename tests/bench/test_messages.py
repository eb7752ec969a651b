"""Sizes, messages, echoes, and the framing of replies."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.bench.expect import Counter, Expect, WrongReplyError
from aionet.bench.messages import READ_SIZE, Messages
from aionet.bench.sizes import Sizes
from aionet.errors import OptionError

SIZES = st.sampled_from(["1", "64", "5000", "uniform:1-300", "normal:200,100", "choice:3:0.5,900:0.5"])


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the data at these places, and where a read would end."""
    ends = sorted({min(each, len(data)) for each in cuts} | set(range(0, len(data), READ_SIZE)) | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


def feed(counter: Counter, data: bytes, cuts: list[int]) -> int:
    return sum(counter.feed(piece) for piece in cut(data, cuts))


@given(SIZES, st.integers(1, 20), st.lists(st.integers(0, 20_000)))
def test_an_echo_is_counted_however_it_arrives(sizes: str, count: int, cuts: list[int]) -> None:
    messages = Messages(Sizes.parse(sizes), random.Random(1))
    data = messages.writer().next(count)
    echoes = messages.echoes()
    assert feed(echoes, data, cuts) == count
    assert not echoes.inside


@given(SIZES, st.integers(1, 20), st.lists(st.integers(0, 20_000)), st.data())
def test_a_changed_byte_is_found(sizes: str, count: int, cuts: list[int], data: st.DataObject) -> None:
    messages = Messages(Sizes.parse(sizes), random.Random(1))
    sent = bytearray(messages.writer().next(count))
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= 1
    with pytest.raises(WrongReplyError, match="wrong bytes"):
        feed(messages.echoes(), bytes(sent), cuts)


def test_a_part_of_an_echo_is_inside() -> None:
    for sizes in ("64", "uniform:60-70"):
        messages = Messages(Sizes.parse(sizes), random.Random(1))
        echoes = messages.echoes()
        assert echoes.feed(messages.block[:10]) == 0
        assert echoes.inside


def test_messages_follow_each_other_whatever_is_asked_for_at_a_time() -> None:
    messages = Messages(Sizes.parse("uniform:1-50"), random.Random(1))
    together, alone = messages.writer(), messages.writer()
    assert together.next(5000) == b"".join(alone.next(1) for _ in range(5000))


def test_the_same_seed_makes_the_same_messages() -> None:
    one, same, other = (Messages(Sizes.parse("normal:100,20"), random.Random(seed)) for seed in (1, 1, 2))
    assert one.writer().next(50) == same.writer().next(50) != other.writer().next(50)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("64", 64, 64), ("uniform:64-1024", 64, 1024), ("choice:64:0.9,1000:0.1", 64, 1000), ("normal:1000,200", 1, 2200)],
)
def test_sizes_are_drawn_from_the_distribution(text: str, least: int, most: int) -> None:
    sizes = Sizes.parse(text)
    drawn = [sizes.draw(random.Random(seed)) for seed in range(1000)]
    assert sizes.least == least
    assert sizes.most == most
    assert least <= min(drawn) <= max(drawn) <= most
    assert str(sizes) == text
    means = {"64": 64, "uniform:64-1024": 544, "choice:64:0.9,1000:0.1": 157.6, "normal:1000,200": 1000}
    assert sum(drawn) / len(drawn) == pytest.approx(means[text], rel=0.15)


NO_SIZES = ["", "0", "-1", "1.5", "x", "16777217", "uniform:5", "uniform:9-5", "uniform:0-5", "gamma:1,2"]
NO_SIZES += ["normal:5", "normal:5,-1", "normal:5,inf", "normal:5,nan"]
NO_SIZES += ["choice:5", "choice:5:0", "choice:5:x", "choice:"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected 64, uniform:64-1024"):
        Sizes.parse(text)


@given(
    bodies=st.lists(st.binary(max_size=40)),
    width=st.integers(1, 8),
    cuts=st.lists(st.integers(0, 2000)),
    little=st.booleans(),
)
def test_replies_with_a_length_are_counted_however_they_arrive(
    *, bodies: list[bytes], width: int, cuts: list[int], little: bool
) -> None:
    expect = Expect.parse(f"length:{width}:little" if little else f"length:{width}")
    data = b"".join(len(body).to_bytes(width, expect.order) + body for body in bodies)
    counter = expect.counter()
    assert feed(counter, data, cuts) == len(bodies)
    assert not counter.inside


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b" "))), st.lists(st.integers(0, 400)))
def test_lines_are_counted_however_they_arrive(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    assert feed(Expect.parse("line").counter(), data, cuts) == len(lines)
    assert feed(Expect.parse("line:3").counter(), data, cuts) == len(lines) // 3


def test_a_part_of_a_reply_is_inside() -> None:
    for text, part in (("bytes:5", b"1234"), ("line", b"a line"), ("line:2", b"one\n"), ("length:2", b"\0")):
        counter = Expect.parse(text).counter()
        assert not counter.inside
        assert counter.feed(part) == 0
        assert counter.inside
    counter = Expect.parse("length:2").counter()
    assert counter.feed(struct.pack(">H", 3) + b"ab") == 0
    assert counter.inside


@pytest.mark.parametrize(
    "text", ["", "bytes", "bytes:0", "bytes:x", "line:0", "length", "length:9", "length:2:middle", "line:1:2", "json"]
)
def test_what_is_no_framing_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected bytes:N, line"):
        Expect.parse(text)
