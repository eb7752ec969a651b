"""Cancelled at any point, an AsyncSocket has lost nothing: no byte, no datagram, no connection, no descriptor."""

from __future__ import annotations

import array
import os
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from aionet import AsyncSocket
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import address_of, every_kind, listening_socket, read_what_is_there
from tests.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

_FILLER: Final = b"."
_WHOLE: Final = bytes(range(256)) * 1024


@attrs.define
class Scene:
    """An AsyncSocket, the plain socket at its other end, and what has passed between them."""

    ours: AsyncSocket
    theirs: socket.socket
    sent: bytearray = attrs.Factory(bytearray)
    received: bytearray = attrs.Factory(bytearray)

    def fill(self) -> None:
        """Leave no room to send."""
        try:
            while True:
                self.ours._sock.send(_FILLER * 4096)
        except BlockingIOError:
            pass

    def theirs_reads(self) -> None:
        """Let the peer read what is there, all but the filler."""
        self.received += read_what_is_there(self.theirs).replace(_FILLER, b"")


@asynccontextmanager
async def _pair(type_: int) -> AsyncGenerator[Scene]:
    ours, theirs = socket.socketpair(type=type_)
    theirs.setblocking(False)
    with AsyncSocket.wrap(ours) as sock, theirs:
        yield Scene(sock, theirs)
        await turns(3)


def stream() -> AbstractAsyncContextManager[Scene]:
    return _pair(socket.SOCK_STREAM)


def datagrams() -> AbstractAsyncContextManager[Scene]:
    return _pair(socket.SOCK_DGRAM)


async def _filled(receive_into: Callable[[bytearray], Awaitable[Any]]) -> bytes:
    buffer = bytearray(1)
    await receive_into(buffer)
    return bytes(buffer)


async def _data(received: Awaitable[tuple[Any, ...]]) -> bytes:
    data: bytes = (await received)[0]
    return data


RECEIVE: Final[dict[str, Callable[[AsyncSocket], Awaitable[bytes]]]] = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: _filled(sock.recv_into),
    "recvfrom": lambda sock: _data(sock.recvfrom(1)),
    "recvfrom_into": lambda sock: _filled(sock.recvfrom_into),
    "recvmsg": lambda sock: _data(sock.recvmsg(1)),
}


@every_moment
@pytest.mark.parametrize("scene", [stream, datagrams])
@pytest.mark.parametrize("receive", RECEIVE.values(), ids=RECEIVE)
async def test_what_was_not_received_is_still_there(
    receive: Callable[[AsyncSocket], Awaitable[bytes]],
    scene: Callable[[], AbstractAsyncContextManager[Scene]],
    moment: Moment,
) -> None:
    async def receive_three(scene: Scene) -> None:
        for _ in range(3):
            scene.received += await receive(scene.ours)

    def send_one(scene: Scene, number: int) -> None:
        scene.sent.append(number)
        scene.theirs.send(bytes([number]))

    async def receive_the_rest(scene: Scene, _result: None) -> None:
        while len(scene.received) < len(scene.sent):
            scene.received += await scene.ours.recv(1)
        assert scene.received == scene.sent

    assert await cancel_everywhere(scene, receive_three, receive_the_rest, moment=moment, at_each=send_one) == 3


SEND: Final[dict[str, Callable[[AsyncSocket, bytes], Awaitable[Any]]]] = {
    "send": lambda sock, data: sock.send(data),
    "sendall": lambda sock, data: sock.sendall(data),
    "sendmsg": lambda sock, data: sock.sendmsg([data]),
}


@every_moment
@pytest.mark.parametrize("scene", [stream, datagrams])
@pytest.mark.parametrize("send", SEND.values(), ids=SEND)
async def test_what_was_not_sent_whole_was_not_sent_at_all(
    send: Callable[[AsyncSocket, bytes], Awaitable[Any]],
    scene: Callable[[], AbstractAsyncContextManager[Scene]],
    moment: Moment,
) -> None:
    async def send_three(scene: Scene) -> None:
        for number in (1, 2, 3):
            scene.fill()
            await send(scene.ours, bytes([number]))
            scene.sent.append(number)

    def read(scene: Scene, _number: int) -> None:
        scene.theirs_reads()

    async def all_came(scene: Scene, _result: None) -> None:
        scene.theirs_reads()
        assert scene.received == scene.sent
        await scene.ours.sendall(b"goes on")
        scene.theirs_reads()
        assert scene.received.endswith(b"goes on")

    assert await cancel_everywhere(scene, send_three, all_came, moment=moment, at_each=read) == 3


