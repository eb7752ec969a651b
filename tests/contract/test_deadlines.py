"""The deadlines of a stream: each ends it, and everybody who uses it is told which one it was."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from aionet import BrokenStreamError, LimitError, Stream, StreamResetError, StreamTimeoutError, Timeouts
from tests.contract.filling import MUCH, SMALL_BUFFERS
from tests.contract.test_cancelling import RECEIVES
from tests.turns import running, turns, unless_held_up, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.contract.pairs import PairFactory

# Shorter than anything but a peer that does nothing.
SOON = Timeouts(message=0.02)

MESSAGES: dict[str, Callable[[Stream], Coroutine[Any, Any, bytes]]] = {
    "recv_exactly": lambda stream: stream.recv_exactly(1 << 20),
    "recv_until": lambda stream: stream.recv_until(b"\r\n", max_bytes=1 << 20),
    "recv_line": lambda stream: stream.recv_line(max_bytes=1 << 20),
}
each_message = pytest.mark.parametrize("receive", MESSAGES.values(), ids=MESSAGES)


@each_message
async def test_a_message_that_does_not_come_in_time_ends_the_stream(
    pairs: PairFactory, receive: Callable[[Stream], Coroutine[Any, Any, bytes]]
) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):
        both = f"{ours.local} <- {ours.peer}"
        with pytest.raises(StreamTimeoutError, match=r"within 0\.02 s") as caught:
            await receive(ours)
        assert str(caught.value).partition(" on ")[0] in MESSAGES
        assert both in str(caught.value)
        assert isinstance(caught.value, LimitError)
        assert isinstance(caught.value, TimeoutError)
        if pairs.resets:
            with pytest.raises(StreamResetError):
                await theirs.recv()
        else:
            assert await theirs.recv() == b""


@each_message
async def test_drips_do_not_give_a_message_more_time(
    pairs: PairFactory, receive: Callable[[Stream], Coroutine[Any, Any, bytes]]
) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs), running(receive(ours)) as receiving:
        while not receiving.done():
            with suppress(BrokenStreamError):  # cut off, and the receiver does not know it yet
                if theirs.statistics().bytes_sent < 1 << 19:
                    await theirs.send(b"x")
            await turns(1)
        with pytest.raises(StreamTimeoutError):
            await receiving


@unless_held_up(0.1)
async def test_each_message_has_the_whole_time(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()
    async with pairs(timeouts=Timeouts(message=0.2)) as (ours, theirs):
        begun = loop.time()
        while loop.time() - begun < 0.3:
            async with running(ours.recv_line()) as receiving:
                await turns()
                await theirs.send(b"x\n")
                assert await receiving == b"x\n"


async def test_recv_has_no_message_to_wait_for(pairs: PairFactory) -> None:
    loop = asyncio.get_running_loop()
    async with pairs(timeouts=SOON) as (ours, theirs), running(ours.recv()) as receiving:
        passed = asyncio.Event()
        loop.call_later(0.06, passed.set)
        await passed.wait()
        await theirs.send(b"x")
        assert await receiving == b"x"


async def test_a_callers_own_timeout_is_not_the_message_timeout(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(message=30)) as (ours, theirs):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.001):
                await ours.recv_line()
        assert not isinstance(caught.value, StreamTimeoutError)
        await theirs.send(b"x\n")
        assert await ours.recv_line() == b"x\n"


@each_message
async def test_another_deadline_that_ends_the_stream_is_named_and_not_the_message_timeout(
    pairs: PairFactory, receive: Callable[[Stream], Coroutine[Any, Any, bytes]]
) -> None:
    async with pairs(timeouts=Timeouts(message=30, idle=0.02)) as (ours, _):
        with pytest.raises(StreamTimeoutError, match=r"idle for 0\.02 s"):
            await receive(ours)


async def test_a_deadline_names_the_operation_and_both_ends(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(idle=0.02)) as (ours, _):
        with pytest.raises(StreamTimeoutError) as caught:
            await ours.recv()
        assert str(caught.value).startswith(f"recv on {ours.local} <- {ours.peer}: ")


# --- idle, first bytes, write stall -----------------------------------------------------------------------------------


async def silence(seconds: float) -> None:
    """Let real time pass in which nothing happens: that is what these deadlines are about."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, passed.set)
    await passed.wait()


