"""The write queue against a list of what is in it."""

from __future__ import annotations

import io
from collections.abc import Callable  # noqa: TC003 - hypothesis reads the types of rules

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aionet.wire.flow import FileRegion, WriteQueue


def region(count: int, *, offset: int = 0) -> tuple[FileRegion, list[bool]]:
    """Make a region of a file, and a list that grows each time the region says that it is done."""
    done: list[bool] = []
    return FileRegion(io.BytesIO(), offset, count, lambda: done.append(True)), done


def joined(head: list[bytes | memoryview] | FileRegion) -> bytes:
    """Join the buffers of a head."""
    assert not isinstance(head, FileRegion)
    return b"".join(head)


def test_an_empty_queue_has_no_head() -> None:
    queue = WriteQueue(10, 5)
    assert queue.size == 0
    assert queue.head() == []
    queue.advance(0)
    queue.clear()
    assert queue.size == 0


def test_what_was_queued_leaves_in_order() -> None:
    queue = WriteQueue(10, 5)
    for data in (b"ab", memoryview(b"cde"), b"f"):
        queue.append(data)
    assert queue.size == 6
    assert joined(queue.head()) == b"abcdef"
    queue.advance(3)
    assert (queue.size, joined(queue.head())) == (3, b"def")
    queue.advance(3)
    assert (queue.size, queue.head()) == (0, [])


def test_buffers_are_handed_to_the_kernel_as_they_are() -> None:
    queue = WriteQueue(10, 5)
    data = bytes(100)
    queue.append(data)
    head = queue.head()
    assert isinstance(head, list)
    assert head[0] is data
    queue.advance(1)
    head = queue.head()
    assert isinstance(head, list)
    assert isinstance(head[0], memoryview)
    assert head[0].obj is data


def test_a_head_holds_no_more_buffers_than_a_system_call_takes() -> None:
    queue = WriteQueue(10, 5)
    for number in range(3000):
        queue.append(bytes([number % 256]))
    sizes = []
    while queue.size:
        head = queue.head()
        assert isinstance(head, list)
        sizes.append(len(head))
        queue.advance(len(head))
    assert sizes == [1024, 1024, 952]


def test_a_file_region_is_a_head_of_its_own() -> None:
    queue = WriteQueue(10, 5)
    part, done = region(10)
    queue.append(b"before")
    queue.append(part)
    queue.append(b"after")
    assert queue.size == 21
    assert joined(queue.head()) == b"before"
    queue.advance(6)
    assert queue.head() is part
    queue.advance(4)
    assert (part.sent, len(part), queue.size, done) == (4, 6, 11, [])
    queue.advance(6)
    assert (part.sent, len(part), queue.size, done) == (10, 0, 5, [True])
    assert joined(queue.head()) == b"after"


def test_a_system_call_may_end_inside_a_later_buffer() -> None:
    queue = WriteQueue(10, 5)
    part, done = region(4)
    for item in (b"ab", b"cd", part, b"ef"):
        queue.append(item)
    queue.advance(7)
    assert (queue.size, part.sent, done) == (3, 3, [])
    queue.advance(2)
    assert (queue.size, part.sent, done) == (1, 4, [True])
    assert joined(queue.head()) == b"f"


def test_a_file_that_is_shorter_than_it_was_ends_its_region() -> None:
    queue = WriteQueue(10, 5)
    part, done = region(10)
    queue.append(part)
    queue.append(b"after")
    queue.advance(3)
    queue.end_region()
    assert (part.sent, queue.size, done) == (3, 5, [True])
    assert joined(queue.head()) == b"after"


def test_clearing_drops_everything_and_tells_each_file_once() -> None:
    queue = WriteQueue(10, 5)
    (one, one_done), (other, other_done) = region(10), region(5)
    for item in (one, b"between", other):
        queue.append(item)
    queue.advance(4)
    queue.clear()
    queue.clear()
    assert (queue.size, queue.head()) == (0, [])
    assert (one.sent, one_done, other.sent, other_done) == (4, [True], 0, [True])


