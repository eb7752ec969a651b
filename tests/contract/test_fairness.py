"""An operation that completes at once, again and again, lets the other tasks run."""

from __future__ import annotations

import asyncio
import io
import itertools
import tempfile
from typing import TYPE_CHECKING, Any, Final

import pytest

from aionet import Limits, Stream
from tests.contract.filling import QUEUE_ALL
from tests.contract.test_cancelling import next_chunk
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.contract.pairs import PairFactory

# Operations in a row, at a few microseconds each: others wait a few milliseconds.
BOUND: Final = 1000
TIMES: Final = 5 * BOUND
# Bytes in a row, which is what a large operation costs: as much as some ten reads.
BYTES_BOUND: Final = 4 << 20


async def most_in_a_row(operation: Callable[[], Coroutine[Any, Any, object]], times: int = TIMES) -> int:
    """Count how often the operation completes, at most, between two steps of another task."""
    completed = 0
    counts = []

    async def operate() -> None:
        nonlocal completed
        for _ in range(times):
            await operation()
            completed += 1

    async with running(operate()) as operating:
        while not operating.done():
            counts.append(completed)
            await asyncio.sleep(0)
        await operating
    counts.append(completed)
    return max(after - before for before, after in itertools.pairwise(counts))


async def recv_byte_into(stream: Stream) -> None:
    """Receive a byte into a buffer."""
    assert await stream.recv_into(bytearray(1)) == 1


RECEIVES: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "recv": lambda stream: stream.recv(1),
    "recv_into": recv_byte_into,
    "recv_exactly": lambda stream: stream.recv_exactly(1),
    "recv_exactly nothing": lambda stream: stream.recv_exactly(0),
    "recv_until": lambda stream: stream.recv_until(b"\n"),
    "recv_line": lambda stream: stream.recv_line(),
}


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_receiving_what_has_arrived_lets_others_run(
    pairs: PairFactory, receive: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"\n" * TIMES)
        await until(lambda: ours.statistics().receive_buffer == TIMES)
        assert await most_in_a_row(lambda: receive(ours)) <= BOUND


AT_END: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "recv": lambda stream: stream.recv(),
    "recv_into": lambda stream: stream.recv_into(bytearray(1)),
    "recv_line": lambda stream: stream.recv_line(),
}


@pytest.mark.parametrize("receive", AT_END.values(), ids=AT_END)
async def test_receiving_the_end_again_and_again_lets_others_run(
    pairs: PairFactory, receive: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send_eof()
        assert await ours.recv() == b""
        assert await most_in_a_row(lambda: receive(ours)) <= BOUND


async def test_a_peer_that_sends_as_fast_as_we_receive_lets_others_run(pairs: PairFactory) -> None:
    async def send_for_ever(stream: Stream) -> None:
        while True:
            await stream.send(bytes(50_000))

    async with pairs() as (ours, theirs), running(send_for_ever(theirs)):
        assert await most_in_a_row(lambda: next_chunk(ours), 2 * BOUND) <= BOUND


SENDS: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "send": lambda stream: stream.send(b"x"),
    "send nothing": lambda stream: stream.send(b""),
    "send_many": lambda stream: stream.send_many([b"x", b"y"]),
    "send_many of nothing": lambda stream: stream.send_many([]),
    "sendfile in memory": lambda stream: stream.sendfile(io.BytesIO(b"x")),
    "sendfile of nothing in memory": lambda stream: stream.sendfile(io.BytesIO()),
    "flush": lambda stream: stream.flush(),
}


async def drain(stream: Stream) -> None:
    """Receive for ever."""
    async for _ in stream:
        pass


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
async def test_sending_what_the_kernel_takes_lets_others_run(
    pairs: PairFactory, send: Callable[[Stream], Coroutine[Any, Any, object]]
) -> None:
    async with pairs() as (ours, theirs), running(drain(theirs)):
        assert await most_in_a_row(lambda: send(ours)) <= BOUND


@pytest.mark.parametrize("size", [0, 1])
async def test_sending_small_files_lets_others_run(pairs: PairFactory, size: int) -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        async with pairs() as (ours, theirs), running(drain(theirs)):
            assert await most_in_a_row(lambda: ours.sendfile(file)) <= BOUND


@pytest.mark.parametrize("size", [5_000, 20_000, 200_000])
async def test_sending_much_lets_others_run(pairs: PairFactory, size: int) -> None:
    async with pairs() as (ours, theirs), running(drain(theirs)):
        times = 8 * BYTES_BOUND // size
        assert await most_in_a_row(lambda: ours.send(bytes(size)), times) * size <= BYTES_BOUND
        assert await most_in_a_row(lambda: ours.send_many([bytes(size)]), times) * size <= BYTES_BOUND


async def test_sending_into_a_queue_without_high_water_lets_others_run(pairs: PairFactory) -> None:
    async with pairs(limits=QUEUE_ALL) as (ours, _):
        assert await most_in_a_row(lambda: ours.send(b"x")) <= BOUND


async def test_a_connection_that_always_has_data_leaves_the_others_theirs(pairs: PairFactory) -> None:
    async def send_for_ever(stream: Stream) -> None:
        while True:
            await stream.send(bytes(100_000))

    async def echo(stream: Stream) -> None:
        async for data in stream:
            await stream.send(data)

    async with (
        pairs() as (busy, flood),
        pairs(limits=Limits(receive_buffer=1)) as (ours, theirs),
        running(drain(busy)),
        running(send_for_ever(flood)),
        running(echo(theirs)),
    ):
        await turns()
        for _ in range(10):
            before = busy.statistics().bytes_received
            await ours.send(b"x")
            assert await ours.recv() == b"x"
            assert busy.statistics().bytes_received - before <= BYTES_BOUND
