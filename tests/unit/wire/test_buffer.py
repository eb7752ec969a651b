"""The receive buffer against plain bytes, and what its search looks at."""

from __future__ import annotations

from typing import Any, Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from aionet.wire.buffer import ReceiveBuffer

# Separators that begin in themselves, in texts of two letters: what a search gets wrong, if anything.
SEPARATORS: Final = [b"\n", b"ab", b"aab", b"abab", b"aaaa", b"\r\n\r\n"]
texts = st.text("ab\r\n", max_size=12).map(str.encode)


def test_a_new_buffer_is_empty() -> None:
    buffer = ReceiveBuffer()
    assert buffer.size == 0
    assert buffer.take(10) == b""
    assert buffer.find(b"\n") == -1
    assert buffer.take_into(memoryview(bytearray(3))) == 0


def test_a_chunk_that_is_taken_whole_is_never_copied() -> None:
    buffer = ReceiveBuffer()
    for count in (100, 1000):
        chunk = bytes(100)
        buffer.append(chunk)
        assert buffer.take(count) is chunk


def test_what_is_taken_comes_from_the_front_and_the_rest_stays() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"abc")
    assert buffer.take(2) == b"ab"
    buffer.append(b"def")
    assert buffer.take(2) == b"cd"
    buffer.append(b"g")
    assert buffer.take(10) == b"efg"
    assert buffer.size == 0


def test_what_was_taken_does_not_change_with_what_comes() -> None:
    buffer = ReceiveBuffer()
    taken = []
    for chunk in (b"abc", b"def", b"ghi"):
        buffer.append(chunk)
        taken += [buffer.take(1), buffer.take(1)]
    assert taken == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert {type(each) for each in taken} == {bytes}


def test_a_chunk_of_another_type_is_given_as_bytes() -> None:
    chunk: Any = bytearray(b"abc")
    buffer = ReceiveBuffer()
    buffer.append(chunk)
    assert type(buffer.take(3)) is bytes


def test_taking_into_a_buffer_fills_it_as_far_as_it_goes() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"abc")
    buffer.append(b"def")
    target = bytearray(4)
    assert buffer.take_into(memoryview(target)) == 4
    assert target == b"abcd"
    assert buffer.take_into(memoryview(target)) == 2
    assert target == b"efcd"


def test_clearing_drops_everything_and_forgets_what_was_searched() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"abc")
    assert buffer.find(b"\n") == -1
    buffer.clear()
    assert buffer.size == 0
    buffer.append(b"\n")
    assert buffer.find(b"\n") == 1


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_separator_is_found_wherever_the_chunks_are_cut(separator: bytes) -> None:
    data = b"a" + separator[:-1] + separator + b"b"
    expected = data.find(separator) + len(separator)
    for first in range(len(data)):
        for second in range(first, len(data)):
            buffer = ReceiveBuffer()
            found = -1
            for end, chunk in ((first, data[:first]), (second, data[first:second]), (len(data), data[second:])):
                buffer.append(chunk)
                found = buffer.find(separator)
                assert found == (expected if expected <= end else -1)
            assert buffer.take(found) == data[:expected]


def test_another_separator_is_searched_for_from_the_beginning() -> None:
    buffer = ReceiveBuffer()
    buffer.append(b"a;b,c")
    assert buffer.find(b"!") == -1
    assert buffer.find(b",") == 4
    assert buffer.find(b"!") == -1
    assert buffer.find(b";") == 2


class CountingBuffer(ReceiveBuffer):
    """A receive buffer that counts how many bytes its searches look at."""

    __slots__ = ("searched",)

    def __init__(self) -> None:
        self.searched = 0
        super().__init__()

    def find(self, separator: bytes) -> int:
        """Search, and count what it looks at: from where it begins to where it ends."""
        buffer = self

        class Counting(bytearray):
            def find(self, sub: Any, start: Any = 0, *rest: Any) -> int:
                index = super().find(sub, start, *rest)
                buffer.searched += (len(self) if index < 0 else index + len(separator)) - start
                return index

        kept = self._data
        self._data = Counting(kept)
        try:
            return super().find(separator)
        finally:
            self._data = kept


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"12345678"])
def test_a_message_that_drips_in_is_searched_once(separator: bytes) -> None:
    searched = []
    for size in (100, 200, 400):
        buffer = CountingBuffer()
        for _ in range(size):
            buffer.append(b"x")
            assert buffer.find(separator) == -1
        searched.append(buffer.searched)
        # Each byte once, and what a separator may have begun in once more.
        assert buffer.searched <= size * len(separator)
    assert searched[1] < 2.1 * searched[0]
    assert searched[2] < 2.1 * searched[1]


def test_lines_that_arrive_together_are_each_searched_once() -> None:
    buffer = CountingBuffer()
    buffer.append(b"12345\n" * 100)
    for _ in range(100):
        assert buffer.take(buffer.find(b"\n")) == b"12345\n"
    assert buffer.searched == 600


