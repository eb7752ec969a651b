"""A stream that is dropped unclosed is closed and says so; one that somebody waits on is not dropped."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import Stream, StreamResetError
from tests.contract.filling import MUCH, PATIENT, SMALL_BUFFERS, receive_all, receive_all_slowly
from tests.leaks import open_descriptors
from tests.turns import turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory

REPOSITORY = Path(__file__).parents[2]


def drop(held: list[Stream]) -> None:
    """Let go of streams that tracebacks may hold on to."""
    held.clear()
    gc.collect()


async def test_a_dropped_stream_warns_with_both_ends_and_is_closed(pairs: PairFactory) -> None:
    before = len(open_descriptors())
    ours, theirs = await pairs.open()
    both = f"{ours.local} <-> {ours.peer}"
    with pytest.warns(ResourceWarning, match="unclosed stream") as caught:
        del ours
    assert len(caught) == 1
    assert both in str(caught[0].message)
    await until(lambda: len(open_descriptors()) == before + 1)
    try:
        assert await theirs.recv() == b""
    except StreamResetError:
        assert pairs.resets
    theirs.abort()


async def test_a_dropped_stream_needs_no_garbage_collector(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open()
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="unclosed stream"):
            del ours
    finally:
        gc.enable()
    theirs.abort()


async def test_a_dropped_stream_that_was_used_warns_too(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open(options=SMALL_BUFFERS)
    await ours.send(b"x")
    await theirs.send(b"x")
    assert await ours.recv() == b"x"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await ours.recv()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await ours.send(MUCH)
    await turns()  # the tracebacks of both are held until the task has been resumed again
    held = [ours]
    del ours
    with pytest.warns(ResourceWarning, match="unclosed stream"):
        drop(held)
    theirs.abort()


@pytest.mark.filterwarnings("error")
async def test_a_closed_stream_is_dropped_in_silence(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open(timeouts=PATIENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await ours.aclose()
    del ours
    gc.collect()
    assert await theirs.recv() == b""  # and still closes gracefully
    theirs.abort()
    del theirs
    gc.collect()


async def test_a_closed_stream_leaves_nothing_behind(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open()
    await asyncio.gather(ours.aclose(), theirs.aclose())
    kept: list[weakref.ref[Any]] = [weakref.ref(each) for each in (ours, theirs, ours._transport, theirs._transport)]
    del ours, theirs
    await turns()
    gc.collect()
    assert [each() for each in kept] == [None] * 4


async def test_a_receiver_that_nobody_else_holds_is_resumed(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open()
    received: list[bytes] = []

    async def receive_and_close(stream: Stream) -> None:
        async with stream:
            received.append(await stream.recv())

    waiting = weakref.ref(asyncio.create_task(receive_and_close(ours)))
    await turns()
    del ours
    gc.collect()
    assert waiting() is not None
    await theirs.send(b"x")
    await until(lambda: received == [b"x"])
    await theirs.aclose()


async def test_a_sender_that_nobody_else_holds_is_resumed(pairs: PairFactory) -> None:
    ours, theirs = await pairs.open(options=SMALL_BUFFERS)

    async def send_and_close(stream: Stream) -> None:
        async with stream:
            await stream.send(MUCH)
            await stream.send_many([MUCH])
            await stream.flush()

    waiting = weakref.ref(asyncio.create_task(send_and_close(ours)))
    await turns()
    del ours
    gc.collect()
    assert waiting() is not None
    assert await receive_all_slowly(theirs) == MUCH + MUCH
    await theirs.aclose()


async def test_collecting_garbage_all_the_time_harms_no_stream(pairs: PairFactory) -> None:
    async def echo(stream: Stream) -> None:
        async with stream:
            async for data in stream:
                gc.collect(0)
                await stream.send(data)

    async with pairs() as (ours, theirs):
        echoing = asyncio.create_task(echo(theirs))
        del theirs
        for number in range(12):
            await ours.send(b"%d" % number)
            gc.collect(2 if number % 4 == 0 else 1)
            assert await ours.recv_exactly(len(b"%d" % number)) == b"%d" % number
        await ours.send_eof()
        assert await receive_all(ours) == b""
        await ours.aclose()
        await echoing


DROP_A_STREAM = """
import asyncio, gc, sys
import aionet
from tests.contract.pairs import FACTORIES

async def main(name):
    pairs = next(factory for factory in FACTORIES if factory.name == name)
    ours, theirs = await pairs.open()
    del ours
    gc.collect()
    theirs.abort()

aionet.run(main(sys.argv[1]), loop=sys.argv[2])
"""


def run_dropping(pairs: PairFactory, loop: str, *arguments: str) -> str:
    """Drop a stream in a process of its own; return what that says."""
    result = subprocess.run(
        [sys.executable, *arguments, "-c", DROP_A_STREAM, pairs.name, loop],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return result.stderr


@pytest.mark.parametrize("loop", aionet.available_loops())
def test_in_dev_mode_the_warning_says_where_the_stream_was_opened(pairs: PairFactory, loop: str) -> None:
    output = run_dropping(pairs, loop, "-X", "dev")
    assert output.count("ResourceWarning: unclosed stream") == 1
    assert "opened at" in output
    assert "tests/contract/pairs.py" in output


@pytest.mark.parametrize("loop", aionet.available_loops())
def test_outside_dev_mode_nothing_walks_the_stack(pairs: PairFactory, loop: str) -> None:
    output = run_dropping(pairs, loop, "-W", "always::ResourceWarning")
    assert output.count("ResourceWarning: unclosed stream") == 1
    assert "opened at" not in output


@pytest.mark.parametrize("loop", aionet.available_loops())
def test_a_stream_that_outlives_its_loop_is_closed_too(pairs: PairFactory, loop: str) -> None:
    streams = aionet.run(pairs.open(), loop=loop)
    with pytest.warns(ResourceWarning, match="unclosed stream") as caught:
        del streams
    assert len(caught) == 2
