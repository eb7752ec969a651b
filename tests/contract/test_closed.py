"""abort: now. After a close, everything says that you closed it. ``async with`` closes at the end of the block."""

from __future__ import annotations

import asyncio
import io
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from aionet import BrokenStreamError, ClosedStreamError, Stream, StreamResetError
from tests.contract.filling import MUCH, PATIENT, QUEUE_ALL, SMALL_BUFFERS, SOON, receive_all_slowly
from tests.contract.test_cancelling import RECEIVES, Receive
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.contract.pairs import PairFactory


async def sendfile_of_nothing(stream: Stream) -> None:
    """Send a file in which there is nothing."""
    with tempfile.TemporaryFile() as file:
        await stream.sendfile(file)


SENDS: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "send": lambda stream: stream.send(b"x"),
    "send nothing": lambda stream: stream.send(b""),
    "send_many": lambda stream: stream.send_many([b"x"]),
    "send_many of nothing": lambda stream: stream.send_many([]),
    "sendfile": lambda stream: stream.sendfile(io.BytesIO(b"x")),
    "sendfile of nothing": sendfile_of_nothing,
    "sendfile of nothing in memory": lambda stream: stream.sendfile(io.BytesIO()),
    "send_eof": lambda stream: stream.send_eof(),
    "flush": lambda stream: stream.flush(),
}
OPERATIONS: dict[str, Callable[[Stream], Any]] = {
    **SENDS,
    **RECEIVES,
    "recv_exactly nothing": lambda stream: stream.recv_exactly(0),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


# --- abort ------------------------------------------------------------------------------------------------------------


async def test_an_abort_is_a_reset_for_the_peer(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs):
        ours.abort()
        with pytest.raises(StreamResetError):
            await theirs.recv()


async def test_an_abort_ends_the_stream_for_the_peer(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(theirs.recv()) as receiving:
        await turns()
        ours.abort()
        await asyncio.wait([receiving])
        assert isinstance(receiving.exception(), StreamResetError) or receiving.result() == b""
        with pytest.raises(BrokenStreamError):
            await theirs.send(b"x")


async def test_an_abort_drops_what_is_queued(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):
        await ours.send(MUCH)
        ours.abort()
        ours.abort()
        assert ours.statistics().write_queue == 0
        received = 0
        try:
            async for data in theirs:
                received += len(data)
        except StreamResetError:
            assert pairs.resets
        assert received < len(MUCH)


# --- afterwards -------------------------------------------------------------------------------------------------------


@each_operation
@pytest.mark.parametrize("how", ["aclose", "closing", "abort"])
async def test_after_the_close_every_operation_raises_that_you_closed_it(
    pairs: PairFactory, operation: Callable[[Stream], Any], how: str
) -> None:
    async with pairs(timeouts=SOON if how == "aclose" else PATIENT) as (ours, theirs):
        await theirs.send(b"unread\n")
        await until(lambda: ours.statistics().receive_buffer)
        if how == "aclose":
            await ours.aclose()
        elif how == "abort":
            ours.abort()
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await ours.aclose()
        assert ours.closed
        for _ in range(2):
            with pytest.raises(ClosedStreamError) as caught:
                await operation(ours)
            assert str(caught.value).partition(" on ")[0] in OPERATIONS
            assert str(ours.local) in str(caught.value)
            assert str(ours.peer) in str(caught.value)
            assert isinstance(caught.value, OSError)
            assert not isinstance(caught.value, ConnectionError)
            await turns(1)


@each_operation
async def test_after_the_close_it_is_not_said_that_the_peer_broke_it(
    pairs: PairFactory, operation: Callable[[Stream], Any]
) -> None:
    async with pairs() as (ours, theirs):
        theirs.abort()
        with pytest.raises(BrokenStreamError):
            await ours.send(b"x")
        await ours.aclose()
        with pytest.raises(ClosedStreamError):
            await operation(ours)


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_after_the_close_the_peers_end_is_no_end_of_stream(pairs: PairFactory, receive: Receive) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):
        await theirs.send_eof()
        assert await ours.recv() == b""
        await ours.aclose()
        for _ in range(2):
            with pytest.raises(ClosedStreamError):
                await receive(ours)


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
@pytest.mark.parametrize("how", ["aclose", "abort"])
async def test_a_close_resumes_a_receiver_and_says_that_you_closed_it(
    pairs: PairFactory, receive: Receive, how: str
) -> None:
    async with pairs(timeouts=SOON) as (ours, _), running(receive(ours)) as receiving:
        await turns()
        if how == "aclose":
            await ours.aclose()
        else:
            ours.abort()
        with pytest.raises(ClosedStreamError):
            await receiving


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_a_close_that_waits_for_the_peer_has_resumed_a_receiver(pairs: PairFactory, receive: Receive) -> None:
    async with pairs(timeouts=PATIENT) as (ours, _), running(receive(ours)) as receiving:
        await turns()
        async with running(ours.aclose()) as closing:
            with pytest.raises(ClosedStreamError):
                await receiving
            assert not closing.done()


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_right_after_a_close_it_is_not_said_that_somebody_else_receives(
    pairs: PairFactory, receive: Receive
) -> None:
    async with pairs() as (ours, _), running(ours.recv()) as receiving:
        await turns()
        ours.abort()
        with pytest.raises(ClosedStreamError):
            await receive(ours)
        with pytest.raises(ClosedStreamError):
            await receiving


async def test_a_close_that_waits_for_the_peer_has_resumed_blocked_senders(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, timeouts=PATIENT) as (ours, _), running(ours.send(MUCH)) as sending:
        await turns()
        async with running(ours.aclose()) as closing:
            with pytest.raises(ClosedStreamError):
                await sending
            assert not closing.done()


@pytest.mark.parametrize("how", ["aclose", "abort"])
async def test_a_close_resumes_blocked_senders(pairs: PairFactory, how: str) -> None:
    async with (
        pairs(options=SMALL_BUFFERS, timeouts=SOON) as (ours, _),
        running(ours.send(MUCH)) as one,
        running(ours.send_many([b"x"])) as other,
    ):
        await turns()
        if how == "aclose":
            await ours.aclose()
        else:
            ours.abort()
        for sending in (one, other):
            with pytest.raises(ClosedStreamError):
                await sending


# --- async with -------------------------------------------------------------------------------------------------------


async def test_the_block_closes_gracefully_at_its_end(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):

        async def use() -> None:
            async with ours as stream:
                assert stream is ours
                await stream.send(MUCH)

        async with running(use()) as using:
            assert await receive_all_slowly(theirs) == MUCH
            assert not using.done()
            await theirs.aclose()
            await using
        assert ours.closed


async def test_the_block_closes_and_lets_an_exception_through(pairs: PairFactory) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):
        with pytest.raises(ZeroDivisionError):
            async with ours:
                raise ZeroDivisionError
        assert ours.closed
        assert await theirs.recv() == b""


async def test_the_block_closes_without_waiting_when_it_is_cancelled(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL, timeouts=PATIENT) as (ours, theirs):

        async def use() -> None:
            async with ours:
                await ours.send(MUCH)
                await ours.recv()

        async with running(use()) as using:
            await turns()
        assert using.cancelled()
        assert ours.closed
        assert await receive_all_slowly(theirs) == MUCH
        await theirs.aclose()


async def test_the_block_may_close_its_own_stream(pairs: PairFactory) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):
        async with ours:
            await ours.aclose()
        async with theirs:
            theirs.abort()
