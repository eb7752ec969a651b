"""The poller that a loop has: found again, forgotten with its loop, and exchanged for the loop's own methods."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import weakref
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet.system import poller as module
from aionet.system.poller import READABLE, EpollPoller, LoopPoller, poller_of
from aionet.transport.stream import StreamTransport
from tests.conftest import LOOP_FACTORIES
from tests.turns import until

if TYPE_CHECKING:
    from aionet.system.loops import LoopFactory

each_loop_factory = pytest.mark.parametrize("factory", LOOP_FACTORIES.values(), ids=LOOP_FACTORIES)


def test_each_loop_has_a_poller_of_its_own() -> None:
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    poller = poller_of(one)
    assert poller_of(one) is poller
    assert poller_of(other) is not poller
    one.close()
    other.close()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
def test_where_there_is_epoll_it_is_used() -> None:
    loop = asyncio.new_event_loop()
    assert isinstance(poller_of(loop), EpollPoller)
    loop.close()


async def test_a_loop_has_one_poller_for_as_long_as_it_is_used() -> None:
    loop = asyncio.get_running_loop()
    told: list[int] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller_of(loop).watch(ours.fileno(), READABLE, told.append)
        gc.collect()
        assert poller_of(loop) is poller_of(loop)
        theirs.send(b"x")
        await until(lambda: told)
        poller_of(loop).forget(ours.fileno())


@each_loop_factory
def test_a_loop_that_was_closed_with_a_transport_open_is_collected_and_the_transport_warns(
    factory: LoopFactory,
) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def run_and_collect() -> weakref.ref[asyncio.AbstractEventLoop]:
        async def leave_open() -> None:
            StreamTransport(asyncio.get_running_loop(), ours, asyncio.Protocol()).start()

        loop = factory()
        loop.run_until_complete(leave_open())
        loop.close()
        alive = weakref.ref(loop)
        del loop
        gc.collect()
        gc.collect()  # a collected transport's socket is collected after it
        return alive

    with theirs, pytest.warns(ResourceWarning, match="unclosed transport"):
        alive = run_and_collect()
    assert alive() is None
    assert ours.fileno() == -1


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def test_without_epoll_the_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_make", LoopPoller)
    text = bytes(range(256)) * 4096
    async with aionet.serve("tcp://127.0.0.1:0", echo) as server:
        for _ in range(2):
            async with aionet.connect(server.addresses[0]) as stream, asyncio.TaskGroup() as group:
                sending = group.create_task(stream.send(text))
                assert await stream.recv_exactly(len(text)) == text
                await sending
                await stream.send_eof()
                assert await stream.recv() == b""
        with aionet.AsyncSocket() as sock:
            await sock.connect(server.addresses[0])
            await sock.sendall(b"hello")
            assert await sock.recv(5) == b"hello"
            assert isinstance(poller_of(asyncio.get_running_loop()), LoopPoller)
