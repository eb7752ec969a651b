"""The harness itself: that it finds what an operation leaves behind."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from aionet.system.poller import READABLE, WRITABLE, poller_of
from aionet.system.wakeup import Wakeup
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def pair() -> AsyncGenerator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def nothing(_scene: object, _result: object) -> None:
    """Check nothing but what the harness checks."""


@every_moment
async def test_each_suspension_is_cancelled_once(moment: Moment) -> None:
    reached: list[int] = []

    async def three_steps(scene: object) -> str:
        for number in range(3):
            try:
                await asyncio.sleep(0.001 * number)
            except asyncio.CancelledError:
                reached.append(number)
                raise
        return "all of it"

    results: list[object] = []

    async def note(_scene: object, result: object) -> None:
        results.append(result)

    assert await cancel_everywhere(pair, three_steps, note, moment=moment) == 3
    assert reached == [0, 1, 2]
    assert results == [None, None, None, "all of it"]


@every_moment
async def test_the_suspensions_of_its_own_tasks_count_too(moment: Moment) -> None:
    async def one_step() -> None:
        await asyncio.sleep(0)

    async def two_tasks(scene: object) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one_step())
            group.create_task(one_step())

    assert await cancel_everywhere(pair, two_tasks, nothing, moment=moment) == 3


@every_moment
async def test_the_other_side_takes_its_steps_meanwhile(moment: Moment) -> None:
    async def receive(scene: tuple[socket.socket, socket.socket]) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.sock_recv(scene[0], 1) + await loop.sock_recv(scene[0], 1)

    def send(scene: tuple[socket.socket, socket.socket], number: int) -> None:
        scene[1].send(b"%d" % number)

    async def all_received(scene: object, result: bytes | None) -> None:
        assert result in (None, b"12")

    assert await cancel_everywhere(pair, receive, all_received, moment=moment, at_each=send) == 2


async def test_a_cancel_at_the_event_of_a_future_finds_it_done() -> None:
    done: list[bool] = []

    async def wait(scene: object) -> None:
        event = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(event.set_result, None)
        try:
            await event
        except asyncio.CancelledError:
            done.append(event.done() and not event.cancelled())
            raise

    await cancel_everywhere(pair, wait, nothing, moment=Moment.EVENT)
    assert done == [True]


async def test_a_cancel_at_the_event_of_a_wakeup_is_there_before_the_event() -> None:
    came: list[str] = []
    poller = poller_of(asyncio.get_running_loop())

    async def wait(scene: tuple[socket.socket, socket.socket]) -> None:
        wakeup = Wakeup(asyncio.get_running_loop())

        def readable(_events: int) -> None:
            came.append("waiting" if wakeup.waiting else "cancelled")
            wakeup.wake()

        poller.watch(scene[0].fileno(), READABLE, readable)
        try:
            await wakeup
        finally:
            poller.forget(scene[0].fileno())

    def send(scene: tuple[socket.socket, socket.socket], _number: int) -> None:
        scene[1].send(b"x")

    assert await cancel_everywhere(pair, wait, nothing, moment=Moment.EVENT, at_each=send) == 1
    assert came == ["cancelled", "waiting"]


@every_moment
async def test_a_descriptor_that_is_left_open_is_found(moment: Moment) -> None:
    kept: list[socket.socket] = []

    async def open_and_wait(scene: object) -> None:
        sock = socket.socket()
        kept.append(sock)
        await asyncio.sleep(0)
        sock.close()

    with pytest.raises(pytest.fail.Exception, match=r"descriptor \d+ -> socket"):
        await cancel_everywhere(pair, open_and_wait, nothing, moment=moment, grace=0.01)
    kept.pop().close()


@every_moment
async def test_a_task_that_goes_on_is_found(moment: Moment) -> None:
    started: list[asyncio.Task[None]] = []

    async def start_and_wait(scene: object) -> None:
        started.append(asyncio.create_task(asyncio.sleep(3600)))
        await asyncio.sleep(0)
        started.pop().cancel()

    with pytest.raises(pytest.fail.Exception, match="sleep"):
        await cancel_everywhere(pair, start_and_wait, nothing, moment=moment, grace=0.01)
    started.pop().cancel()


@every_moment
async def test_a_registration_that_stays_is_found(moment: Moment) -> None:
    poller = poller_of(asyncio.get_running_loop())
    stale: list[int] = []

    async def watch_and_wait(scene: tuple[socket.socket, socket.socket]) -> None:
        stale.append(scene[0].fileno())
        poller.watch(scene[0].fileno(), WRITABLE, lambda _events: None)
        await asyncio.sleep(0)
        poller.forget(scene[0].fileno())

    @asynccontextmanager
    async def kept_pair() -> AsyncGenerator[tuple[socket.socket, socket.socket]]:
        yield kept

    async with pair() as kept:
        with pytest.raises(pytest.fail.Exception, match=r"registered: descriptor \d+"):
            await cancel_everywhere(kept_pair, watch_and_wait, nothing, moment=moment, grace=0.01)
        poller.forget(stale.pop())


@every_moment
async def test_a_cancel_that_is_swallowed_is_found(moment: Moment) -> None:
    async def deaf(scene: object) -> str:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        return "never mind"

    with pytest.raises(AssertionError, match="the cancel at suspension 1 was swallowed"):
        await cancel_everywhere(pair, deaf, nothing, moment=moment)
