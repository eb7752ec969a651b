"""Cancelled while accepting, serving or draining, no client is lost and nothing goes on that nobody knows of."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import endpoint, every_kind, receive_to_end
from tests.leaks import GRACE
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CLOSING_SOON = aionet.Timeouts(close=0.01)


@attrs.define
class Scene:
    """Something that listens, and the plain sockets that connect to it."""

    addresses: tuple[aionet.Address, ...]
    clients: list[socket.socket] = attrs.Factory(list)

    def connect(self, _number: int = 0) -> socket.socket:
        client = socket.socket(self.addresses[0].family)
        self.clients.append(client)
        client.connect(self.addresses[0].sockaddr)
        client.setblocking(False)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()


@attrs.define
class Listening(Scene):
    """A listener."""

    listener: aionet.Listener = attrs.field(kw_only=True)


@attrs.define
class Serving(Scene):
    """A server, whose handlers are of every kind."""

    server: aionet.Server = attrs.field(kw_only=True)


def connect_once(scene: Scene, number: int) -> None:
    if number == 1:
        scene.connect()


@asynccontextmanager
async def listening(kind: str) -> AsyncGenerator[Listening]:
    async with aionet.listen(endpoint(kind)) as listener:
        scene = Listening(listener.addresses, listener=listener)
        try:
            yield scene
        finally:
            scene.close()


@every_moment
@every_kind
async def test_a_connection_goes_to_the_next_who_accepts(kind: str, moment: Moment) -> None:
    async def accept(scene: Listening) -> aionet.Stream:
        return await scene.listener.accept()

    async def somebody_gets_it(scene: Listening, result: aionet.Stream | None) -> None:
        if not scene.clients:
            scene.connect()
        stream = result or await scene.listener.accept()
        scene.clients[0].send(b"it is me")
        assert await stream.recv() == b"it is me"
        stream.abort()

    count = await cancel_everywhere(
        partial(listening, kind), accept, somebody_gets_it, moment=moment, at_each=connect_once
    )
    assert count == 1


@every_moment
async def test_connections_go_to_those_who_still_accept_in_their_order(moment: Moment) -> None:
    @asynccontextmanager
    async def somebody_waits_behind() -> AsyncGenerator[tuple[Listening, list[asyncio.Task[aionet.Stream]]]]:
        async with listening("tcp") as scene:
            yield scene, []

    async def accept(scene: tuple[Listening, list[asyncio.Task[aionet.Stream]]]) -> aionet.Stream:
        return await scene[0].listener.accept()

    def connect(scene: tuple[Listening, list[asyncio.Task[aionet.Stream]]], number: int) -> None:
        if number == 1:
            # Of the loop's own context: this task is not a part of the operation.
            task = asyncio.get_running_loop().create_task(scene[0].listener.accept(), context=contextvars.Context())
            scene[1].append(task)
            scene[0].connect()

    async def the_next_gets_it(
        scene: tuple[Listening, list[asyncio.Task[aionet.Stream]]], result: aionet.Stream | None
    ) -> None:
        if result is not None:
            result.abort()
            scene[0].connect()
        stream = await scene[1][0]
        scene[0].clients[-1].send(b"it is me")
        assert await stream.recv() == b"it is me"
        stream.abort()

    count = await cancel_everywhere(somebody_waits_behind, accept, the_next_gets_it, moment=moment, at_each=connect)
    assert count == 1


@every_moment
@every_kind
async def test_a_server_that_is_left_is_gone(kind: str, moment: Moment) -> None:
    @asynccontextmanager
    async def nothing() -> AsyncGenerator[None]:
        yield

    async def resolver(host: str | None, port: int, **options: int) -> list[aionet.InetAddress]:
        await asyncio.sleep(0)
        return await aionet.resolve(host, port, **options)

    async def echo(stream: aionet.Stream) -> None:
        async for data in stream:
            await stream.send(data)

    async def serve_somebody(_scene: None) -> None:
        async with (
            aionet.serve(endpoint(kind), echo, resolver=resolver, timeouts=CLOSING_SOON) as server,
            aionet.connect(server.addresses[0], timeouts=CLOSING_SOON) as stream,
        ):
            await stream.send(b"hello")
            assert await stream.recv_exactly(5) == b"hello"

    async def check(_scene: None, _result: None) -> None:
        """Check nothing but what the harness does."""

    assert await cancel_everywhere(nothing, serve_somebody, check, moment=moment) >= 5


async def answer_late(stream: aionet.Stream) -> None:
    await stream.recv()
    await asyncio.Event().wait()


async def wait_for_the_client(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def stop_when_told(stream: aionet.Stream) -> None:
    await stream.draining.wait()
    await stream.send(b"bye")


async def ignore_the_first_cancel(stream: aionet.Stream) -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.sleep(0)


@asynccontextmanager
async def serving() -> AsyncGenerator[Serving]:
    handlers = [answer_late, wait_for_the_client, stop_when_told, ignore_the_first_cancel]

    async def handle(stream: aionet.Stream) -> None:
        await handlers[len(server.connections) - 1](stream)

    async with aionet.serve("tcp://127.0.0.1:0", handle, timeouts=CLOSING_SOON) as server:
        scene = Serving(server.addresses, server=server)
        for number in range(len(handlers)):
            scene.connect().send(b"hello")
            await until(lambda: len(server.connections) > number)  # noqa: B023 - awaited at once
        try:
            yield scene
        finally:
            scene.close()


async def every_client_is_told(scene: Serving, _result: object) -> None:
    for client in scene.clients:
        async with asyncio.timeout(GRACE):
            with suppress(ConnectionResetError):
                assert await receive_to_end(client) in (b"", b"bye")
    with pytest.raises(ConnectionRefusedError):
        scene.connect()


@every_moment
async def test_a_drain_that_is_cancelled_aborts_what_is_left(moment: Moment) -> None:
    async def drain(scene: Serving) -> aionet.DrainResult:
        return await scene.server.drain(0.03)

    assert await cancel_everywhere(serving, drain, every_client_is_told, moment=moment) >= 1


@every_moment
async def test_a_close_that_is_cancelled_closes_all_the_same(moment: Moment) -> None:
    async def aclose(scene: Serving) -> None:
        await scene.server.aclose()

    assert await cancel_everywhere(serving, aclose, every_client_is_told, moment=moment) >= 1


@every_moment
@pytest.mark.parametrize("ending", ["drain", "aclose"])
async def test_who_waits_for_a_server_is_told_that_it_ended_even_if_its_end_was_cancelled(
    ending: str, moment: Moment
) -> None:
    async def end(scene: Serving) -> None:
        await (scene.server.drain(0.03) if ending == "drain" else scene.server.aclose())

    async def it_has_ended(scene: Serving, result: object) -> None:
        await every_client_is_told(scene, result)
        async with asyncio.timeout(GRACE):
            await scene.server.serve_forever()
        assert scene.server.state is aionet.ServerState.CLOSED

    assert await cancel_everywhere(serving, end, it_has_ended, moment=moment) >= 1


@every_moment
async def test_a_server_of_transports_that_is_left_is_gone(moment: Moment) -> None:
    @asynccontextmanager
    async def nothing() -> AsyncGenerator[None]:
        yield

    async def serve_somebody(_scene: None) -> None:
        async with await aionet.create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport, _ = await aionet.create_connection(asyncio.Protocol, "127.0.0.1", port)
            transport.close()

    async def check(_scene: None, _result: None) -> None:
        """Check nothing but what the harness does."""

    assert await cancel_everywhere(nothing, serve_somebody, check, moment=moment) >= 1
