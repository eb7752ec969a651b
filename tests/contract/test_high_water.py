"""Every way to send waits above high water, so that a peer that does not read costs bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from aionet import Limits, Stream
from tests.contract.filling import MUCH, SMALL_BUFFERS
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory

_PIECE = 10_000
HIGH_WATER = 64 * 1024

SendPiece: TypeAlias = Callable[[Stream, bytes], Awaitable[object]]


async def sendfile(stream: Stream, piece: bytes) -> None:
    """Send a piece from a regular file."""
    with tempfile.TemporaryFile() as file:
        file.write(piece)
        file.flush()
        await stream.sendfile(file)


async def sendfile_in_memory(stream: Stream, piece: bytes) -> None:
    """Send a piece from a file that the kernel does not know."""
    await stream.sendfile(io.BytesIO(piece))


async def send_each_way(stream: Stream, piece: bytes) -> None:
    """Mix all of them."""
    for send in (Stream.send, send_many, sendfile, sendfile_in_memory):
        await send(stream, piece)


async def send_many(stream: Stream, piece: bytes) -> None:
    """Send a piece in two."""
    await stream.send_many([piece[:10], piece[10:]])


WAYS = (Stream.send, send_many, sendfile, sendfile_in_memory, send_each_way)
each_way = pytest.mark.parametrize("send", WAYS, ids=lambda way: way.__name__)


def queued(stream: Stream) -> int:
    """Return the bytes that wait to leave."""
    return stream.statistics().write_queue


async def blocked(stream: Stream, sending: asyncio.Task[None]) -> int:
    """Wait until a task that sends for ever makes no more progress; return the most that was ever queued."""
    most = still = 0
    before = -1
    while still < 50:
        assert not sending.done()
        most = max(most, queued(stream))
        now = stream.statistics().bytes_sent + queued(stream)
        still = still + 1 if now == before else 0
        before = now
        await asyncio.sleep(0)
    return most


async def send_for_ever(stream: Stream, send: SendPiece, piece: bytes) -> None:
    """Send the piece again and again."""
    while True:
        await send(stream, piece)


@each_way
async def test_a_sender_whose_peer_does_not_read_stops_at_high_water(pairs: PairFactory, send: SendPiece) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, _), running(send_for_ever(ours, send, bytes(_PIECE))) as sending:
        assert await blocked(ours, sending) <= HIGH_WATER + _PIECE


@each_way
@pytest.mark.parametrize("high_water", [0, 1, 200_000])
async def test_high_water_is_where_the_limits_put_it(pairs: PairFactory, send: SendPiece, high_water: int) -> None:
    async with (
        pairs(options=SMALL_BUFFERS, limits=Limits(high_water=high_water)) as (ours, _),
        running(send_for_ever(ours, send, bytes(_PIECE))) as sending,
    ):
        assert await blocked(ours, sending) <= high_water + _PIECE


@pytest.mark.parametrize("send", [Stream.send, send_many], ids=["send", "send_many"])
async def test_what_is_sent_in_one_turn_stops_at_high_water_too(pairs: PairFactory, send: SendPiece) -> None:
    async with pairs() as (ours, _):
        most = 0
        for _ in range(1000):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):  # what it queues counts, not whether there is room for more
                    await send(ours, bytes(1000))
            most = max(most, queued(ours))
            if most > HIGH_WATER:
                break
        assert most <= HIGH_WATER + 1000


async def test_high_water_is_64_kib_and_no_less(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, _):
        async with running(send_for_ever(ours, Stream.send, bytes(1000))) as sending:
            assert await blocked(ours, sending) > HIGH_WATER
        assert queued(ours) <= HIGH_WATER + 1000


async def test_a_send_returns_at_once_up_to_high_water_exactly(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=Limits(high_water=1 << 24)) as (ours, _):
        await ours.send(MUCH)
        await turns(100)
        while room := (1 << 24) - queued(ours):  # the kernel may have taken some more
            await ours.send(bytes(room))
        async with running(ours.send(b"x")) as sending:
            await turns()
            assert not sending.done()


async def test_a_blocked_send_goes_on_at_low_water_and_not_before(pairs: PairFactory) -> None:
    limits = Limits(high_water=2 << 20, low_water=1 << 20)
    async with (
        pairs(options=SMALL_BUFFERS, limits=limits) as (ours, theirs),
        running(ours.send(MUCH + MUCH)) as sending,
    ):
        received = before = 0
        while not sending.done():
            before = queued(ours)
            received += len(await theirs.recv(10_000))
            await asyncio.sleep(0)
        assert before < 2 << 20, "it went on before low water"
        assert queued(ours) <= 1 << 20
        assert received < 2 * len(MUCH), "it waited until everything had left"


async def test_many_blocked_senders_all_go_on(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, theirs), asyncio.TaskGroup() as group:
        group.create_task(ours.send(MUCH))
        for _ in range(100):
            group.create_task(ours.send(b"x" * 100))
        assert len(await theirs.recv_exactly(len(MUCH) + 10_000)) == len(MUCH) + 10_000


async def test_a_send_after_a_blocked_one_waits_too(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS) as (ours, _), running(ours.send(MUCH)):
        await turns()
        for send in (Stream.send, send_many):
            async with running(send(ours, b"x")) as sending:
                await turns()
                assert not sending.done()


async def test_a_send_after_a_large_file_waits_until_it_has_left(pairs: PairFactory) -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 24)
        async with pairs(options=SMALL_BUFFERS) as (ours, theirs), running(ours.sendfile(file)):
            await turns()
            async with running(ours.send(b"x")) as sending:
                await turns()
                assert not sending.done()
                received = 0
                while received <= 1 << 24:
                    received += len(await theirs.recv())
                await sending


async def test_a_file_that_never_ends_is_read_no_faster_than_the_peer_reads(pairs: PairFactory) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    file = Endless()
    async with (
        pairs(options=SMALL_BUFFERS) as (ours, theirs),
        running(ours.sendfile(file)) as sending,  # type: ignore[arg-type] # it can read, and no more
    ):
        assert await blocked(ours, sending) <= HIGH_WATER + 256 * 1024  # type: ignore[arg-type]
        given = file.given
        for _ in range(40):
            await theirs.recv_exactly(100_000)
        await until(lambda: file.given > given)


async def test_reading_pauses_when_nobody_receives(pairs: PairFactory) -> None:
    limits = Limits(receive_buffer=10_000)
    async with (
        pairs(options=SMALL_BUFFERS, limits=limits) as (ours, theirs),
        running(send_for_ever(ours, Stream.send, bytes(1000))) as sending,
    ):
        await blocked(ours, sending)
        kept = theirs.statistics().receive_buffer
        assert kept <= 10_000 + 256 * 1024  # one read more than the limit
        taken = len(await theirs.recv())
        while taken < 2 << 20:  # and goes on when somebody does
            taken += len(await theirs.recv())


RECEIVES: dict[str, Callable[[Stream], Awaitable[int]]] = {
    "recv": lambda stream: _length_of(stream.recv(7000)),
    "recv_into": lambda stream: stream.recv_into(bytearray(7000)),
    "recv_exactly": lambda stream: _length_of(stream.recv_exactly(7000)),
    "recv_until": lambda stream: _length_of(stream.recv_until(b"\n")),
    "recv_line": lambda stream: _length_of(stream.recv_line()),
    "async for": lambda stream: _length_of(anext(stream)),
}


async def _length_of(receiving: Awaitable[bytes]) -> int:
    return len(await receiving)


@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
async def test_reading_goes_on_however_the_data_is_received(
    pairs: PairFactory, receive: Callable[[Stream], Awaitable[int]]
) -> None:
    limits = Limits(receive_buffer=10_000)
    line = b"x" * 999 + b"\n"
    async with (
        pairs(options=SMALL_BUFFERS, limits=limits) as (ours, theirs),
        running(send_for_ever(ours, Stream.send, line)) as sending,
    ):
        await blocked(ours, sending)
        received = 0
        while received < 2 << 20:
            received += await receive(theirs)


async def test_taking_a_byte_at_a_time_lets_no_more_in_than_was_taken(pairs: PairFactory) -> None:
    limits = Limits(receive_buffer=10_000)
    async with (
        pairs(options=SMALL_BUFFERS, limits=limits) as (ours, theirs),
        running(send_for_ever(ours, Stream.send, bytes(1000))) as sending,
    ):
        await blocked(ours, sending)
        for _ in range(200):
            assert await theirs.recv(1) == b"\0"
            await turns(2)
        assert theirs.statistics().receive_buffer <= 10_000 + 256 * 1024
