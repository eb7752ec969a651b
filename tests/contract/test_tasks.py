"""Every kind of task may use a stream: eager ones, those in Python, in debug mode; and be looked at meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import Stream
from tests.contract.filling import MUCH, SMALL_BUFFERS, echo, receive_all
from tests.contract.pairs import FACTORIES
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.pairs import PairFactory

REPOSITORY = Path(__file__).parents[2]


async def converse(pairs: PairFactory) -> None:
    """Do what tasks do to streams: wait, be resumed, be cancelled, time out, be blocked."""
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), asyncio.TaskGroup() as group:
        echoing = group.create_task(echo(theirs))
        for _ in range(3):
            await turns()
            await ours.send(b"hello\n")
            assert await ours.recv_line() == b"hello\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ours.recv()
        receiving = group.create_task(ours.recv())
        await turns()
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        sending = group.create_task(ours.send(MUCH))
        assert await ours.recv_exactly(len(MUCH)) == MUCH
        await sending
        await ours.send_eof()
        await echoing
        await theirs.send_eof()
        assert await receive_all(ours) == b""


async def test_tasks_written_in_python_are_resumed_too(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any) -> Any:
        return asyncio.tasks._PyTask(coroutine, loop=loop, **arguments)  # type: ignore[attr-defined]

    loop.set_task_factory(make)
    try:
        conversation = loop.create_task(converse(pairs))
        assert type(conversation).__module__ == "asyncio.tasks"
        await conversation
    finally:
        loop.set_task_factory(None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks come with Python 3.12")
async def test_eager_tasks_are_resumed_too(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()

    # asyncio.eager_task_factory does this, but for the argument that uvloop hands over on every Python.
    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any) -> Any:
        arguments["eager_start"] = True
        return asyncio.Task(coroutine, loop=loop, **arguments)

    loop.set_task_factory(make)
    try:
        await loop.create_task(converse(pairs))
        async with pairs() as (ours, theirs):
            await theirs.send(b"x")
            await until(lambda: ours.statistics().receive_buffer)
            receiving = loop.create_task(ours.recv())
            assert receiving.done()
            assert receiving.result() == b"x"
            waiting = loop.create_task(ours.recv())
            assert not waiting.done()
            await theirs.send(b"y")
            assert await waiting == b"y"
    finally:
        loop.set_task_factory(None)


async def test_debug_mode_changes_nothing(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    try:
        await loop.create_task(converse(pairs))
    finally:
        loop.set_debug(False)


CONVERSE = """
import sys
import aionet
from tests.contract.pairs import FACTORIES
from tests.contract.test_tasks import converse

for factory in FACTORIES:
    print(factory.name)
    aionet.run(converse(factory), loop=sys.argv[1])
"""


@pytest.mark.parametrize("loop", aionet.available_loops())
@pytest.mark.parametrize("mode", ["PYTHONASYNCIODEBUG", "PYTHONDEVMODE"])
def test_a_process_in_debug_mode_has_nothing_to_say(loop: str, mode: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CONVERSE, loop],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), mode: "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # How long a step took says something about the machine alone.
    said = [line for line in result.stderr.splitlines() if "took" not in line and "seconds" not in line]
    assert (said, result.stdout.split()) == ([], [factory.name for factory in FACTORIES])
    assert result.returncode == 0


async def test_a_waiting_task_can_be_looked_at(pairs: PairFactory) -> None:
    async with pairs() as (ours, _), running(ours.recv()) as receiving:
        await turns()
        assert "recv" in repr(receiving)
        assert receiving in asyncio.all_tasks()
        assert any(frame.f_code.co_name == "recv" for frame in receiving.get_stack())


async def test_a_shielded_receive_goes_on_when_its_waiter_is_cancelled(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv()) as receiving:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(receiving), 0.001)
        await theirs.send(b"x")
        assert await receiving == b"x"


async def test_a_receive_may_be_waited_for_with_others(pairs: PairFactory) -> None:
    async with pairs() as (one, theirs), pairs() as (other, _):
        tasks = [asyncio.create_task(stream.recv()) for stream in (one, other)]
        await turns()
        await theirs.send(b"x")
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [b"x"]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_an_async_generator_may_wrap_a_stream(pairs: PairFactory) -> None:
    async def lines(stream: Stream) -> AsyncIterator[bytes]:
        while line := await stream.recv_line():
            yield line

    async with pairs() as (ours, theirs):
        await theirs.send(b"a\nb\nc")
        await theirs.send_eof()
        assert [line async for line in lines(ours)] == [b"a\n", b"b\n", b"c"]


async def test_anext_serves_where_async_for_does(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"one")
        assert await anext(ours) == b"one"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(ours), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(ours)
        await theirs.send(b"two")
        assert await asyncio.wait_for(anext(ours), 10) == b"two"
        await theirs.send(b"three")
        (received,) = await asyncio.gather(anext(ours))
        assert received == b"three"
        await theirs.send_eof()
        assert await anext(ours, b"the end") == b"the end"
        with pytest.raises(StopAsyncIteration):
            await anext(ours)


async def test_async_for_may_be_left_and_taken_up_again(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"one\ntwo\nthree")
        async for data in ours:
            assert data == b"one\ntwo\nthree"
            break
        await theirs.send(b"four")
        await theirs.send_eof()
        assert [data async for data in ours] == [b"four"]