def test_the_writer_pauses_above_high_water_once_and_resumes_at_low_water_once() -> None:
    queue = WriteQueue(10, 5)
    queue.append(bytes(10))
    assert not queue.must_pause()
    assert not queue.may_resume()
    queue.append(b"x")
    assert queue.must_pause()
    assert queue.paused
    assert not queue.must_pause()
    queue.advance(5)
    assert not queue.may_resume()
    queue.advance(1)
    assert queue.may_resume()
    assert not queue.paused
    assert not queue.may_resume()


@pytest.mark.parametrize("high", [0, 1, 100])
def test_with_low_water_zero_the_writer_resumes_when_nothing_is_left(high: int) -> None:
    queue = WriteQueue(high, 0)
    queue.append(bytes(high + 1))
    assert queue.must_pause()
    queue.advance(high)
    assert not queue.may_resume()
    queue.advance(1)
    assert queue.may_resume()


@given(st.lists(st.integers(1, 10)), st.data())
def test_however_much_the_kernel_takes_each_time_the_bytes_are_the_same(sizes: list[int], data: st.DataObject) -> None:
    queue = WriteQueue(10, 5)
    everything = bytes(number % 256 for number in range(sum(sizes)))
    start = 0
    for size in sizes:
        queue.append(everything[start : start + size])
        start += size
    sent = b""
    while queue.size:
        head = joined(queue.head())
        taken = data.draw(st.integers(1, len(head)))
        sent += head[:taken]
        queue.advance(taken)
    assert sent == everything


class QueueAgainstList(RuleBasedStateMachine):
    """What a queue does, done to a list of single bytes as well: (kind, value, region)."""

    @initialize(high=st.integers(0, 20), low=st.integers(0, 20))
    def begin(self, high: int, low: int) -> None:
        """Make the queue and the list."""
        self.queue = WriteQueue(max(high, low), min(high, low))
        self.items: list[bytes | FileRegion] = []  # one for each byte that is queued
        self.done: dict[FileRegion, int] = {}

    @rule(data=st.binary(min_size=1, max_size=10), kind=st.sampled_from([bytes, memoryview]))
    def append(self, data: bytes, kind: Callable[[bytes], bytes | memoryview]) -> None:
        """Queue bytes."""
        self.queue.append(kind(data))
        self.items += [bytes([byte]) for byte in data]

    @rule(count=st.integers(1, 10))
    def append_region(self, count: int) -> None:
        """Queue a part of a file."""

        def done() -> None:
            self.done[part] += 1

        part = FileRegion(io.BytesIO(), 0, count, done)
        self.done[part] = 0
        self.queue.append(part)
        self.items += [part] * count

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Let the kernel take a part of the head."""
        head = self.queue.head()
        size = len(head) if isinstance(head, FileRegion) else len(b"".join(head))
        taken = data.draw(st.integers(1, size))
        self.queue.advance(taken)
        del self.items[:taken]

    @precondition(lambda self: self.items and isinstance(self.items[0], FileRegion))
    @rule()
    def end_region(self) -> None:
        """Find the file's end."""
        part = self.queue.head()
        self.queue.end_region()
        self.items = [item for item in self.items if item is not part]

    @rule()
    def clear(self) -> None:
        """Drop everything."""
        self.queue.clear()
        self.items.clear()

    @rule()
    def pause_or_resume(self) -> None:
        """Ask as a transport does after each change."""
        size, paused = len(self.items), self.queue.paused
        assert self.queue.must_pause() == (not paused and size > self.queue.high)
        assert self.queue.may_resume() == (paused and size <= self.queue.low)
        assert self.queue.paused == (size > (self.queue.low if paused else self.queue.high))

    @invariant()
    def same(self) -> None:
        """Hold the same as the list."""
        if not hasattr(self, "queue"):
            return
        assert self.queue.size == len(self.items)
        head = self.queue.head()
        if isinstance(head, FileRegion):
            assert self.items[: len(head)] == [head] * len(head)
            assert len(head) == self.items.count(head)
        else:
            expected = []
            for item in self.items:
                if isinstance(item, FileRegion):
                    break
                expected.append(item)
            assert b"".join(head) == b"".join(expected)
        for part, times in self.done.items():
            assert times == (part not in self.items)


TestQueueAgainstList = QueueAgainstList.TestCase
TestQueueAgainstList.settings = settings(max_examples=60, stateful_step_count=30)
