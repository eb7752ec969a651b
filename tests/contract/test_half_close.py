"""send_eof: the peer reads the end, and we can still read. flush: all has been handed to the kernel."""

from __future__ import annotations

import asyncio
import io
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aionet import BrokenStreamError, ClosedStreamError, Limits, Stream
from tests.contract.filling import MUCH, SMALL_BUFFERS, receive_all, receive_all_slowly
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from tests.contract.pairs import PairFactory


@contextmanager
def no_descriptors() -> Generator[None]:
    """Have the system give this process no further descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_after_our_end_the_peer_may_go_on_sending(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await ours.send(b"question")
        await ours.send_eof()
        assert await receive_all(theirs) == b"question"
        for number in range(3):
            await theirs.send(b"%d" % number)
            assert await ours.recv() == b"%d" % number
        await theirs.send_eof()
        assert await ours.recv() == b""


async def test_our_end_resumes_no_receiver_of_ours(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv()) as receiving:
        await turns()
        await ours.send_eof()
        await turns()
        assert not receiving.done()
        await theirs.send(b"x")
        assert await receiving == b"x"


async def test_the_end_comes_after_all_that_was_queued(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.send_eof()) as ending:
            await turns()
            assert not ending.done()
            assert await receive_all_slowly(theirs) == MUCH
            await ending


async def test_the_end_is_sent_though_there_is_no_descriptor_left(pairs: PairFactory) -> None:
    """TLS needs some for it, and waits for them."""
    async with pairs() as (ours, theirs):
        with no_descriptors():
            await ours.send_eof()
            await theirs.send(b"still here")
            assert await ours.recv() == b"still here"
        assert await theirs.recv() == b""
        await theirs.send(b"and now")
        assert await ours.recv() == b"and now"


async def test_the_end_may_be_sent_twice(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await ours.send(b"x")
        await ours.send_eof()
        await ours.send_eof()
        await asyncio.gather(ours.send_eof(), ours.send_eof())
        assert await receive_all(theirs) == b"x"


async def test_a_cancelled_send_eof_is_sent_all_the_same(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.send_eof()) as ending:
            await turns()
        assert ending.cancelled()
        assert await receive_all_slowly(theirs) == MUCH


@pytest.mark.parametrize(
    "send",
    [
        lambda stream: stream.send(b"x"),
        lambda stream: stream.send(b""),
        lambda stream: stream.send_many([b"x"]),
        lambda stream: stream.send_many([]),
        lambda stream: stream.sendfile(io.BytesIO(b"x")),
    ],
    ids=["send", "send nothing", "send_many", "send_many of nothing", "sendfile"],
)
@pytest.mark.parametrize("queued", [b"", MUCH], ids=["sent", "queued"])
async def test_sending_after_our_end_raises_that_we_closed(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]], queued: bytes
) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(queued)
        async with running(ours.send_eof()) as ending:
            await turns()
            for _ in range(2):
                with pytest.raises(ClosedStreamError, match="send_eof") as caught:
                    await send(ours)
                assert f"{ours.local} -> {ours.peer}" in str(caught.value)
            assert await receive_all(theirs) == queued
            await ending
            with pytest.raises(ClosedStreamError, match="send_eof"):
                await send(ours)


async def test_the_peers_end_leaves_us_sending(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):
        await theirs.send_eof()
        assert await ours.recv() == b""
        async with running(receive_all_slowly(theirs)) as receiving:
            await ours.send(MUCH)
            await ours.send_eof()
            assert await receiving == MUCH
        assert await ours.recv() == b""


async def test_both_ends_may_end_at_the_same_time(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await asyncio.gather(ours.send_eof(), theirs.send_eof())
        assert await ours.recv() == b""
        assert await theirs.recv() == b""
        for stream in (ours, theirs):
            with pytest.raises(ClosedStreamError):
                await stream.send(b"x")
        await asyncio.gather(ours.aclose(), theirs.aclose())


async def test_a_send_that_is_blocked_when_our_end_is_asked_for_returns_once_it_has_left(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.send(MUCH)) as sending:
        await turns()
        async with running(ours.send_eof()) as ending:
            assert await receive_all_slowly(theirs) == MUCH
            await asyncio.gather(sending, ending)


# --- flush ------------------------------------------------------------------------------------------------------------


async def test_flush_returns_when_nothing_is_queued(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.flush()) as one, running(ours.flush()) as other:
            while ours.statistics().write_queue:
                assert not one.done()
                assert not other.done()
                await theirs.recv(50_000)
                await turns(1)
            await asyncio.gather(one, other)
        assert ours.statistics().bytes_sent == len(MUCH)


async def test_flush_of_nothing_returns_at_once(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        await ours.flush()
        await ours.send(b"x")
        await ours.send(b"y")
        await ours.flush()
        assert ours.statistics().write_queue == 0
        await ours.send_eof()
        await ours.flush()


async def test_a_cancelled_flush_leaves_the_rest_to_leave(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(MUCH)
        async with running(ours.flush()) as cancelled:
            await turns()
        assert cancelled.cancelled()
        async with running(ours.flush()) as flushing:
            assert await theirs.recv_exactly(len(MUCH)) == MUCH
            await flushing


async def test_flush_waits_for_what_was_sent_and_not_for_what_comes_after(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs):

        async def send_for_ever() -> None:
            while True:
                await ours.send(bytes(100_000))

        async def read_for_ever() -> None:
            async for _ in theirs:
                pass

        async with running(send_for_ever()):
            await until(lambda: ours.statistics().write_queue > 0)
            async with running(ours.flush()) as flushing, running(read_for_ever()):
                await flushing


@pytest.mark.parametrize("operation", [Stream.flush, Stream.send_eof])
async def test_a_peer_that_goes_away_ends_the_wait_with_an_error(
    pairs: PairFactory, operation: Callable[[Stream], Coroutine[Any, Any, None]]
) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, theirs):
        await ours.send(MUCH)
        async with running(operation(ours)) as waiting:
            await turns()
            theirs.abort()
            with pytest.raises(BrokenStreamError):
                await waiting
            with pytest.raises(BrokenStreamError):
                await operation(ours)


@pytest.mark.parametrize("operation", [Stream.flush, Stream.send_eof])
async def test_an_abort_ends_the_wait_with_an_error(
    pairs: PairFactory, operation: Callable[[Stream], Coroutine[Any, Any, None]]
) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 30)) as (ours, _):
        await ours.send(MUCH)
        async with running(operation(ours)) as waiting:
            await turns()
            ours.abort()
            with pytest.raises(ClosedStreamError):
                await waiting
