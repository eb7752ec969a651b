"""Line mode: what lines end with when they leave."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet import FrameTooLargeError
from aionet.cli.netcat.lines import LINE_ENDINGS, LineEndings, LineSplitter, pieces

texts = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc"])).map(b"".join)
endings = st.sampled_from(sorted(LINE_ENDINGS.values()))


def split(ending: bytes, *chunks: bytes) -> list[bytes]:
    lines = LineSplitter(ending)
    return [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()


def cut_at(text: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


def translated(ending: bytes, *chunks: bytes) -> bytes:
    lines = LineEndings(ending)
    return b"".join(map(lines.feed, chunks)) + lines.end()


@pytest.mark.parametrize("given_ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("name", "ending"), LINE_ENDINGS.items())
def test_lines_of_either_kind_get_the_ending_that_was_asked_for(given_ending: bytes, name: str, ending: bytes) -> None:
    assert translated(ending, b"one" + given_ending + b"two" + given_ending) == b"one" + ending + b"two" + ending


def test_a_last_line_without_an_ending_gets_one() -> None:
    assert translated(b"\r\n", b"QUIT") == b"QUIT\r\n"


def test_nothing_stays_nothing() -> None:
    assert translated(b"\r\n") == b""


def test_a_carriage_return_elsewhere_is_text() -> None:
    assert translated(b"\n", b"50 %\r100 %\n") == b"50 %\r100 %\n"


def test_what_is_complete_leaves_at_once() -> None:
    assert LineEndings(b"\r\n").feed(b"login: ") == b"login: "


@given(texts, endings, st.lists(st.integers(0, 40)))
def test_it_is_the_same_in_whatever_pieces_it_comes(text: bytes, ending: bytes, cuts: list[int]) -> None:
    assert translated(ending, *cut_at(text, cuts)) == translated(ending, text)


@given(texts.filter(lambda text: b"\r" not in text))
def test_endings_can_be_turned_back(text: bytes) -> None:
    plain = translated(b"\n", text)
    assert translated(b"\n", translated(b"\r\n", plain)) == plain


def test_text_is_split_into_lines_with_the_ending_that_was_asked_for() -> None:
    assert split(b"", b"one\ntwo\r\n\nlast") == [b"one", b"two", b"", b"last"]
    assert split(b"\r\n", b"one\ntw", b"o\n") == [b"one\r\n", b"two\r\n"]


@given(texts, endings, st.lists(st.integers(0, 40)))
def test_lines_are_the_same_in_whatever_pieces_they_come(text: bytes, ending: bytes, cuts: list[int]) -> None:
    assert split(ending, *cut_at(text, cuts)) == split(ending, text)
    assert b"".join(split(ending, text)) == translated(ending, text)


def test_a_line_that_no_datagram_can_hold_is_refused() -> None:
    with pytest.raises(FrameTooLargeError, match="a line of more than 65527 bytes"):
        split(b"", *[b"x" * 1000] * 100)


@given(st.binary(max_size=100), st.integers(1, 30))
def test_pieces_are_all_there_is(data: bytes, size: int) -> None:
    cut = list(pieces(data, size))
    assert b"".join(cut) == data
    assert all(len(piece) == size for piece in cut[:-1])
