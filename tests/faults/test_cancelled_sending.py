"""Cancelled while sending, a stream has cut nothing in two: the peer reads each message whole, in order."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

import attrs
import pytest

import aionet
from aionet.wire.lifecycle import State
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import connected, receive_to_end

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

Operation: TypeAlias = "Callable[[Scene], Coroutine[None, None, None]]"
SceneFactory: TypeAlias = "Callable[[], AbstractAsyncContextManager[Scene]]"

# More than all buffers on the way together.
LARGE = bytes(range(256)) * 1200
MARK = b"and then this"


@attrs.define
class Scene:
    """A stream, a plain socket that does not read by itself, what was sent and what the socket has read."""

    stream: aionet.Stream
    peer: socket.socket
    file: BinaryIO
    sent: bytearray = attrs.Factory(bytearray)
    received: bytearray = attrs.Factory(bytearray)
    begun: bool = False
    answers: bool = False


@asynccontextmanager
async def little_room(kind: str = "tcp") -> AsyncGenerator[Scene]:
    """Connect with small buffers everywhere, so that senders wait."""
    options = aionet.SocketOptions(send_buffer=8192)
    limits = aionet.Limits(high_water=4096)
    async with connected(kind, receive_buffer=8192, options=options, limits=limits) as (stream, peer):
        with tempfile.TemporaryFile() as file:
            file.write(LARGE)
            file.flush()
            yield Scene(stream, peer, cast("BinaryIO", file))


@asynccontextmanager
async def little_room_on_unix() -> AsyncGenerator[Scene]:
    async with little_room("unix") as scene:
        yield scene


def read_on(scene: Scene, _number: int = 0) -> None:
    """Read from now on, in each turn of the loop a part."""
    if not scene.begun:
        scene.begun = True
        read_a_part(scene)


def read_and_end(scene: Scene, _number: int) -> None:
    """Read as above, and answer the end with ours."""
    scene.answers = True
    read_on(scene)


def read_a_part(scene: Scene) -> None:
    if not scene.begun or scene.peer.fileno() < 0:
        return
    try:
        data = scene.peer.recv(4096)
    except BlockingIOError:
        pass
    else:
        scene.received += data
        if not data and scene.answers:
            scene.peer.close()
    asyncio.get_running_loop().call_soon(read_a_part, scene)


async def send(scene: Scene) -> None:
    scene.sent += LARGE
    await scene.stream.send(LARGE)


async def send_a_buffer_and_change_it(scene: Scene) -> None:
    scene.sent += LARGE
    buffer = bytearray(LARGE)
    try:
        await scene.stream.send(buffer)
    finally:
        buffer[:] = bytes(len(buffer))


async def send_many(scene: Scene) -> None:
    scene.sent += LARGE + b"a" + LARGE
    await scene.stream.send_many([LARGE, b"", bytearray(b"a"), memoryview(LARGE)])


async def send_small_messages(scene: Scene) -> None:
    for number in range(2000):
        message = b"message %d " % number
        scene.sent += message
        await scene.stream.send(message)


async def send_from_two_tasks(scene: Scene) -> None:
    async with asyncio.TaskGroup() as group:
        for letter in (b"a", b"b"):
            scene.sent += letter * 100_000
            group.create_task(scene.stream.send(letter * 100_000))


async def sendfile(scene: Scene) -> None:
    scene.sent += b"a" + LARGE
    await scene.stream.send(b"a")
    await scene.stream.sendfile(scene.file)


async def sendfile_and_close_the_file(scene: Scene) -> None:
    scene.sent += LARGE[1000:]
    with scene.file:
        await scene.stream.sendfile(scene.file, offset=1000)


async def flush(scene: Scene) -> None:
    scene.sent += LARGE
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.stream.send(LARGE))
        group.create_task(scene.stream.flush())


async def send_eof(scene: Scene) -> None:
    await scene.stream.send_eof()


async def aclose(scene: Scene) -> None:
    await scene.stream.aclose()


async def leave_the_block(scene: Scene) -> None:
    async with scene.stream:
        pass


SENDING = [
    send,
    send_a_buffer_and_change_it,
    send_many,
    send_small_messages,
    send_from_two_tasks,
    sendfile,
    sendfile_and_close_the_file,
    flush,
]


async def all_was_sent(scene: Scene, _result: object) -> None:
    scene.begun = False
    rest = asyncio.create_task(receive_to_end(scene.peer))
    scene.sent += MARK
    await scene.stream.send(MARK)
    await scene.stream.send_eof()
    scene.received += await rest
    assert scene.received == scene.sent


@every_moment
@pytest.mark.parametrize("scene", [little_room, little_room_on_unix], ids=["tcp", "unix"])
@pytest.mark.parametrize("operation", SENDING)
async def test_messages_stay_whole(operation: Operation, scene: SceneFactory, moment: Moment) -> None:
    assert await cancel_everywhere(scene, operation, all_was_sent, moment=moment, at_each=read_on) >= 1


@asynccontextmanager
async def much_to_send() -> AsyncGenerator[Scene]:
    async with little_room() as scene:
        scene.sent += LARGE
        sender = asyncio.create_task(scene.stream.send(LARGE))
        await asyncio.sleep(0)
        yield scene
        await asyncio.wait([sender])
        sender.exception()


async def all_arrives_and_then_the_end(scene: Scene, _result: object) -> None:
    scene.begun = False
    if scene.peer.fileno() >= 0:
        scene.received += await receive_to_end(scene.peer)
    assert scene.received == scene.sent


@every_moment
async def test_an_end_is_sent_all_the_same(moment: Moment) -> None:
    async def and_we_still_receive(scene: Scene, result: object) -> None:
        await all_arrives_and_then_the_end(scene, result)
        scene.peer.send(MARK)
        assert await scene.stream.recv() == MARK

    assert await cancel_everywhere(much_to_send, send_eof, and_we_still_receive, moment=moment, at_each=read_on) >= 1


@every_moment
@pytest.mark.parametrize("operation", [aclose, leave_the_block])
async def test_a_stream_is_closed_gracefully_all_the_same(operation: Operation, moment: Moment) -> None:
    async def and_it_is_closed(scene: Scene, result: object) -> None:
        await all_arrives_and_then_the_end(scene, result)
        scene.peer.close()
        with pytest.raises(aionet.ClosedStreamError):
            await scene.stream.send(b"more")
        await scene.stream.aclose()
        assert scene.stream._transport.state is State.CLOSED

    assert await cancel_everywhere(much_to_send, operation, and_it_is_closed, moment=moment, at_each=read_and_end) >= 1
