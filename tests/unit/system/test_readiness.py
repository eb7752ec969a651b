"""Who waits for a descriptor, in which order they are resumed, and for how long the poller watches it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from aionet.system.readiness import DescriptorReadiness, Readiness
from tests.leaks import registrations
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Descriptor:
    """A connected socket, its readiness, and the names of those who were resumed."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.resumed: list[str] = []
        self.readiness = DescriptorReadiness(asyncio.get_running_loop(), self.ours.fileno())
        self.tasks: list[asyncio.Task[None]] = []

    def wait(self, name: str, direction: Readiness, *, times: int = 1) -> None:
        """Wait so many times in a task, and take a byte each time if there is one."""

        async def wait() -> None:
            for _ in range(times):
                await direction.wait()
                self.resumed.append(name)
                try:
                    self.ours.recv(1)
                except OSError:
                    pass

        self.tasks.append(asyncio.create_task(wait(), name=name))

    def task(self, name: str) -> asyncio.Task[None]:
        """Return the task of that name."""
        return next(task for task in self.tasks if task.get_name() == name)

    @property
    def watched(self) -> bool:
        return self.ours.fileno() in registrations()

    def fill(self) -> None:
        """Leave no room to write."""
        while True:
            try:
                self.ours.send(bytes(65536))
            except BlockingIOError:
                return

    def drain(self) -> None:
        """Let the peer read all."""
        while True:
            try:
                self.theirs.recv(1 << 20)
            except BlockingIOError:
                return


@pytest.fixture
async def descriptor() -> AsyncIterator[Descriptor]:
    descriptor = Descriptor()
    yield descriptor
    for task in descriptor.tasks:
        task.cancel()
    if descriptor.tasks:
        await asyncio.wait(descriptor.tasks)
    descriptor.readiness.close()
    descriptor.ours.close()
    descriptor.theirs.close()
    await turns(2)


async def test_one_event_resumes_one_waiter_and_they_come_in_order(descriptor: Descriptor) -> None:
    for name in "abc":
        descriptor.wait(name, descriptor.readiness.reading)
    await turns()
    for count in (1, 2, 3):
        descriptor.theirs.send(b"x")
        await until(lambda count=count: len(descriptor.resumed) == count)  # type: ignore[misc]
        await turns()
        assert descriptor.resumed == list("abc"[:count])


async def test_whoever_comes_back_queues_behind_those_who_wait(descriptor: Descriptor) -> None:
    for name in "abc":
        descriptor.wait(name, descriptor.readiness.reading, times=3)
    await turns()
    for _ in range(9):
        descriptor.theirs.send(b"x")
    await asyncio.wait(descriptor.tasks)
    assert descriptor.resumed == list("abcabcabc")


async def test_those_who_wait_are_counted_from_the_first_to_the_last(descriptor: Descriptor) -> None:
    reading = descriptor.readiness.reading
    for name in "abc":
        descriptor.wait(name, reading)
    assert reading.waiters == 0
    await turns()
    assert reading.waiters == 3
    descriptor.task("b").cancel()
    await turns()
    assert reading.waiters == 2
    for count, name in ((1, "a"), (0, "c")):
        descriptor.theirs.send(b"x")
        await descriptor.task(name)
        assert reading.waiters == count


@pytest.mark.parametrize("cancelled", ["a", "b"])
async def test_whoever_is_cancelled_leaves_the_event_to_the_next(descriptor: Descriptor, cancelled: str) -> None:
    for name in "abc":
        descriptor.wait(name, descriptor.readiness.reading)
    await turns()
    descriptor.task(cancelled).cancel()
    descriptor.theirs.send(b"xx")
    await asyncio.wait(descriptor.tasks)
    assert descriptor.resumed == [name for name in "abc" if name != cancelled]


async def test_the_last_one_cancelled_in_the_turn_of_the_event_leaves_it_to_whoever_comes(
    descriptor: Descriptor,
) -> None:
    reading = descriptor.readiness.reading
    descriptor.wait("a", reading)
    await turns()
    task = descriptor.task("a")

    def cancel_then_event() -> None:
        task.cancel()
        reading.ready()

    asyncio.get_running_loop().call_soon(cancel_then_event)
    await asyncio.wait([task])
    assert not descriptor.watched
    descriptor.theirs.send(b"x")
    descriptor.wait("b", reading)
    await descriptor.task("b")
    assert descriptor.resumed == ["b"]


async def test_it_is_watched_from_the_first_wait_to_the_first_event_that_nobody_waits_for(
    descriptor: Descriptor,
) -> None:
    assert not descriptor.watched
    descriptor.theirs.send(b"x")
    descriptor.wait("a", descriptor.readiness.reading)
    await descriptor.task("a")
    await turns()
    assert descriptor.watched  # whoever reads once mostly reads again
    descriptor.theirs.send(b"x")
    await turns()
    assert not descriptor.watched
    descriptor.wait("b", descriptor.readiness.reading)
    await descriptor.task("b")
    assert descriptor.resumed == ["a", "b"]


async def test_room_to_write_resumes_no_reader_and_bytes_no_writer(descriptor: Descriptor) -> None:
    readiness = descriptor.readiness
    descriptor.fill()
    descriptor.wait("reader", readiness.reading)
    descriptor.wait("writer", readiness.writing)
    await turns()
    assert descriptor.resumed == []
    descriptor.theirs.send(b"x")
    await turns()
    assert descriptor.resumed == ["reader"]
    descriptor.wait("reader", readiness.reading)
    descriptor.drain()
    await turns()
    assert descriptor.resumed == ["reader", "writer"]


async def test_an_event_for_both_resumes_both(descriptor: Descriptor) -> None:
    descriptor.fill()
    descriptor.wait("reader", descriptor.readiness.reading)
    descriptor.wait("writer", descriptor.readiness.writing)
    await turns()
    descriptor.theirs.close()
    await asyncio.wait(descriptor.tasks)
    assert descriptor.resumed == ["reader", "writer"]


async def test_a_reader_that_closes_when_it_is_resumed_leaves_the_writer_to_the_next_turn(
    descriptor: Descriptor,
) -> None:
    readiness = descriptor.readiness

    async def read_and_close() -> None:
        await readiness.reading.wait()
        descriptor.resumed.append("reader")
        readiness.close()
        await asyncio.sleep(0)
        descriptor.resumed.append("a turn later")

    descriptor.fill()
    descriptor.wait("writer", readiness.writing)
    async with running(read_and_close()):
        await turns()
        descriptor.theirs.close()
        await until(lambda: len(descriptor.resumed) == 3)
    assert descriptor.resumed[0] == "reader"
    assert descriptor.resumed.count("writer") == 1


async def test_closing_resumes_everybody_in_the_next_turn(descriptor: Descriptor) -> None:
    readiness = descriptor.readiness
    descriptor.fill()
    for name in "abc":
        descriptor.wait(name, readiness.reading)
        descriptor.wait(name.upper(), readiness.writing)
    await turns()
    readiness.close()
    assert descriptor.resumed == []
    assert not descriptor.watched
    await asyncio.wait(descriptor.tasks)
    assert sorted(descriptor.resumed) == list("ABCabc")
    assert not descriptor.watched
