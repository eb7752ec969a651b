"""A peer that never reads does not make us grow: every write path waits at high water."""

from __future__ import annotations

import asyncio
import io
import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

import aionet
from tests.faults.peers import connected, every_kind, listening_socket, receive
from tests.turns import running, turns, until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

MESSAGE = bytes(range(256)) * 40
HIGH = 100_000
# Of the kernel's own room nothing is promised: it takes what it takes.
LITTLE_ROOM = aionet.SocketOptions(send_buffer=8192)
LIMITS = aionet.Limits(high_water=HIGH)


async def send(stream: aionet.Stream) -> None:
    while True:
        await stream.send(MESSAGE)


async def send_small(stream: aionet.Stream) -> None:
    while True:
        await stream.send(b"0123456789")


async def send_many(stream: aionet.Stream) -> None:
    while True:
        await stream.send_many([MESSAGE[:100], MESSAGE[100:], bytearray(b"x")])


async def sendfile(stream: aionet.Stream) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(MESSAGE)
        file.flush()
        while True:
            await stream.sendfile(cast("BinaryIO", file))


class Endless(io.RawIOBase):
    """What can only be read on, and does not end."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


async def sendfile_in_pieces(stream: aionet.Stream) -> None:
    await stream.sendfile(cast("BinaryIO", Endless()))


async def all_of_them(stream: aionet.Stream) -> None:
    file = io.BytesIO(MESSAGE)
    while True:
        await stream.send(MESSAGE)
        await stream.send_many([MESSAGE])
        await stream.sendfile(file)
        file.seek(0)


async def queue_stands_still(stream: aionet.Stream) -> int:
    """Return the size of the write queue once nothing more is sent or queued."""
    before = (-1, -1)
    while True:
        await turns()
        now = (stream.statistics().bytes_sent, stream.statistics().write_queue)
        if now == before:
            return now[1]
        before = now


@every_kind
@pytest.mark.parametrize("write", [send, send_small, send_many, sendfile, sendfile_in_pieces, all_of_them])
async def test_a_writer_waits_at_high_water_and_goes_on_when_the_peer_reads(
    write: Callable[[aionet.Stream], Coroutine[None, None, None]], kind: str
) -> None:
    # A piece is 256 KiB.
    most = HIGH + (256 * 1024 if write is sendfile_in_pieces else 2 * len(MESSAGE))
    async with (
        connected(kind, receive_buffer=8192, limits=LIMITS, options=LITTLE_ROOM) as (stream, peer),
        running(write(stream)) as writing,
    ):
        queued = await queue_stands_still(stream)
        assert not writing.done()
        assert 0 < queued <= most
        sent = stream.statistics().bytes_sent
        reading = asyncio.create_task(receive(peer, sent + 2 * HIGH))
        await until(lambda: stream.statistics().bytes_sent >= sent + 2 * HIGH)
        await reading
        assert await queue_stands_still(stream) <= most


async def test_a_file_is_not_read_into_memory_for_a_peer_that_does_not_read() -> None:
    """What waits of a file is counted as queued, but it waits in the file."""
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 30)
        async with (
            connected("tcp", limits=LIMITS) as (stream, _peer),
            running(stream.sendfile(cast("BinaryIO", file))) as sending,
        ):
            await queue_stands_still(stream)
            assert not sending.done()
            assert stream.statistics().bytes_sent < 1 << 30


async def test_of_many_tasks_each_waits_with_one_message() -> None:
    async with connected("tcp", limits=LIMITS) as (stream, _peer):
        senders = [asyncio.create_task(send(stream)) for _ in range(50)]
        assert await queue_stands_still(stream) <= HIGH + 51 * len(MESSAGE)
        stream.abort()
        await asyncio.wait(senders)
        assert {type(sender.exception()) for sender in senders} == {aionet.ClosedStreamError}


class Writer(asyncio.Protocol):
    """Writes whenever it may, as an asyncio protocol does."""

    def __init__(self, *, lines: bool) -> None:
        self.lines = lines
        self.may_write = True
        self.highest = 0
        self.pauses = 0
        self.starts = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, aionet.StreamTransport)
        self.transport = transport
        self.write()

    def write(self) -> None:
        self.starts += 1
        while self.may_write:
            if self.lines:
                self.transport.writelines([MESSAGE, b"", bytearray(MESSAGE)])
            else:
                self.transport.write(MESSAGE)
            self.highest = max(self.highest, self.transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        self.pauses += 1
        self.may_write = False

    def resume_writing(self) -> None:
        self.may_write = True
        self.write()


@pytest.mark.parametrize("lines", [False, True], ids=["write", "writelines"])
async def test_a_protocol_is_told_to_pause_at_high_water_and_to_resume_at_low_water(lines: bool) -> None:  # noqa: FBT001
    loop = asyncio.get_running_loop()
    with listening_socket("tcp") as listening:
        host, port = listening.getsockname()
        transport, writer = await aionet.create_connection(lambda: Writer(lines=lines), host, port)
        peer: socket.socket
        peer, _ = await loop.sock_accept(listening)
        with peer:
            # The kernel may have taken so much meanwhile that it was resumed, and has written up to high water again.
            assert writer.pauses == writer.starts >= 1
            low, high = transport.get_write_buffer_limits()
            assert high < writer.highest <= high + 2 * len(MESSAGE)
            while writer.pauses <= 3:
                assert len(await receive(peer, 100_000)) == 100_000
                assert writer.pauses == writer.starts
            assert high < writer.highest <= high + low + 2 * len(MESSAGE)
            transport.abort()
            await turns()
