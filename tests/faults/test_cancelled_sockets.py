"""Cancelled while it waits, an operation of AsyncSocket has taken nothing; only sendall may have sent a part."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest

import aionet
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import listening_socket, read_what_is_there

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

MESSAGE = b"what was sent"
LARGE = bytes(range(256)) * 4000


@attrs.define
class Scene:
    """A socket under test, the plain socket at its other end, and what has arrived at either."""

    sock: aionet.AsyncSocket
    peer: socket.socket
    received: bytearray = attrs.Factory(bytearray)


Operation: TypeAlias = "Callable[[Scene], Coroutine[None, None, object]]"


@asynccontextmanager
async def pair(kind: int) -> AsyncGenerator[Scene]:
    """Connect two Unix sockets: a stream, or datagrams, of which none is lost."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    theirs.setblocking(False)
    with aionet.AsyncSocket.wrap(ours) as sock, theirs:
        yield Scene(sock, theirs)


streams = partial(pair, socket.SOCK_STREAM)
datagrams = partial(pair, socket.SOCK_DGRAM)


# --- receiving --------------------------------------------------------------------------------------------------------


async def recv(scene: Scene) -> None:
    scene.received += await scene.sock.recv(100)


async def recv_into(scene: Scene) -> None:
    buffer = bytearray(100)
    count = await scene.sock.recv_into(buffer)
    scene.received += buffer[:count]


async def recvfrom(scene: Scene) -> None:
    data, _ = await scene.sock.recvfrom(100)
    scene.received += data


async def recvfrom_into(scene: Scene) -> None:
    buffer = bytearray(100)
    count, _ = await scene.sock.recvfrom_into(buffer)
    scene.received += buffer[:count]


async def recvmsg(scene: Scene) -> None:
    data, _, _, _ = await scene.sock.recvmsg(100)
    scene.received += data


async def wait_readable(scene: Scene) -> None:
    await scene.sock.wait_readable()


def send_message(scene: Scene, number: int) -> None:
    if number == 1:
        scene.peer.send(MESSAGE)


async def the_next_one_gets_it(scene: Scene, _result: object) -> None:
    if not scene.received:
        scene.received += await scene.sock.recv(100)
    assert scene.received == MESSAGE


@every_moment
@pytest.mark.parametrize("operation", [recv, recv_into, recvfrom, recvfrom_into, recvmsg, wait_readable])
@pytest.mark.parametrize("scene", [streams, datagrams], ids=["stream", "datagram"])
async def test_what_has_arrived_is_there_for_the_next_one(
    operation: Operation, scene: partial[AbstractAsyncContextManager[Scene]], moment: Moment
) -> None:
    count = await cancel_everywhere(scene, operation, the_next_one_gets_it, moment=moment, at_each=send_message)
    assert count == 1


@every_moment
async def test_the_next_who_waits_is_told_of_what_arrives(moment: Moment) -> None:
    waiting: list[asyncio.Task[bytes]] = []

    def queue_behind(scene: Scene, number: int) -> None:
        if number == 1:
            waiting.append(asyncio.get_running_loop().create_task(scene.sock.recv(100), context=contextvars.Context()))
            scene.peer.send(b"1")

    async def both_were_served(scene: Scene, result: object) -> None:
        if result is not None:
            scene.peer.send(b"2")
        assert await waiting.pop() == (b"1" if result is None else b"2")

    async def receive(scene: Scene) -> bytes:
        return await scene.sock.recv(1)

    assert await cancel_everywhere(streams, receive, both_were_served, moment=moment, at_each=queue_behind) == 1


# --- sending ----------------------------------------------------------------------------------------------------------


def fill(scene: Scene) -> int:
    """Send until there is no room; return how many bytes."""
    sent = 0
    raw = socket.socket(fileno=scene.sock.fileno())
    try:
        while True:
            sent += raw.send(LARGE[:1000])
    except BlockingIOError:
        return sent
    finally:
        raw.detach()


@asynccontextmanager
async def full(kind: int) -> AsyncGenerator[Scene]:
    async with pair(kind) as scene:
        fill(scene)
        yield scene


def make_room(scene: Scene, number: int) -> None:
    if number == 1:
        scene.received += read_what_is_there(scene.peer)


