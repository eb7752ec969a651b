"""aclose: flush, end both ways, within the close timeout; again, at the same time, cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aionet import BrokenStreamError, StreamResetError, Timeouts
from tests.contract.filling import MUCH, PATIENT, QUEUE_ALL, SMALL_BUFFERS, SOON, receive_all, receive_all_slowly
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory


# --- gracefully -------------------------------------------------------------------------------------------------------


async def test_what_is_queued_arrives_before_the_end(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.aclose()) as closing:
            assert await receive_all_slowly(theirs) == MUCH
            await theirs.aclose()
            await closing


@pytest.mark.parametrize("taken", [0, 1], ids=["none read", "a byte read"])
@pytest.mark.parametrize("size", [1, 100_000, len(MUCH)])
async def test_unread_input_does_not_eat_the_reply(pairs: PairFactory, size: int, taken: int) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL, timeouts=PATIENT) as (ours, theirs):
        await theirs.send(MUCH[:size])
        await until(lambda: ours.statistics().receive_buffer >= min(size, 256 * 1024))  # above that, reading pauses
        await ours.recv_exactly(taken)
        await ours.send(MUCH)
        async with running(ours.aclose()) as closing:
            assert await receive_all_slowly(theirs) == MUCH
            await theirs.aclose()
            await closing


async def test_input_that_comes_after_the_close_does_not_eat_the_reply(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.aclose()) as closing, running(receive_all_slowly(theirs)) as receiving:
            for _ in range(20):
                await theirs.send(bytes(50_000))
                await turns(1)
            assert await receiving == MUCH
            assert ours.statistics().receive_buffer == 0, "kept what nobody will read"
            await theirs.aclose()
            await closing


async def test_aclose_waits_for_the_peers_end(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs), running(ours.aclose()) as closing:
        assert await theirs.recv() == b""
        await turns()
        assert not closing.done()
        await theirs.send_eof()
        await closing


async def test_aclose_after_both_ends_were_sent_waits_for_nothing(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs):
        await asyncio.gather(ours.send_eof(), theirs.send_eof())
        assert await ours.recv() == b""
        assert await theirs.recv() == b""
        await ours.aclose()
        await theirs.aclose()


async def test_both_ends_may_close_at_the_same_time(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs):
        await ours.send(b"unread")
        await theirs.send(b"unread")
        await asyncio.gather(ours.aclose(), theirs.aclose())


async def test_a_peer_that_is_gone_is_not_waited_for(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs):
        theirs.abort()
        await ours.aclose()


async def test_a_peer_that_goes_away_during_the_close_ends_it(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL, timeouts=PATIENT) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.aclose()) as closing:
            await turns()
            theirs.abort()
            await closing


# --- within the close timeout -----------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_is_waited_for_no_longer_than_the_close_timeout(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL, timeouts=SOON) as (ours, theirs):
        await ours.send(MUCH)
        await ours.aclose()
        if pairs.resets:
            with pytest.raises(StreamResetError):
                await receive_all(theirs)
        else:
            assert MUCH.startswith(await receive_all(theirs))


async def test_a_peer_that_does_not_end_is_waited_for_no_longer_than_the_close_timeout(pairs: PairFactory) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):
        await ours.aclose()
        assert await theirs.recv() == b""


async def test_a_peer_that_sends_for_ever_is_waited_for_no_longer_than_the_close_timeout(pairs: PairFactory) -> None:
    async with pairs(timeouts=SOON) as (ours, theirs):

        async def send_for_ever() -> None:
            with pytest.raises(BrokenStreamError):
                while True:
                    await theirs.send(bytes(10_000))

        async with running(send_for_ever()) as sending:
            await ours.aclose()
            await sending


async def test_a_close_timeout_of_zero_waits_for_nothing(pairs: PairFactory) -> None:
    async with pairs(timeouts=Timeouts(close=0)) as (ours, theirs):
        await ours.send(b"x")
        await ours.aclose()
        assert await theirs.recv() == b"x"


async def test_an_abort_cuts_a_close_short(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, _), running(ours.aclose()) as closing:
        await turns()
        assert not closing.done()
        ours.abort()
        await closing


# --- again, at the same time, cancelled -------------------------------------------------------------------------------


async def test_aclose_may_be_called_again(pairs: PairFactory) -> None:
    async with pairs(timeouts=SOON) as (ours, _):
        for _ in range(3):
            await ours.aclose()
        ours.abort()
        await ours.aclose()


async def test_aclose_may_be_called_by_several_tasks(pairs: PairFactory) -> None:
    async with (
        pairs(timeouts=PATIENT) as (ours, theirs),
        running(ours.aclose()) as one,
        running(ours.aclose()) as other,
        running(ours.aclose()),
    ):
        await turns()
        assert (one.done(), other.done()) == (False, False)
        await theirs.aclose()
        await asyncio.gather(one, other)


async def test_a_cancelled_aclose_still_closes(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL, timeouts=PATIENT) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.aclose()) as closing:
            await turns()
        assert closing.cancelled()
        assert ours.closed
        assert await receive_all_slowly(theirs) == MUCH
        await theirs.aclose()
        await ours.aclose()


async def test_an_aclose_that_is_cancelled_in_its_first_turn_still_closes(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await ours.aclose()
        assert await theirs.recv() == b""
        await theirs.aclose()
        await ours.aclose()


async def test_cancelling_one_aclose_leaves_the_others_waiting(pairs: PairFactory) -> None:
    async with pairs(timeouts=PATIENT) as (ours, theirs), running(ours.aclose()) as closing:
        async with running(ours.aclose()):
            await turns()
        await turns()
        assert not closing.done()
        await theirs.aclose()
        await closing
