"""Cancelled while connecting, no socket is left: not the one that connects, not those that race with it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest

import aionet
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import address_of, every_kind, listening_socket, receive_to_end
from tests.leaks import GRACE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

Operation: TypeAlias = "Callable[[Scene], Coroutine[None, None, object]]"
SceneFactory: TypeAlias = "Callable[[], AbstractAsyncContextManager[Scene]]"

QUICK = aionet.Timeouts(happy_eyeballs_delay=0.01, close=0.01)


@attrs.define
class Scene:
    """What can be connected to: sockets that listen, and the addresses in the order in which they are tried."""

    listening: list[socket.socket]
    addresses: list[aionet.Address]
    timeouts: aionet.Timeouts = QUICK

    async def resolve(self, host: str | None, port: int, **_options: object) -> list[aionet.InetAddress]:
        """Resolve every name to the addresses of the scene, after a turn of the loop."""
        await asyncio.sleep(0)
        return [address for address in self.addresses if isinstance(address, aionet.InetAddress)]


def refusing_address() -> aionet.Address:
    """Return an address that nobody listens on: the port was free just now."""
    with listening_socket("tcp") as sock:
        return address_of(sock)


def full(kind: str, stack: ExitStack) -> socket.socket:
    """Return a socket that listens and has no room in its backlog: who connects has to wait."""
    listening = stack.enter_context(listening_socket(kind, backlog=0))
    for _ in range(3):
        waiting = stack.enter_context(socket.socket(listening.family))
        waiting.setblocking(False)
        waiting.connect_ex(listening.getsockname())
    return listening


@asynccontextmanager
async def one_address(kind: str) -> AsyncGenerator[Scene]:
    with listening_socket(kind) as listening:
        yield Scene([listening], [address_of(listening)])


@asynccontextmanager
async def full_backlog() -> AsyncGenerator[Scene]:
    with ExitStack() as stack:
        listening = full("unix", stack)
        yield Scene([listening], [address_of(listening)])


@asynccontextmanager
async def refused_then_good() -> AsyncGenerator[Scene]:
    with listening_socket("tcp") as listening:
        yield Scene([listening], [refusing_address(), address_of(listening)])


@asynccontextmanager
async def silent_then_good() -> AsyncGenerator[Scene]:
    with ExitStack() as stack:
        listening = stack.enter_context(listening_socket("tcp"))
        silent = full("tcp", stack)
        yield Scene([listening], [address_of(silent), address_of(silent), address_of(listening)])


@asynccontextmanager
async def all_refused() -> AsyncGenerator[Scene]:
    yield Scene([], [refusing_address(), refusing_address()])


@asynccontextmanager
async def all_silent() -> AsyncGenerator[Scene]:
    with ExitStack() as stack:
        silent = full("tcp", stack)
        timeouts = aionet.Timeouts(connect=0.03, happy_eyeballs_delay=0.01, close=0.01)
        yield Scene([], [address_of(silent), address_of(silent)], timeouts)


async def connect(scene: Scene) -> aionet.Stream | None:
    """Connect to the one address, or to a name that has several."""
    endpoint = scene.addresses[0] if len(scene.addresses) == 1 else "tcp://several.example:1"
    try:
        return await aionet.connect(endpoint, timeouts=scene.timeouts, resolver=scene.resolve)
    except aionet.ConnectError:
        assert not scene.listening
        return None


async def enter_and_leave(scene: Scene) -> None:
    async with aionet.connect(scene.addresses[0], timeouts=scene.timeouts) as stream:
        await stream.send(b"hello")


async def connect_a_transport(scene: Scene) -> aionet.StreamTransport:
    address = scene.addresses[0]
    assert isinstance(address, aionet.InetAddress)
    transport, _ = await aionet.create_connection(asyncio.Protocol, address.host, address.port)
    return transport


async def connect_a_socket(scene: Scene) -> aionet.AsyncSocket:
    sock = aionet.AsyncSocket(scene.addresses[0].family)
    try:
        await sock.connect(scene.addresses[0])
    except BaseException:
        sock.close()
        raise
    return sock


def make_room(scene: Scene, number: int) -> None:
    """Accept somebody, once it has been found that there is no room."""
    if number > 5:
        with suppress(BlockingIOError):
            scene.listening[0].accept()[0].close()


async def everything_is_closed(scene: Scene, result: object) -> None:
    """Close the result; then every connection that has come must end."""
    if isinstance(result, aionet.Stream | aionet.StreamTransport):
        result.abort()
    elif isinstance(result, aionet.AsyncSocket):
        result.close()
    for listening in scene.listening:
        while True:
            try:
                accepted, _ = listening.accept()
            except BlockingIOError:
                break
            with accepted, suppress(ConnectionResetError):
                accepted.setblocking(False)
                async with asyncio.timeout(GRACE):
                    assert await receive_to_end(accepted) in (b"", b"hello")


SCENES: dict[str, SceneFactory] = {
    "tcp": partial(one_address, "tcp"),
    "unix": partial(one_address, "unix"),
    "refused then good": refused_then_good,
    "silent then good": silent_then_good,
    "all refused": all_refused,
    "all silent": all_silent,
}


@every_moment
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_no_socket_is_left(scene: SceneFactory, moment: Moment) -> None:
    assert await cancel_everywhere(scene, connect, everything_is_closed, moment=moment) >= 1


@every_moment
async def test_no_socket_is_left_where_a_unix_backlog_is_full(moment: Moment) -> None:
    async def nobody_else_came(scene: Scene, result: object) -> None:
        if isinstance(result, aionet.Stream):
            result.abort()

    count = await cancel_everywhere(full_backlog, connect, nobody_else_came, moment=moment, at_each=make_room)
    assert count > 5


@every_moment
@every_kind
async def test_no_socket_is_left_where_a_block_is_entered(kind: str, moment: Moment) -> None:
    scene = partial(one_address, kind)
    assert await cancel_everywhere(scene, enter_and_leave, everything_is_closed, moment=moment) >= 1


@every_moment
async def test_no_socket_of_a_transport_is_left(moment: Moment) -> None:
    scene = partial(one_address, "tcp")
    assert await cancel_everywhere(scene, connect_a_transport, everything_is_closed, moment=moment) >= 1


@every_moment
@every_kind
async def test_a_plain_socket_is_its_owners_to_close(kind: str, moment: Moment) -> None:
    scene = partial(one_address, kind)
    count = await cancel_everywhere(scene, connect_a_socket, everything_is_closed, moment=moment)
    assert count >= (kind == "tcp")  # a Unix socket connects at once


@every_moment
async def test_a_name_that_is_being_resolved_is_forgotten(moment: Moment) -> None:
    @asynccontextmanager
    async def nothing() -> AsyncGenerator[None]:
        yield

    async def resolve(_scene: None) -> list[aionet.InetAddress]:
        return await aionet.resolve("localhost", 80)

    async def addresses(_scene: None, result: list[aionet.InetAddress] | None) -> None:
        assert result is None or aionet.InetAddress("127.0.0.1", 80) in result

    assert await cancel_everywhere(nothing, resolve, addresses, moment=moment) == 1
