"""How many connections a server takes at a time, and what those beyond that meet: the backlog, never a closed door."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet.server.admission import default_max_connections
from tests.faults.peers import endpoint, every_kind, receive
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import Generator


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


def client_of(server: aionet.Server, stack: ExitStack) -> socket.socket:
    """Connect a plain socket and send a byte, whether it is accepted or not."""
    client = stack.enter_context(socket.socket(server.addresses[0].family))
    client.connect(server.addresses[0].sockaddr)
    client.setblocking(False)
    client.send(b"x")
    return client


def answered(client: socket.socket) -> bool:
    """Say whether the byte came back; that the server closed the connection raises."""
    try:
        assert client.recv(1) == b"x", "accepted and closed"
    except BlockingIOError:
        return False
    return True


@every_kind
async def test_at_max_connections_clients_wait_in_the_backlog_until_another_one_leaves(kind: str) -> None:
    limits = aionet.Limits(max_connections=2)
    async with aionet.serve(endpoint(kind), echo, limits=limits) as server:
        with ExitStack() as stack:
            clients = [client_of(server, stack) for _ in range(5)]
            await until(lambda: len(server.connections) >= 2)
            await turns()
            assert [answered(client) for client in clients] == [True, True, False, False, False]
            assert server.statistics().accepted == 2

            for leaving, next_one in zip(clients, clients[2:], strict=False):
                leaving.close()
                assert await receive(next_one, 1) == b"x"
                assert len(server.connections) <= 2
        await until(lambda: not server.connections)
        assert server.statistics().accepted == 5
        assert server.statistics().active == 0


async def test_the_limit_holds_for_all_endpoints_together() -> None:
    limits = aionet.Limits(max_connections=1)
    async with aionet.serve([endpoint("tcp"), endpoint("unix")], echo, limits=limits) as server:
        with ExitStack() as stack:
            clients = []
            for address in server.addresses:
                client = stack.enter_context(socket.socket(address.family))
                client.connect(address.sockaddr)
                client.setblocking(False)
                client.send(b"x")
                clients.append(client)
            await until(lambda: server.connections)
            await turns()
            assert len(server.connections) == 1
            first = next(client for client in clients if answered(client))
            clients.remove(first)
            first.close()
            assert await receive(clients[0], 1) == b"x"


async def test_a_burst_within_the_limit_is_served_at_once() -> None:
    async with aionet.serve(endpoint("tcp"), echo) as server:
        with ExitStack() as stack:
            clients = [client_of(server, stack) for _ in range(200)]
            assert await asyncio.gather(*(receive(client, 1) for client in clients)) == [b"x"] * 200


@contextmanager
def most_descriptors(soft: int) -> Generator[None]:
    """Lower RLIMIT_NOFILE; what is open already stays open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(1, 1), (64, 51), (1000, 800), (12_499, 9999), (20_000, 10_000)]
)
def test_without_a_limit_it_follows_from_how_many_descriptors_there_may_be(descriptors: int, connections: int) -> None:
    if descriptors > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        pytest.skip("the hard limit is lower")
    with most_descriptors(descriptors):
        assert default_max_connections() == connections


def test_without_a_limit_on_descriptors_there_is_one_on_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert default_max_connections() == 10_000


async def test_the_limit_is_found_when_the_server_starts() -> None:
    with most_descriptors(300):
        async with aionet.serve(endpoint("tcp"), echo) as server:
            assert server.statistics().max_connections == 240
    async with aionet.serve(endpoint("tcp"), echo, limits=aionet.Limits(max_connections=7)) as server:
        assert server.statistics().max_connections == 7