@every_moment
async def test_of_a_cancelled_sendall_the_beginning_was_sent_and_the_next_one_is_not_held_up(moment: Moment) -> None:
    whole = _WHOLE.replace(_FILLER, b"")

    async def send_whole(scene: Scene) -> None:
        scene.fill()
        await scene.ours.sendall(whole)
        scene.sent += whole

    def read(scene: Scene, _number: int) -> None:
        scene.theirs_reads()

    async def it_was_the_beginning(scene: Scene, _result: None) -> None:
        scene.theirs_reads()
        assert whole.startswith(scene.received)
        assert len(scene.received) >= len(scene.sent)
        await scene.ours.sendall(b"goes on")
        scene.theirs_reads()
        assert scene.received.endswith(b"goes on")

    assert await cancel_everywhere(stream, send_whole, it_was_the_beginning, moment=moment, at_each=read) > 1


WAIT: Final[dict[str, Callable[[AsyncSocket], Awaitable[None]]]] = {
    "wait_readable": lambda sock: sock.wait_readable(),
    "wait_writable": lambda sock: sock.wait_writable(),
}


@every_moment
@pytest.mark.parametrize("wait", WAIT.values(), ids=WAIT)
async def test_whoever_only_waited_has_taken_nothing(
    wait: Callable[[AsyncSocket], Awaitable[None]], moment: Moment
) -> None:
    async def wait_twice(scene: Scene) -> None:
        scene.fill()
        await wait(scene.ours)
        await wait(scene.ours)

    def make_ready(scene: Scene, number: int) -> None:
        scene.theirs_reads()
        scene.theirs.send(bytes([number]))

    async def all_is_there(scene: Scene, _result: None) -> None:
        assert await scene.ours.recv(10) in (b"\1", b"\1\2")

    assert await cancel_everywhere(stream, wait_twice, all_is_there, moment=moment, at_each=make_ready) == 2


@every_moment
@every_kind
async def test_a_connection_that_was_not_accepted_waits_in_the_backlog(kind: str, moment: Moment) -> None:
    @asynccontextmanager
    async def listener_and_client() -> AsyncGenerator[Scene]:
        listener = listening_socket(kind)
        with AsyncSocket.wrap(listener) as ours, socket.socket(listener.family) as client:
            client.setblocking(False)
            yield Scene(ours, client)
            await turns(3)

    async def accept(scene: Scene) -> AsyncSocket:
        sock, _ = await scene.ours.accept()
        return sock

    def connect(scene: Scene, _number: int) -> None:
        scene.theirs.connect_ex(scene.ours.getsockname())

    async def the_client_is_served(scene: Scene, accepted: AsyncSocket | None) -> None:
        with accepted or (await scene.ours.accept())[0] as sock:
            await sock.send(b"welcome")
            assert scene.theirs.recv(100) == b"welcome"

    count = await cancel_everywhere(listener_and_client, accept, the_client_is_served, moment=moment, at_each=connect)
    assert count == 1


@every_moment
@every_kind
async def test_a_connect_leaves_a_socket_to_close(kind: str, moment: Moment) -> None:
    @asynccontextmanager
    async def listener() -> AsyncGenerator[Scene]:
        backlog = 0 if kind == "unix" else 16  # a full one makes a Unix connect wait, and TCP send again a second later
        with (
            listening_socket(kind, backlog=backlog) as listener,
            socket.socket(listener.family) as first,
            AsyncSocket(listener.family) as ours,
        ):
            first.connect(listener.getsockname())
            yield Scene(ours, listener)
            await turns(3)

    async def connect(scene: Scene) -> None:
        await scene.ours.connect(address_of(scene.theirs))

    def make_room(scene: Scene, _number: int) -> None:
        try:
            scene.theirs.accept()[0].close()
        except BlockingIOError:
            pass

    async def nothing(_scene: Scene, _result: None) -> None: ...

    assert await cancel_everywhere(listener, connect, nothing, moment=moment, at_each=make_room) >= 1


@every_moment
async def test_a_descriptor_is_passed_once_or_not_at_all(moment: Moment) -> None:
    async def pass_standard_input(scene: Scene) -> None:
        scene.fill()
        rights = array.array("i", [0]).tobytes()
        await scene.ours.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        scene.sent += b"!"

    def read(scene: Scene, _number: int) -> None:
        try:
            while True:
                data, control, _, _ = scene.theirs.recvmsg(1 << 20, 100)
                scene.received += data.replace(_FILLER, b"")
                for _, _, payload in control:
                    os.close(struct.unpack("i", payload)[0])
                    scene.received += b" with a descriptor"
        except BlockingIOError:
            pass

    async def all_came(scene: Scene, _result: None) -> None:
        read(scene, 0)
        assert bytes(scene.received) == (b"! with a descriptor" if scene.sent else b"")

    assert await cancel_everywhere(stream, pass_standard_input, all_came, moment=moment, at_each=read) == 1
