"""A buffer is its owner's again when a write returns: what they do to it then does not reach the peer."""

from __future__ import annotations

import array
import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from tests.faults.peers import connected, every_kind, receive

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

SIZES = [1, 100, 16 * 1024, 16 * 1024 + 1, 1_000_000]


def pattern(size: int) -> bytes:
    return (bytes(range(1, 256)) * (size // 255 + 1))[:size]


@asynccontextmanager
async def small_buffers(kind: str) -> AsyncGenerator[tuple[aionet.Stream, Any]]:
    options = aionet.SocketOptions(send_buffer=8192)
    async with connected(kind, receive_buffer=8192, options=options) as pair:
        yield pair


BUFFERS: dict[str, Callable[[bytearray], Any]] = {
    "bytearray": lambda buffer: buffer,
    "memoryview": memoryview,
    "a slice": lambda buffer: memoryview(buffer)[0:],
    "array of integers": lambda buffer: memoryview(buffer).cast("H") if len(buffer) % 2 == 0 else memoryview(buffer),
}


async def overwrite_when_returned(write: Any, buffer: bytearray) -> asyncio.Task[None] | None:
    """Call a write, and overwrite the buffer as soon as it has returned, or for a sender that waits: been called."""
    if asyncio.iscoroutine(write):
        sending = asyncio.create_task(write)
        await asyncio.sleep(0)
        if sending.done():
            buffer[:] = bytes(len(buffer))
        else:
            sending.add_done_callback(lambda _: buffer.__setitem__(slice(None), bytes(len(buffer))))
        return sending
    buffer[:] = bytes(len(buffer))
    return None


WRITES: dict[str, Callable[[aionet.Stream, Any], Any]] = {
    "send": lambda stream, buffer: stream.send(buffer),
    "send_many": lambda stream, buffer: stream.send_many([buffer]),
    "write": lambda stream, buffer: stream._transport.write(buffer),
    "writelines": lambda stream, buffer: stream._transport.writelines([buffer]),
}


@every_kind
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", BUFFERS.values(), ids=BUFFERS)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_the_peer_reads_what_was_there_when_it_was_written(
    write: Callable[[aionet.Stream, Any], Any], view: Callable[[bytearray], Any], size: int, kind: str
) -> None:
    async with small_buffers(kind) as (stream, peer):
        writers = []
        for _ in range(3):  # the second one of a turn is queued
            buffer = bytearray(pattern(size))
            writers.append(await overwrite_when_returned(write(stream, view(buffer)), buffer))
        assert await receive(peer, 3 * size) == pattern(size) * 3
        for writer in filter(None, writers):
            await writer


async def test_an_array_leaves_as_its_bytes() -> None:
    numbers = array.array("i", range(1000))
    expected = numbers.tobytes()
    async with connected("tcp") as (stream, peer):
        await stream.send(memoryview(numbers))
        await stream.send_many([memoryview(numbers)])
        stream._transport.write(memoryview(numbers))
        numbers[0] = 7
        assert await receive(peer, 3 * len(expected)) == expected * 3