async def send(scene: Scene) -> int:
    return await scene.sock.send(MESSAGE)


async def sendmsg(scene: Scene) -> int:
    return await scene.sock.sendmsg([MESSAGE[:5], MESSAGE[5:]])


async def wait_writable(scene: Scene) -> None:
    await scene.sock.wait_writable()


async def sent_once_or_not_at_all(scene: Scene, result: int | None) -> None:
    rest = read_what_is_there(scene.peer)
    assert (scene.received + rest).endswith(MESSAGE) == (result is not None)
    assert MESSAGE not in (scene.received + rest)[: -len(MESSAGE)]
    assert await scene.sock.send(b"more") == 4


@every_moment
@pytest.mark.parametrize("operation", [send, sendmsg])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])
async def test_a_send_that_is_cancelled_has_sent_nothing(
    operation: Callable[[Scene], Coroutine[None, None, int]], kind: int, moment: Moment
) -> None:
    scene = partial(full, kind)
    assert await cancel_everywhere(scene, operation, sent_once_or_not_at_all, moment=moment, at_each=make_room) == 1


@every_moment
async def test_whoever_waits_for_room_may_stop_waiting(moment: Moment) -> None:
    async def there_is_room(scene: Scene, _result: None) -> None:
        scene.received += read_what_is_there(scene.peer)
        await scene.sock.wait_writable()

    scene = partial(full, socket.SOCK_STREAM)
    assert await cancel_everywhere(scene, wait_writable, there_is_room, moment=moment, at_each=make_room) == 1


@every_moment
async def test_a_sendall_that_is_cancelled_has_sent_a_part_and_lets_the_next_one_go_on(moment: Moment) -> None:
    async def sendall(scene: Scene) -> int:
        await scene.sock.sendall(LARGE)
        return len(LARGE)

    def read_on(scene: Scene, _number: int) -> None:
        scene.received += read_what_is_there(scene.peer)

    async def a_part_and_then_the_next(scene: Scene, result: int | None) -> None:
        scene.received += read_what_is_there(scene.peer)
        assert LARGE.startswith(scene.received)
        assert (len(scene.received) == len(LARGE)) is (result is not None)
        await scene.sock.sendall(MESSAGE)
        assert read_what_is_there(scene.peer) == MESSAGE

    count = await cancel_everywhere(streams, sendall, a_part_and_then_the_next, moment=moment, at_each=read_on)
    assert count >= 2


# --- accepting --------------------------------------------------------------------------------------------------------


@every_moment
async def test_a_connection_that_nobody_took_waits_for_the_next_accept(moment: Moment) -> None:
    clients: list[socket.socket] = []

    @asynccontextmanager
    async def listening() -> AsyncGenerator[aionet.AsyncSocket]:
        with aionet.AsyncSocket.wrap(listening_socket("tcp")) as sock:
            yield sock
            clients.pop().close()

    def connect(sock: aionet.AsyncSocket, number: int) -> None:
        if number == 1:
            clients.append(socket.create_connection(sock.getsockname()))

    async def accept(sock: aionet.AsyncSocket) -> tuple[aionet.AsyncSocket, object]:
        return await sock.accept()

    async def it_is_there(sock: aionet.AsyncSocket, result: tuple[aionet.AsyncSocket, object] | None) -> None:
        accepted, peer = result or await sock.accept()
        with accepted:
            assert peer == clients[0].getsockname()

    assert await cancel_everywhere(listening, accept, it_is_there, moment=moment, at_each=connect) == 1


@pytest.mark.parametrize("cancel_first", [True, False])
@pytest.mark.parametrize("end", ["close", "detach"])
async def test_a_socket_may_be_closed_in_the_turn_in_which_a_receiver_is_cancelled(
    end: str,
    cancel_first: bool,  # noqa: FBT001 - by name
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        sock = aionet.AsyncSocket.wrap(ours)
        receiving = asyncio.create_task(sock.recv(1))
        await asyncio.sleep(0)
        if cancel_first:
            receiving.cancel()
        if end == "close":
            sock.close()
        else:
            socket.socket(fileno=sock.detach()).close()
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
