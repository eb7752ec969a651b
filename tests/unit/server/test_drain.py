"""drain: stop accepting, tell the handlers, wait, and abort what is left; and what may happen meanwhile."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.faults.peers import endpoint, every_kind, receive, receive_to_end
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LONG = 3600.0
LARGE = bytes(range(256)) * 4096


@attrs.define
class Scene:
    """A server whose handlers do what the first message says, and its clients: plain sockets."""

    stack: ExitStack
    server: aionet.Server = attrs.field(init=False)
    finish: asyncio.Event = attrs.Factory(asyncio.Event)
    results: list[aionet.DrainResult] = attrs.Factory(list)

    async def handle(self, stream: aionet.Stream) -> None:
        request = await stream.recv()
        handler = getattr(self, f"_{request.decode()}", None)
        if handler is None:
            await stream.send(b"you said " + request)
        else:
            await handler(stream)

    async def _idle(self, stream: aionet.Stream) -> None:
        async for _ in stream:
            pass

    async def _busy(self, stream: aionet.Stream) -> None:
        await self.finish.wait()
        await stream.send(b"done")

    async def _aware(self, stream: aionet.Stream) -> None:
        await stream.draining.wait()
        await stream.send(b"bye")

    async def _large(self, stream: aionet.Stream) -> None:
        await stream.send(LARGE)

    async def _deaf(self, stream: aionet.Stream) -> None:
        while not self.finish.is_set():
            try:
                await self.finish.wait()
            except asyncio.CancelledError:
                continue

    async def _drain(self, stream: aionet.Stream) -> None:
        self.results.append(await self.server.drain(0.2))
        await stream.send(b"drained")

    async def _close(self, stream: aionet.Stream) -> None:
        await self.server.aclose()
        await stream.send(b"closed")

    def connect(self, request: bytes = b"") -> socket.socket:
        """Connect and send, without a turn of the loop: the client waits in the backlog."""
        address = self.server.addresses[0]
        client = self.stack.enter_context(socket.socket(address.family))
        client.connect(address.sockaddr)
        client.setblocking(False)
        if request:
            client.send(request)
        return client

    async def begin(self, request: bytes) -> socket.socket:
        """Connect, and return when the handler has its request."""
        count = len(self.server.connections)
        client = self.connect(request)
        await until(lambda: len(self.server.connections) > count)
        await until(lambda: self.server.connections[-1].statistics().bytes_received)
        return client


@asynccontextmanager
async def serving(kind: str = "tcp", **settings: object) -> AsyncGenerator[Scene]:
    with ExitStack() as stack:
        scene = Scene(stack)
        async with aionet.serve(endpoint(kind), scene.handle, **settings) as server:  # type: ignore[arg-type]
            scene.server = server
            try:
                yield scene
            finally:
                scene.finish.set()  # or the deaf one would hold up the end of the loop, and hide why a test failed


async def test_handlers_that_finish_in_time_are_waited_for() -> None:
    async with serving() as scene:
        client = await scene.begin(b"busy")
        drain = asyncio.create_task(scene.server.drain(LONG))
        await turns()
        assert not drain.done()
        assert "DRAINING" in repr(scene.server)
        scene.finish.set()
        assert await receive_to_end(client) == b"done"
        client.close()
        assert await drain == aionet.DrainResult(finished=1, aborted=0)
        assert scene.server.state is aionet.ServerState.CLOSED


@every_kind
async def test_idle_clients_do_not_hold_it_up(kind: str) -> None:
    async with serving(kind) as scene:
        clients = [await scene.begin(b"idle") for _ in range(3)]
        assert await scene.server.drain(0.05) == aionet.DrainResult(finished=0, aborted=3)
        for client in clients:
            if kind == "tcp":
                with pytest.raises(ConnectionResetError):
                    await receive(client, 1)
            else:
                assert await receive(client, 1) == b""


async def test_handlers_are_told_and_those_who_listen_finish_at_once() -> None:
    async with serving() as scene:
        client = await scene.begin(b"aware")
        drain = asyncio.create_task(scene.server.drain(LONG))
        assert await receive_to_end(client) == b"bye"
        client.close()
        assert await drain == aionet.DrainResult(finished=1, aborted=0)


async def test_the_result_counts_each_connection_once() -> None:
    async with serving() as scene:
        clients = [await scene.begin(request) for request in (b"busy", b"idle", b"aware", b"idle")]
        drain = asyncio.create_task(scene.server.drain(0.2))
        scene.finish.set()
        for client in (clients[0], clients[2]):
            assert await receive_to_end(client) in (b"done", b"bye")
            client.close()
        assert await drain == aionet.DrainResult(finished=2, aborted=2)
        assert scene.server.statistics().aborted == 2


async def test_without_a_deadline_of_its_own_it_takes_the_one_of_the_timeouts() -> None:
    async with serving(timeouts=aionet.Timeouts(drain=0.02)) as scene:
        await scene.begin(b"idle")
        assert await scene.server.drain() == aionet.DrainResult(finished=0, aborted=1)


async def test_a_deadline_of_zero_aborts_at_once() -> None:
    async with serving() as scene:
        await scene.begin(b"idle")
        assert await scene.server.drain(0) == aionet.DrainResult(finished=0, aborted=1)


@every_kind
async def test_what_waits_in_the_backlog_is_served_and_whoever_comes_later_is_refused(kind: str) -> None:
    async with serving(kind) as scene:
        clients = [scene.connect(b"client %d" % number) for number in range(100)]
        assert not scene.server.connections
        drain = asyncio.create_task(scene.server.drain(LONG))
        for number, client in enumerate(clients):
            assert await receive_to_end(client) == b"you said client %d" % number
            client.close()
        with pytest.raises(ConnectionRefusedError):
            scene.connect()
        assert await drain == aionet.DrainResult(finished=100, aborted=0)


async def test_a_handler_that_begins_during_the_drain_knows_of_it() -> None:
    async with serving() as scene:
        client = scene.connect(b"aware")
        drain = asyncio.create_task(scene.server.drain(LONG))
        assert await receive_to_end(client) == b"bye"
        client.close()
        assert await drain == aionet.DrainResult(finished=1, aborted=0)


async def test_max_connections_holds_for_what_waits_in_the_backlog_too() -> None:
    async with serving(limits=aionet.Limits(max_connections=3)) as scene:
        for _ in range(5):
            scene.connect(b"idle")
        assert await scene.server.drain(0.01) == aionet.DrainResult(finished=0, aborted=3)


async def test_a_large_reply_reaches_a_slow_client_within_the_deadline() -> None:
    async with serving() as scene:
        client = await scene.begin(b"large")
        drain = asyncio.create_task(scene.server.drain(LONG))
        await turns()
        assert await receive_to_end(client) == LARGE
        client.close()
        assert await drain == aionet.DrainResult(finished=1, aborted=0)


async def test_a_second_drain_may_set_a_shorter_deadline() -> None:
    async with serving() as scene:
        await scene.begin(b"idle")
        first = asyncio.create_task(scene.server.drain(LONG))
        await turns()
        assert await scene.server.drain(0.01) == aionet.DrainResult(finished=0, aborted=1)
        assert await first == aionet.DrainResult(finished=0, aborted=1)
        assert scene.server.statistics().aborted == 1


async def test_two_drains_that_end_together_count_each_connection_once() -> None:
    async with serving() as scene:
        for _ in range(3):
            await scene.begin(b"idle")
        results = await asyncio.gather(scene.server.drain(0.01), scene.server.drain(0.01))
        assert list(results) == [aionet.DrainResult(finished=0, aborted=3)] * 2
        assert scene.server.statistics().aborted == 3


async def test_after_the_end_there_is_nothing_to_drain() -> None:
    async with serving() as scene:
        await scene.server.drain(LONG)
        assert await scene.server.drain(LONG) == aionet.DrainResult(finished=0, aborted=0)
        await scene.server.aclose()
        assert scene.server.state is aionet.ServerState.CLOSED


async def test_aclose_during_a_drain_ends_it() -> None:
    async with serving() as scene:
        client = await scene.begin(b"idle")
        drain = asyncio.create_task(scene.server.drain(LONG))
        await turns()
        await scene.server.aclose()
        with pytest.raises(ConnectionResetError):
            await receive(client, 1)
        assert await drain == aionet.DrainResult(finished=0, aborted=1)


async def test_whoever_serves_forever_is_told_of_the_end() -> None:
    async with serving() as scene:
        client = await scene.begin(b"aware")
        forever = asyncio.create_task(scene.server.serve_forever())
        drain = asyncio.create_task(scene.server.drain(LONG))
        await turns()
        assert not forever.done()
        assert await receive_to_end(client) == b"bye"
        client.close()
        await forever
        await drain


async def test_a_handler_may_drain_its_own_server_and_still_answer() -> None:
    async with serving() as scene:
        idle = await scene.begin(b"idle")
        aware = await scene.begin(b"aware")
        client = await scene.begin(b"drain")
        forever = asyncio.create_task(scene.server.serve_forever())
        assert await receive_to_end(aware) == b"bye"
        aware.close()
        with pytest.raises(ConnectionResetError):
            await receive(idle, 1)
        assert await receive(client, 7) == b"drained"
        assert scene.results == [aionet.DrainResult(finished=1, aborted=1)]
        assert not forever.done()
        client.close()
        await forever
        assert scene.server.state is aionet.ServerState.CLOSED


async def test_a_handler_alone_may_drain_its_own_server() -> None:
    async with serving() as scene:
        client = await scene.begin(b"drain")
        assert await receive_to_end(client) == b"drained"
        client.close()
        await scene.server.serve_forever()
        assert scene.results == [aionet.DrainResult(finished=0, aborted=0)]
        assert scene.server.statistics().aborted == 0


async def test_a_handler_may_close_its_own_server_and_still_answer() -> None:
    async with serving() as scene:
        idle = await scene.begin(b"idle")
        client = await scene.begin(b"close")
        assert await receive_to_end(client) == b"closed"
        client.close()
        with pytest.raises(ConnectionResetError):
            await receive(idle, 1)
        await scene.server.serve_forever()
        assert scene.server.statistics().aborted == 1


async def test_a_handler_that_is_deaf_to_its_cancel_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aionet.server.life._CANCEL_TIMEOUT", 0.01)
    async with serving() as scene:
        await scene.begin(b"deaf")
        assert await scene.server.drain(0.01) == aionet.DrainResult(finished=0, aborted=1)
        await scene.server.serve_forever()
        (record,) = caplog.records
        assert "a handler goes on although it was cancelled" in record.getMessage()
        scene.finish.set()
        await until(lambda: not scene.server.connections)
