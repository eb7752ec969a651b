"""A pipeline of requests: each task gets the reply to its own, whatever happens to the others."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet import (
    BrokenStreamError,
    BusyError,
    ClosedError,
    ClosedStreamError,
    Framed,
    FrameError,
    Framer,
    FrameTooLargeError,
    IncompleteReadError,
    Lines,
    MessageError,
    NeedMore,
    Netstrings,
    Pipeline,
    ProtocolError,
    ReceiveBuffer,
    StreamTimeoutError,
    Timeouts,
)
from tests.contract.pairs import Unix
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.contract.pairs import PairFactory

LINES = Lines()


@asynccontextmanager
async def pipelines(
    pairs: PairFactory, framer: Framer[Any] = LINES, timeouts: Timeouts | None = None
) -> AsyncGenerator[tuple[Pipeline[Any], Framed[Any]]]:
    """A pipeline, and the framed stream of its peer."""
    async with pairs(timeouts=timeouts) as (ours, theirs), Pipeline(ours.framed(framer)) as pipeline:
        yield pipeline, theirs.framed(framer)


async def echo(framed: Framed[Any]) -> None:
    """Reply with what was asked."""
    async for message in framed:
        await framed.send(message)


async def test_many_tasks_ask_at_once_and_each_gets_its_own_reply(pairs: PairFactory) -> None:
    async with pipelines(pairs) as (pipeline, peer), running(echo(peer)):
        asked = [b"%d" % number for number in range(200)]
        assert await asyncio.gather(*map(pipeline.request, asked)) == asked
        assert await pipeline.request(b"one more") == b"one more"


async def test_requests_do_not_wait_for_the_replies_to_others(pairs: PairFactory) -> None:
    async with (
        pipelines(pairs) as (pipeline, peer),
        running(pipeline.request(b"a")) as first,
        running(pipeline.request(b"b")) as second,
    ):
        assert [await peer.recv(), await peer.recv()] == [b"a", b"b"]
        await peer.send(b"A")
        assert await first == b"A"
        assert not second.done()
        await peer.send(b"B")
        assert await second == b"B"


@settings(max_examples=20)
@given(cancelled=st.sets(st.integers(0, 9)), after=st.integers(0, 3))
async def test_the_reply_to_a_cancelled_request_reaches_nobody_else(
    pairs: PairFactory, cancelled: set[int], after: int
) -> None:
    async with pipelines(pairs) as (pipeline, peer):
        tasks = [asyncio.create_task(pipeline.request(b"%d" % number)) for number in range(10)]
        await turns(after)
        for number in cancelled:
            tasks[number].cancel()
        await turns(2)
        async with running(echo(peer)):
            assert await pipeline.request(b"last") == b"last"
            replies = await asyncio.gather(*tasks, return_exceptions=True)
    for number, reply in enumerate(replies):
        if number in cancelled:
            assert isinstance(reply, asyncio.CancelledError)
        else:
            assert reply == b"%d" % number


async def test_a_request_that_is_cancelled_while_it_is_being_sent_keeps_its_place(pairs: PairFactory) -> None:
    much = b"x" * 8 * 1024 * 1024  # more than the kernel takes
    framer = Lines(max_bytes=len(much) + 1)
    async with pipelines(pairs, framer) as (pipeline, peer):
        async with running(pipeline.request(much)) as blocked:
            await until(lambda: pipeline.framed.stream.statistics().write_queue)
            blocked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await blocked
        async with running(pipeline.request(b"next")) as following:
            assert await peer.recv() == much
            assert await peer.recv() == b"next"
            await peer.send_many([b"to the cancelled one", b"to the next"])
            assert await following == b"to the next"


async def test_a_request_that_cannot_be_encoded_concerns_nobody_else(pairs: PairFactory) -> None:
    async with pipelines(pairs) as (pipeline, peer), running(echo(peer)), running(pipeline.request(b"good")) as good:
        with pytest.raises(ValueError, match="contains its delimiter"):
            await pipeline.request(b"b\nad")
        assert await good == b"good"


class Unchecked(Framer[Any]):
    """A framer whose encode lets everything through."""

    def decode(self, buffer: ReceiveBuffer) -> Any:
        return LINES.decode(buffer)

    def encode(self, message: Any) -> Any:
        return message


async def test_a_request_that_cannot_be_sent_concerns_nobody_else(pairs: PairFactory) -> None:
    async with pipelines(pairs, Unchecked()) as (pipeline, peer):
        with pytest.raises(TypeError):
            await pipeline.request("text\n")
        async with running(pipeline.request(b"one\n")) as one, running(pipeline.request(b"two\n")) as two:
            await turns()
            with pytest.raises(TypeError):
                await pipeline.request("text\n")
            assert [await peer.recv(), await peer.recv()] == [b"one", b"two"]
            await peer.send_many([b"1\n", b"2\n"])
            assert [await one, await two] == [b"1", b"2"]


async def test_a_reply_to_a_request_that_broke_off_is_nobodys() -> None:
    """The end of a Unix socket that receives nothing more may still send."""
    much = b"x" * 8 * 1024 * 1024
    framer = Lines(max_bytes=len(much) + 1)
    async with pipelines(Unix(), framer) as (pipeline, peer), running(pipeline.request(much)) as broken:
        await until(lambda: pipeline.framed.stream.statistics().write_queue)
        peer.stream.get_extra_info("socket").shutdown(socket.SHUT_RD)
        with pytest.raises(BrokenStreamError):
            await broken
        await peer.send(b"reply")
        await turns()
        with pytest.raises(ProtocolError, match="nobody asked for"):
            await pipeline.request(b"x")


async def test_after_our_end_no_request_can_be_sent_and_the_replies_still_come(pairs: PairFactory) -> None:
    async with pipelines(pairs) as (pipeline, peer), running(pipeline.request(b"a")) as first:
        assert await peer.recv() == b"a"
        await pipeline.framed.stream.send_eof()
        for _ in range(2):
            with pytest.raises(ClosedStreamError, match="after send_eof"):
                await pipeline.request(b"b")
        await peer.send(b"A")
        assert await first == b"A"


async def test_a_reply_whose_content_is_bad_concerns_only_its_own_request(pairs: PairFactory) -> None:
    numbers = LINES.map(int, lambda number: b"%d" % number)
    async with (
        pairs() as (ours, theirs),
        Pipeline(ours.framed(numbers)) as pipeline,
        running(pipeline.request(1)) as first,
        running(pipeline.request(2)) as second,
        running(pipeline.request(3)) as third,
    ):
        await turns()
        third.cancel()
        await theirs.send(b"one\n2\nthree\n4\n")
        with pytest.raises(MessageError):
            await first
        assert await second == 2
        await turns()
        with pytest.raises(ProtocolError, match="nobody asked for"):
            await pipeline.request(5)


async def test_the_end_of_the_stream_ends_every_request(pairs: PairFactory) -> None:
    async with (
        pipelines(pairs) as (pipeline, peer),
        running(pipeline.request(b"a")) as first,
        running(pipeline.request(b"b")) as second,
        running(pipeline.request(b"c")) as third,
    ):
        await peer.recv()
        await peer.send(b"A")
        await peer.stream.send(b"half of B")
        await peer.stream.send_eof()
        assert await first == b"A"
        for waiting in (second, third, asyncio.ensure_future(pipeline.request(b"d"))):
            with pytest.raises(IncompleteReadError) as caught:
                await waiting
            assert caught.value.partial == b"half of B"


async def test_a_reset_ends_every_request_and_those_that_come_later(resetting_pairs: PairFactory) -> None:
    async with (
        pipelines(resetting_pairs) as (pipeline, peer),
        running(pipeline.request(b"a")) as first,
        running(pipeline.request(b"b")) as second,
    ):
        await peer.recv()
        peer.stream.abort()
        errors = []
        for waiting in (first, second, pipeline.request(b"c"), pipeline.request(b"d")):
            with pytest.raises(BrokenStreamError) as caught:
                await waiting
            errors.append(caught.value)
        assert len(set(map(id, errors))) == 4  # each has a traceback of its own
        assert len({id(error.__cause__) for error in errors}) == 1


@pytest.mark.parametrize(
    ("reply", "error"), [(b"9" * 40, FrameError), (b"99999:", FrameTooLargeError), (b"1:a,1:b,0:,", None)]
)
async def test_where_the_order_is_lost_nobody_gets_the_reply_of_another(
    pairs: PairFactory, reply: bytes, error: type[Exception] | None
) -> None:
    async with (
        pipelines(pairs, Netstrings()) as (pipeline, peer),
        running(pipeline.request(b"x")) as first,
        running(pipeline.request(b"y")) as second,
    ):
        await peer.recv()
        await peer.stream.send(reply)
        if error is None:
            assert [await first, await second] == [b"a", b"b"]
            error = ProtocolError
        else:
            for waiting in (first, second):
                with pytest.raises(error):
                    await waiting
        for _ in range(2):
            with pytest.raises(error):
                await pipeline.request(b"z")


class Mistaken(Framer[bytes]):
    """A framer with a bug."""

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        if not buffer.size:
            return NeedMore()
        raise KeyError("a bug")

    def encode(self, message: bytes) -> bytes:
        return message


async def test_a_mistake_in_a_framer_is_told_to_those_who_wait(pairs: PairFactory) -> None:
    async with (
        pipelines(pairs, Mistaken()) as (pipeline, peer),
        running(pipeline.request(b"a")) as first,
        running(pipeline.request(b"b")) as second,
    ):
        await turns()
        await peer.stream.send(b"x")
        for waiting in (first, second, asyncio.ensure_future(pipeline.request(b"c"))):
            with pytest.raises(KeyError, match="a bug"):
                await waiting


async def test_the_message_timeout_bounds_a_reply_and_not_the_time_between_requests(pairs: PairFactory) -> None:
    async with pipelines(pairs, timeouts=Timeouts(message=0.1)) as (pipeline, peer):
        async with running(echo(peer)):
            assert await pipeline.request(b"a") == b"a"
            await asyncio.sleep(0.15)
            assert await pipeline.request(b"b") == b"b"
        with pytest.raises(StreamTimeoutError):
            await pipeline.request(b"c")


async def test_whoever_waits_when_a_pipeline_is_left_is_told(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        async with Pipeline(ours.framed(LINES)) as pipeline:
            waiting = asyncio.create_task(pipeline.request(b"a"))
            await turns()
        with pytest.raises(ClosedError, match="request on <Pipeline over <Framed Lines"):
            await waiting
        with pytest.raises(ClosedError):
            await pipeline.request(b"b")
        await theirs.send(b"late\n")
        assert await ours.recv_line() == b"late\n"  # the stream is its owner's again


async def test_a_pipeline_is_entered_once_and_receives_alone(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        pipeline = Pipeline(ours.framed(LINES))
        with pytest.raises(ClosedError, match="not entered"):
            await pipeline.request(b"a")
        async with pipeline, running(pipeline.request(b"a")):
            await turns()
            with pytest.raises(BusyError):
                await ours.recv()
            with pytest.raises(BusyError):
                await pipeline.__aenter__()


async def test_a_request_on_a_closed_stream_says_so(pairs: PairFactory) -> None:
    async with pipelines(pairs) as (pipeline, _):
        async with running(pipeline.request(b"a")) as waiting:
            await turns()
            pipeline.framed.stream.abort()
            with pytest.raises(ClosedStreamError):
                await waiting
        with pytest.raises(ClosedStreamError):
            await pipeline.request(b"b")