async def test_a_silent_peer_ends_the_stream_after_the_idle_timeout(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(idle=0.02)) as (ours, _):
        with pytest.raises(StreamTimeoutError, match=r"idle for 0\.02 s"):
            await ours.recv()


@pytest.mark.parametrize("direction", ["received", "sent"])
@unless_held_up(0.1)
async def test_bytes_in_either_direction_are_not_idle(pairs: PairFactory, direction: str) -> None:
    async with pairs(timeouts=Timeouts(idle=0.2)) as (ours, theirs):
        for _ in range(6):
            await silence(0.05)
            await (theirs if direction == "received" else ours).send(b"x")
        await ours.flush()
        assert ours.get_extra_info("socket").fileno() >= 0


@unless_held_up(0.01)
async def test_a_peer_that_sends_nothing_at_first_ends_the_stream(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(first_bytes=0.02)) as (ours, _):
        await ours.send(b"what we send is not what the peer sends")
        with pytest.raises(StreamTimeoutError, match=r"no byte within 0\.02 s"):
            await ours.recv()


@unless_held_up(0.05)
async def test_after_the_first_byte_the_peer_may_be_silent(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(first_bytes=0.1)) as (ours, theirs):
        await theirs.send(b"x")
        await ours.send(b"x")
        assert await ours.recv() == b"x"
        async with running(ours.recv()) as receiving:
            await silence(0.3)
            assert not receiving.done()


async def test_a_peer_that_does_not_read_ends_the_stream_after_the_write_stall_timeout(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, timeouts=Timeouts(write_stall=0.02)) as (ours, _):
        with pytest.raises(StreamTimeoutError, match=r"0\.02 s"):
            await ours.send(MUCH)


async def test_a_peer_that_reads_in_drips_ends_the_stream_after_the_write_stall_timeout(pairs: PairFactory) -> None:
    async def drip(stream: Stream) -> None:
        while True:
            await stream.recv(1)
            await turns(1)

    async with (
        pairs(options=SMALL_BUFFERS, timeouts=Timeouts(write_stall=0.05)) as (ours, theirs),
        running(drip(theirs)) as dripping,
    ):
        with pytest.raises(StreamTimeoutError):
            await ours.send(MUCH)
        dripping.cancel()
        await asyncio.wait([dripping])


@unless_held_up(0.05)
async def test_a_peer_that_reads_in_time_is_no_stall(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, timeouts=Timeouts(write_stall=0.2)) as (ours, theirs):
        for _ in range(2):
            async with running(ours.send(MUCH)) as sending:
                await silence(0.05)
                assert await theirs.recv_exactly(len(MUCH)) == MUCH
                await sending
        await silence(0.3)  # nothing waits to leave now
        await ours.send(b"x")


OPERATIONS: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    **RECEIVES,
    "send": lambda stream: stream.send(b"x"),
    "send_many": lambda stream: stream.send_many([b"x"]),
    "sendfile": lambda stream: stream.sendfile(io.BytesIO(b"x")),
    "send_eof": lambda stream: stream.send_eof(),
    "flush": lambda stream: stream.flush(),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_after_a_deadline_every_operation_says_which_and_on_what(
    pairs: PairFactory, operation: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs(timeouts=Timeouts(idle=0.02)) as (ours, _):
        with pytest.raises(StreamTimeoutError):
            await ours.recv()
        for _ in range(2):
            with pytest.raises(StreamTimeoutError, match="idle for") as caught:
                await operation(ours)
            name, _, rest = str(caught.value).partition(" on ")
            assert name in OPERATIONS
            assert str(ours.local) in rest
            assert str(ours.peer) in rest


async def test_a_deadline_resumes_everybody_who_waits(pairs: PairFactory) -> None:
    async with (
        pairs(options=SMALL_BUFFERS, timeouts=Timeouts(write_stall=0.02)) as (ours, _),
        running(ours.recv()) as receiving,
        running(ours.send(MUCH)) as sending,
        running(ours.flush()) as flushing,
    ):
        await until(lambda: receiving.done() and sending.done() and flushing.done())
        for waiting in (receiving, sending, flushing):
            assert isinstance(waiting.exception(), StreamTimeoutError)
