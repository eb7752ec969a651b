"""A peer that is gone: sending raises the first time and always, and says what broke where."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from aionet import BrokenStreamError, Limits, Stream, StreamBrokenPipeError, StreamResetError
from tests.contract.filling import MUCH, QUEUE_ALL, SMALL_BUFFERS
from tests.contract.test_cancelling import RECEIVES, Receive
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.contract.pairs import PairFactory

SENDS: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "send": lambda stream: stream.send(b"x"),
    "send mutable": lambda stream: stream.send(bytearray(b"x")),
    "send much": lambda stream: stream.send(MUCH),
    "send_many": lambda stream: stream.send_many([b"x", b"y"]),
    "sendfile": lambda stream: stream.sendfile(io.BytesIO(b"x")),
}
each_send = pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)


@each_send
async def test_a_send_to_a_dead_peer_raises_the_first_time_and_always(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        theirs.abort()
        for _ in range(3):
            with pytest.raises(BrokenStreamError):
                await send(ours)
        await turns()  # by now the reading side knows it too
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await send(ours)


@each_send
async def test_a_send_raises_after_a_receiver_was_told_that_the_peer_is_dead(
    resetting_pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with resetting_pairs() as (ours, theirs):
        theirs.abort()
        with pytest.raises(StreamResetError):
            await ours.recv()
        for _ in range(3):
            with pytest.raises(StreamResetError):
                await send(ours)


@each_send
async def test_a_send_raises_although_nobody_reads_what_the_dead_peer_said(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(receive_buffer=1000)) as (ours, theirs):
        async with running(theirs.send(MUCH)):
            await until(lambda: ours.statistics().receive_buffer > 1000)  # reading pauses
            await turns()
            theirs.abort()
        for _ in range(3):
            with pytest.raises(BrokenStreamError):
                await send(ours)


@each_send
async def test_a_send_raises_after_the_peer_has_ended_and_gone(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send_eof()
        assert await ours.recv() == b""
        theirs.abort()
        for _ in range(3):
            with pytest.raises(BrokenStreamError):
                await send(ours)


@each_send
async def test_a_second_send_of_a_turn_raises_too(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        await ours.send(b"x")
        theirs.abort()
        # What is gathered to leave with others of its turn has no answer yet; whoever flushes gets one.
        with pytest.raises(BrokenStreamError):
            await send(ours)
            await ours.flush()
        with pytest.raises(BrokenStreamError):
            await send(ours)


@pytest.mark.parametrize("operation", [Stream.flush, Stream.send_eof])
async def test_flush_and_send_eof_raise_too(
    pairs: PairFactory, operation: Callable[[Stream], Coroutine[Any, Any, None]]
) -> None:
    async with pairs() as (ours, theirs):
        theirs.abort()
        with pytest.raises(BrokenStreamError):
            await ours.send(b"x")
        for _ in range(2):
            with pytest.raises(BrokenStreamError):
                await operation(ours)


@pytest.mark.parametrize("blocked", [1, 3])
async def test_blocked_senders_are_told_that_the_peer_is_gone(pairs: PairFactory, blocked: int) -> None:
    async with (
        pairs(options=SMALL_BUFFERS) as (ours, theirs),
        running(ours.send(MUCH)) as first,
        running(ours.send_many([b"x"])) as second,
        running(ours.sendfile(io.BytesIO(b"x"))) as third,
    ):
        await turns()
        theirs.abort()
        for sending in (first, second, third)[:blocked]:
            with pytest.raises(BrokenStreamError):
                await sending


async def test_what_is_queued_for_a_dead_peer_is_let_go(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):
        await ours.send(MUCH)
        theirs.abort()
        await until(lambda: ours.statistics().write_queue == 0)


@each_send
async def test_a_failed_send_names_the_operation_and_both_ends_and_keeps_the_cause(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        both = f"{ours.local} -> {ours.peer}"
        theirs.abort()
        for _ in range(2):
            with pytest.raises(BrokenStreamError) as caught:
                await send(ours)
            operation = str(caught.value).partition(" on ")[0]
            assert operation in {"send", "send_many", "sendfile"}
            assert str(caught.value).startswith(f"{operation} on {both}: ")
            assert isinstance(caught.value.__cause__, OSError)
            assert not isinstance(caught.value.__cause__, BrokenStreamError)
            assert caught.value.errno == caught.value.__cause__.errno
            if isinstance(caught.value, StreamResetError):
                assert isinstance(caught.value, ConnectionResetError)
                assert isinstance(caught.value.__cause__, ConnectionResetError)
            else:
                assert isinstance(caught.value, StreamBrokenPipeError)
                assert isinstance(caught.value, BrokenPipeError)


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_a_failed_receive_names_the_operation_and_both_ends_and_keeps_the_cause(
    resetting_pairs: PairFactory, receive: Receive
) -> None:
    async with resetting_pairs() as (ours, theirs):
        both = f"{ours.local} <- {ours.peer}"
        theirs.abort()
        for _ in range(2):
            with pytest.raises(StreamResetError) as caught:
                await receive(ours)
            operation = str(caught.value).partition(" on ")[0]
            assert operation in RECEIVES
            assert str(caught.value) == f"{operation} on {both}: reset by peer"
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            assert caught.value.errno == caught.value.__cause__.errno


async def test_each_failure_is_an_error_of_its_own(resetting_pairs: PairFactory) -> None:
    async with resetting_pairs() as (ours, theirs):
        theirs.abort()
        errors = []
        for _ in range(3):
            with pytest.raises(StreamResetError) as caught:
                await ours.recv()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == 3, "one error raised again and again gathers tracebacks"


async def test_the_ends_are_known_after_the_connection_is_gone(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        local, peer = ours.local, ours.peer
        theirs.abort()
        with pytest.raises(BrokenStreamError):
            await ours.send(b"x")
        await turns()
        assert (ours.local, ours.peer) == (local, peer)


async def test_a_dead_peer_is_no_log_line(pairs: PairFactory, caplog: pytest.LogCaptureFixture) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.send(MUCH)) as sending:
        await turns()
        theirs.abort()
        with pytest.raises(BrokenStreamError):
            await sending
        for send in SENDS.values():
            for _ in range(10):
                with pytest.raises(BrokenStreamError):
                    await send(ours)
        await turns()
        assert caplog.records == []
