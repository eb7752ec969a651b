"""Cancelled while receiving, a stream has lost nothing: all that the peer sent is still there, in order."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import connected, every_kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

MESSAGE = b"first line\nsecond line\nand a last one"
# More operations than a stream lets complete in a row without a turn of the loop.
MANY = 300


@attrs.define
class Scene:
    """A stream, the plain socket at its other end, and what the operation has received."""

    stream: aionet.Stream
    peer: socket.socket
    to_send: bytes
    taken: bytearray = attrs.Factory(bytearray)


async def recv(scene: Scene) -> None:
    scene.taken += await scene.stream.recv()


async def recv_a_little(scene: Scene) -> None:
    scene.taken += await scene.stream.recv(2)


async def recv_into(scene: Scene) -> None:
    buffer = bytearray(8)
    count = await scene.stream.recv_into(buffer)
    scene.taken += buffer[:count]


async def recv_into_less_than_there_is(scene: Scene) -> None:
    buffer = bytearray(2)
    count = await scene.stream.recv_into(buffer)
    scene.taken += buffer[:count]


async def recv_exactly(scene: Scene) -> None:
    scene.taken += await scene.stream.recv_exactly(13)


async def recv_until(scene: Scene) -> None:
    scene.taken += await scene.stream.recv_until(b"\n")


async def recv_line(scene: Scene) -> None:
    scene.taken += await scene.stream.recv_line()


async def iterate(scene: Scene) -> None:
    async for data in scene.stream:
        scene.taken += data
        if len(scene.taken) >= 9:
            break


async def one_after_another(scene: Scene) -> None:
    for receive in (recv_a_little, recv_into_less_than_there_is, recv_line, recv_until, recv_a_little):
        await receive(scene)


OPERATIONS = [
    recv,
    recv_a_little,
    recv_into,
    recv_into_less_than_there_is,
    recv_exactly,
    recv_until,
    recv_line,
    iterate,
    one_after_another,
]


def scene_of(
    kind: str, to_send: bytes = MESSAGE, timeouts: aionet.Timeouts | None = None
) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    @asynccontextmanager
    async def scene() -> AsyncGenerator[Scene]:
        async with connected(kind, timeouts=timeouts) as (stream, peer):
            yield Scene(stream, peer, to_send)

    return scene


def drip_at_once(scene: Scene, number: int) -> None:
    """Send three bytes now and in each turn of the loop: some arrive before the cancel, some after it."""
    if number == 1:
        drip(scene, 3)


def drip_later(scene: Scene, number: int) -> None:
    """Begin when a cancelled receiver is gone, and the next one waits."""
    if number == 1:
        drip(scene, 3, delay=10)


def send_a_piece(scene: Scene, _number: int) -> None:
    """Send enough for one operation: the next bytes come when there is another receiver."""
    sent = scene.peer.send(scene.to_send[:14])
    scene.to_send = scene.to_send[sent:]


def drip(scene: Scene, size: int, delay: int = 0) -> None:
    if not delay:
        sent = scene.peer.send(scene.to_send[:size]) if scene.to_send else 0
        scene.to_send = scene.to_send[sent:]
    if scene.to_send:
        asyncio.get_running_loop().call_soon(drip, scene, size, max(0, delay - 1))


async def nothing_is_lost(scene: Scene, _result: None) -> None:
    drip(scene, len(MESSAGE))
    while scene.to_send or len(scene.taken) < len(MESSAGE):
        scene.taken += await scene.stream.recv()
    assert scene.taken == MESSAGE


@every_moment
@every_kind
@pytest.mark.parametrize("sending", [drip_at_once, drip_later, send_a_piece])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nothing_is_lost(
    operation: Callable[[Scene], Coroutine[None, None, None]],
    sending: Callable[[Scene, int], None],
    kind: str,
    moment: Moment,
) -> None:
    count = await cancel_everywhere(scene_of(kind), operation, nothing_is_lost, moment=moment, at_each=sending)
    assert count >= 1


@every_moment
@pytest.mark.parametrize("operation", [recv_exactly, recv_until, recv_line])
async def test_nothing_is_lost_where_messages_have_a_deadline(
    operation: Callable[[Scene], Coroutine[None, None, None]], moment: Moment
) -> None:
    scene = scene_of("tcp", timeouts=aionet.Timeouts(message=60))
    count = await cancel_everywhere(scene, operation, nothing_is_lost, moment=moment, at_each=drip_at_once)
    assert count >= 1


@every_moment
@pytest.mark.parametrize("size", [1, 100])
async def test_nothing_is_lost_where_a_stream_lets_others_run(moment: Moment, size: int) -> None:
    message = bytes(range(256)) * (MANY * size // 256 + 1)

    async def take_many(scene: Scene) -> None:
        for _ in range(MANY):
            scene.taken += await scene.stream.recv_exactly(size)

    async def all_is_there(scene: Scene, _result: None) -> None:
        scene.peer.shutdown(socket.SHUT_WR)
        async for data in scene.stream:
            scene.taken += data
        assert scene.taken == message

    @asynccontextmanager
    async def all_sent() -> AsyncGenerator[Scene]:
        async with connected("tcp") as (stream, peer):
            peer.send(message)
            yield Scene(stream, peer, b"")

    assert await cancel_everywhere(all_sent, take_many, all_is_there, moment=moment) > 1


@every_moment
async def test_a_receiver_of_more_than_the_buffer_leaves_it_all_to_the_next_one(moment: Moment) -> None:
    message = bytes(range(256)) * 256

    async def take_all(scene: Scene) -> None:
        scene.taken += await scene.stream.recv_exactly(len(message))

    def begin(scene: Scene, _number: int) -> None:
        drip(scene, 5000)

    async def all_is_there(scene: Scene, _result: None) -> None:
        scene.taken += await scene.stream.recv_exactly(len(message) - len(scene.taken))
        assert scene.taken == message

    @asynccontextmanager
    async def little_room() -> AsyncGenerator[Scene]:
        async with connected("tcp", limits=aionet.Limits(receive_buffer=10_000)) as (stream, peer):
            yield Scene(stream, peer, message)

    assert await cancel_everywhere(little_room, take_all, all_is_there, moment=moment, at_each=begin) == 1