def test_the_counting_buffer_would_notice_a_second_search() -> None:
    buffer = CountingBuffer()
    buffer.append(b"x" * 100)
    for separator in (b"\n", b";") * 10:  # each makes it forget the other
        assert buffer.find(separator) == -1
    assert buffer.searched == 2000


class BufferAgainstBytes(RuleBasedStateMachine):
    """What the buffer does, done to plain bytes as well."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = ReceiveBuffer()
        self.data = b""

    @rule(chunk=texts)
    def append(self, chunk: bytes) -> None:
        """Add a chunk."""
        self.buffer.append(chunk)
        self.data += chunk
        assert self.buffer.size == len(self.data)

    @rule(count=st.integers(0, 40))
    def take(self, count: int) -> None:
        """Take from the front."""
        taken = self.buffer.take(count)
        assert type(taken) is bytes
        assert taken == self.data[:count]
        self.data = self.data[count:]
        assert self.buffer.size == len(self.data)

    @rule(count=st.integers(1, 40))
    def take_into(self, count: int) -> None:
        """Take from the front into a buffer."""
        target = bytearray(count)
        taken = self.buffer.take_into(memoryview(target))
        assert target[:taken] == self.data[:count]
        assert target[taken:] == bytes(count - taken)
        self.data = self.data[count:]
        assert self.buffer.size == len(self.data)

    @rule(separator=st.sampled_from(SEPARATORS))
    def find(self, separator: bytes) -> None:
        """Search, which changes nothing."""
        index = self.data.find(separator)
        assert self.buffer.find(separator) == (index + len(separator) if index >= 0 else -1)
        assert self.buffer.size == len(self.data)

    @rule(separator=st.sampled_from(SEPARATORS))
    def take_message(self, separator: bytes) -> None:
        """Take a message, if one is there."""
        end = self.buffer.find(separator)
        if end >= 0:
            assert self.buffer.take(end) == self.data[:end]
            self.data = self.data[end:]

    @rule(first=st.integers(0, 40), second=st.integers(0, 40), third=st.integers(0, 40))
    def take_part(self, first: int, second: int, third: int) -> None:
        """Take some, of which only a part is wanted."""
        start, stop, count = sorted(min(each, len(self.data)) for each in (first, second, third))
        part = self.buffer.take_part(start, stop, count)
        assert type(part) is bytes
        assert part == self.data[start:stop]
        self.data = self.data[count:]
        assert self.buffer.size == len(self.data)

    @rule(count=st.integers(0, 40))
    def skip(self, count: int) -> None:
        """Drop some."""
        count = min(count, len(self.data))
        self.buffer.skip(count)
        self.data = self.data[count:]
        assert self.buffer.size == len(self.data)

    @rule(start=st.integers(0, 40), stop=st.integers(0, 80))
    def peek(self, start: int, stop: int) -> None:
        """Look, which changes nothing."""
        seen = self.buffer.peek(start, stop)
        assert type(seen) is bytes
        assert seen == self.data[start:stop]

    @rule(start=st.integers(0, 10), size=st.integers(0, 8), byteorder=st.sampled_from(["big", "little"]))
    def peek_integer(self, start: int, size: int, byteorder: Literal["big", "little"]) -> None:
        """Look at a number."""
        if start + size <= len(self.data):
            expected = int.from_bytes(self.data[start : start + size], byteorder)
            assert self.buffer.peek_integer(start, start + size, byteorder) == expected

    @rule(chunk=texts)
    def unread(self, chunk: bytes) -> None:
        """Put something in front."""
        self.buffer.unread(chunk)
        self.data = chunk + self.data
        assert self.buffer.size == len(self.data)

    @rule(count=st.integers(0, 40), back=st.integers(0, 40))
    def take_and_unread(self, count: int, back: int) -> None:
        """Put the end of what was taken back."""
        taken = self.buffer.take(count)
        rest = taken[min(back, len(taken)) :]
        self.buffer.unread(rest)
        self.data = rest + self.data[len(taken) :]

    @rule()
    def clear(self) -> None:
        """Drop everything."""
        self.buffer.clear()
        self.data = b""
        assert self.buffer.size == 0

    def teardown(self) -> None:
        """Find the same in both."""
        assert self.buffer.take(self.buffer.size) == self.data


TestBufferAgainstBytes = BufferAgainstBytes.TestCase
TestBufferAgainstBytes.settings = settings(max_examples=100, stateful_step_count=40)


@given(st.lists(texts), st.sampled_from(SEPARATORS))
def test_any_chunking_gives_the_messages_that_splitting_gives(chunks: list[bytes], separator: bytes) -> None:
    buffer = ReceiveBuffer()
    messages = []
    for chunk in chunks:
        buffer.append(chunk)
        while (end := buffer.find(separator)) >= 0:
            messages.append(buffer.take(end))
    *expected, rest = b"".join(chunks).split(separator)
    assert messages == [message + separator for message in expected]
    assert buffer.take(buffer.size) == rest
