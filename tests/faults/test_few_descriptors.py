"""Out of descriptors: the listener neither dies nor spins, and no client is lost."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import selectors
import signal
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from tests.faults.peers import address_of, endpoint, every_kind, listening_socket
from tests.faults.running import running
from tests.programs import every_loop
from tests.turns import turns

if TYPE_CHECKING:
    from collections.abc import Generator

CLIENTS = 100


def connect(address: list[object], stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.connect((address[0], address[1]))
    client.sendall(b"hello\n")
    return client


@every_loop
def test_a_hundred_clients_of_a_server_with_64_descriptors_are_all_served_in_the_end(loop: str) -> None:
    with ExitStack() as stack, running("few_descriptors", loop, "") as server, selectors.DefaultSelector() as waiting:
        address = server.answer()
        for _ in range(CLIENTS):
            waiting.register(connect(address, stack), selectors.EVENT_READ)
        assert server.answer() == "resting"
        served = 0
        while served < CLIENTS:
            for key, _ in waiting.select():
                client = key.fileobj
                assert isinstance(client, socket.socket)
                assert client.recv(100) == b"hello\n", "accepted and closed"
                served += 1
                waiting.unregister(client)
                client.close()
        server.signal(signal.SIGTERM)
        result = server.answer()
        assert server.status() == 0, server.said()
        assert not server.said()
    # At most one every 100 ms; half of that, as uvloop's timers may come early. A loop that spins has thousands.
    assert 3 <= result["rests"] <= 2 + result["seconds"] / 0.05
    assert 1 <= result["lines"] <= 2 + result["seconds"]


@every_loop
def test_a_server_without_a_descriptor_to_spare_serves_once_there_is_one(loop: str) -> None:
    with ExitStack() as stack, running("few_descriptors", loop, "hoard") as server:
        client = connect(server.answer(), stack)
        assert server.answer() == "resting"
        server.signal(signal.SIGUSR1)
        assert client.recv(100) == b"hello\n"
        client.close()
        server.signal(signal.SIGTERM)
        assert server.answer()["rests"] >= 3
        assert server.status() == 0, server.said()
        assert not server.said()


@contextmanager
def descriptors_left(count: int) -> Generator[None]:
    """Leave so many descriptors to be had."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(count + 1)]
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


@every_kind
@pytest.mark.parametrize("count", [0, 1])
async def test_a_server_that_cannot_start_leaves_nothing(kind: str, count: int) -> None:
    with pytest.raises(OSError, match="Too many open files") as caught, descriptors_left(count):
        await aionet.serve(endpoint(kind), echo)
    assert caught.value.errno == errno.EMFILE


@every_kind
@pytest.mark.parametrize("count", [0, 1])
async def test_a_connect_without_descriptors_fails_and_leaves_nothing(kind: str, count: int) -> None:
    with listening_socket(kind) as listening:
        with pytest.raises(aionet.ConnectError, match="Too many open files") as caught, descriptors_left(count):
            await aionet.connect(address_of(listening))
        assert caught.value.errno == errno.EMFILE


async def test_a_listener_that_cannot_begin_to_accept_can_do_so_later() -> None:
    async with aionet.listen("tcp://127.0.0.1:0") as listener:
        address = listener.addresses[0]
        with pytest.raises(OSError, match="Too many open files"), descriptors_left(0):
            await listener.accept()
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(listener.accept())
            client = await aionet.connect(address)
        (await accepting).abort()
        client.abort()


@pytest.mark.parametrize("count", [0, 1])
async def test_a_server_of_transports_that_cannot_start_leaves_nothing(count: int) -> None:
    with pytest.raises(OSError, match="Too many open files"), descriptors_left(count):
        await aionet.create_server(asyncio.Protocol, "127.0.0.1", 0)


@pytest.mark.parametrize("count", [0, 1])
async def test_a_transport_that_cannot_connect_leaves_nothing(count: int) -> None:
    with (
        listening_socket("tcp") as listening,
        pytest.raises(OSError, match="Too many open files"),
        descriptors_left(count),
    ):
        await aionet.create_connection(asyncio.Protocol, *listening.getsockname())


async def test_a_transport_that_gets_no_events_is_closed_and_its_protocol_hears_of_nothing() -> None:
    told: list[str] = []

    class Told(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            told.append("made")

        def connection_lost(self, exc: Exception | None) -> None:
            told.append("lost")

    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        with pytest.raises(OSError, match="Too many open files"), descriptors_left(0):
            await aionet.create_connection(Told, sock=ours)
        assert theirs.recv(1) == b""
        await turns()
        assert not told
