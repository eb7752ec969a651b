"""Endpoints: datagrams to and fro, one at a time and many, over IPv4, IPv6 and Unix sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import BusyError, ClosedError, Datagram, DatagramOptions, InetAddress
from tests.turns import running, turns, until
from tests.unit.datagram.endpoints import connected, each_ip, each_kind, pair, place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@each_kind
async def test_a_datagram_arrives_with_its_sender_and_is_answered(kind: str) -> None:
    async with pair(kind) as (ours, theirs):
        async with running(ours.recvfrom()) as receiving:
            await turns()
            await theirs.sendto(b"question", ours.local)
            datagram = await receiving
        assert datagram == Datagram(b"question", theirs.local)
        assert (datagram.local, datagram.ecn, datagram.timestamp, datagram.truncated) == (None, None, None, False)
        await ours.sendto(b"answer", datagram.peer)
        assert await theirs.recv() == b"answer"


@each_kind
async def test_connected_it_sends_and_receives_without_addresses(kind: str) -> None:
    async with connected(kind) as (ours, theirs):
        assert theirs.peer == ours.local
        await theirs.send(b"one")
        datagram = await ours.recvfrom()
        assert datagram.peer == theirs.local
        await ours.sendto(b"two", datagram.peer)
        assert await theirs.recv() == b"two"
        assert (await theirs.recvfrom() if theirs.statistics().receive_queue else datagram).peer == theirs.local


@each_kind
async def test_datagrams_are_iterated_over(kind: str) -> None:
    async with pair(kind) as (ours, theirs):

        async def echo() -> None:
            async for datagram in ours:
                await ours.sendto(datagram.data, datagram.peer)

        async with running(echo()):
            for number in range(200):
                await theirs.sendto(b"%d" % number, ours.local)
                assert await theirs.recv() == b"%d" % number


@each_kind
async def test_an_empty_datagram_is_a_datagram(kind: str) -> None:
    async with connected(kind) as (ours, theirs):
        await theirs.send(b"")
        await theirs.sendto(b"", ours.local)
        await theirs.send_many([b"", b"x", b""])
        assert [(await ours.recvfrom()).data for _ in range(5)] == [b"", b"", b"", b"x", b""]
        assert ours.statistics().received == 5


@each_kind
async def test_what_has_come_is_received_in_order_and_many_at_a_time(kind: str) -> None:
    async with pair(kind) as (ours, theirs):
        sent = [b"%d" % number for number in range(9)]
        await theirs.send_many(sent, ours.local)
        got = [datagram.data for datagram in await ours.recv_many(4)]
        assert len(got) <= 4
        while len(got) < len(sent):
            got += [datagram.data for datagram in await ours.recv_many()]
        assert got == sent
        with pytest.raises(ValueError, match="max_count=0: expected at least 1"):
            await ours.recv_many(0)


@each_kind
async def test_many_go_to_many_peers(kind: str) -> None:
    async with pair(kind) as (ours, theirs), aionet.bind_datagram(place(kind)) as others:
        await ours.sendto_many([(b"1", theirs.local), (b"2", theirs.local), (b"3", others.local), (b"4", theirs.local)])
        assert [await theirs.recv() for _ in range(3)] == [b"1", b"2", b"4"]
        assert await others.recv() == b"3"
        await ours.sendto_many([])
        assert ours.statistics().sent == 4


@each_kind
async def test_a_cancelled_receive_loses_nothing(kind: str) -> None:
    async with pair(kind) as (ours, theirs):
        for receive in (ours.recvfrom, ours.recv, ours.recv_many, ours.recv_batch):
            async with running(receive()):
                await turns()
            await theirs.sendto(b"kept", ours.local)
            assert await ours.recv() == b"kept"


async def test_one_that_is_cancelled_as_its_datagram_comes_leaves_it_to_the_next() -> None:
    async with pair("ipv4") as (ours, theirs):
        for _ in range(20):
            task = asyncio.create_task(ours.recvfrom())
            await turns(3)
            await theirs.sendto(b"kept", ours.local)
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                assert await ours.recv() == b"kept"


async def test_one_task_receives_at_a_time() -> None:
    async with pair("ipv4") as (ours, theirs), running(ours.recvfrom()) as first:
        await turns()
        for receive in (ours.recvfrom, ours.recv, ours.recv_many, ours.recv_batch, ours.__aiter__().__anext__):
            with pytest.raises(BusyError, match=r"on 127\.0\.0\.1:\d+ <-: another task is receiving"):
                await receive()
        await theirs.sendto(b"x", ours.local)
        assert (await first).data == b"x"


@pytest.mark.parametrize(
    "operation",
    [
        lambda endpoint: endpoint.recvfrom(),
        lambda endpoint: endpoint.recv(),
        lambda endpoint: endpoint.recv_many(),
        lambda endpoint: endpoint.recv_batch(),
        lambda endpoint: endpoint.__anext__(),
        lambda endpoint: endpoint.sendto(b"x", endpoint.local),
        lambda endpoint: endpoint.send(b"x"),
        lambda endpoint: endpoint.send_many([b"x"], endpoint.local),
        lambda endpoint: endpoint.send_many([b"x", b"y"], endpoint.local),
        lambda endpoint: endpoint.sendto_many([(b"x", endpoint.local)]),
    ],
    ids=["recvfrom", "recv", "recv_many", "recv_batch", "anext", "sendto", "send", "send_many", "run", "sendto_many"],
)
async def test_after_aclose_every_operation_says_that_you_closed_it(
    operation: Callable[[aionet.DatagramEndpoint], Awaitable[object]],
) -> None:
    endpoint = await aionet.bind_datagram("udp://127.0.0.1:0")
    await endpoint.sendto(b"unread", endpoint.local)
    await until(lambda: endpoint.statistics().receive_queue)
    await endpoint.aclose()
    await endpoint.aclose()
    for _ in range(2):
        with pytest.raises(ClosedError, match=r"on 127\.0\.0\.1:\d+: it is closed"):
            await operation(endpoint)
    statistics = endpoint.statistics()
    assert (statistics.received, statistics.dropped_queue, statistics.receive_queue) == (1, 1, 0)
    for call in (endpoint.join_group, endpoint.leave_group):
        with pytest.raises(ClosedError):
            call("224.0.0.251")
    with pytest.raises(ClosedError):
        _ = endpoint.path_mtu


async def test_whoever_waits_when_it_is_closed_is_told() -> None:
    endpoint = await aionet.bind_datagram("udp://127.0.0.1:0")
    async with running(endpoint.recvfrom()) as receiving:
        await turns()
        await endpoint.aclose()
        with pytest.raises(ClosedError):
            await endpoint.recvfrom()
        with pytest.raises(ClosedError):
            await receiving


async def test_a_handler_may_close_its_endpoint() -> None:
    async with pair("ipv4") as (ours, theirs):
        await theirs.send_many([b"1", b"2", b"3"], ours.local)
        async for datagram in ours:
            assert datagram.data == b"1"
            await ours.aclose()
            break
        assert ours.closed
        assert repr(ours) == f"<DatagramEndpoint {ours.local} CLOSED>"


async def test_one_that_is_dropped_unclosed_says_so_and_is_closed() -> None:
    endpoints = [await aionet.bind_datagram("udp://127.0.0.1:0")]
    with pytest.warns(ResourceWarning, match=r"unclosed endpoint <DatagramEndpoint 127\.0\.0\.1:\d+>"):
        endpoints.clear()  # nobody else holds it
    gc.collect()
    await turns()


@each_ip
async def test_it_says_what_it_has_done(kind: str) -> None:
    async with pair(kind) as (ours, theirs):
        await theirs.sendto(b"1", ours.local)
        await theirs.sendto(b"2", ours.local)
        await until(lambda: ours.statistics().receive_queue == 2)
        assert ours.statistics().received == 0
        await ours.recv()
        statistics = ours.statistics()
        assert (statistics.received, statistics.delivered, statistics.receive_queue) == (1, 1, 1)
        assert theirs.statistics().sent == 2
        assert statistics.dropped_queue == statistics.dropped_kernel == statistics.truncated == 0


@each_ip
async def test_a_peer_may_be_a_pair_and_a_host_name_is_refused(kind: str) -> None:
    async with pair(kind) as (ours, theirs):
        assert isinstance(theirs.local, InetAddress)
        await ours.sendto(b"x", theirs.local.sockaddr)
        await ours.send_many([b"y"], (theirs.local.host, theirs.local.port))
        assert [await theirs.recv() for _ in range(2)] == [b"x", b"y"]
        with pytest.raises(aionet.AddressError, match="localhost"):
            await ours.sendto(b"x", ("localhost", 9))


async def test_ipv4_is_reached_from_an_endpoint_of_both_families() -> None:
    async with aionet.bind_datagram("udp://*:0") as ours, aionet.bind_datagram("udp://127.0.0.1:0") as theirs:
        assert isinstance(ours.local, InetAddress)
        await theirs.sendto(b"x", ("127.0.0.1", ours.local.port))
        peer = (await ours.recvfrom()).peer
        assert str(peer).startswith("[::ffff:127.0.0.1]:")
        await ours.sendto(b"by what came", peer)
        await ours.sendto(b"by hand", theirs.local)
        await ours.send_many([b"many"] * 3, theirs.local)
        assert [await theirs.recv() for _ in range(5)] == [b"by what came", b"by hand", *[b"many"] * 3]
        with pytest.raises(aionet.AddressError, match="another family"):
            await theirs.sendto(b"x", InetAddress("::1", 9))


async def test_a_send_may_be_a_task_of_its_own() -> None:
    async with pair("ipv4") as (ours, theirs):
        await asyncio.gather(*[ours.sendto(b"%d" % number, theirs.local) for number in range(200)])
        async with asyncio.TaskGroup() as group:
            group.create_task(ours.sendto(b"last", theirs.local))
        got = [await theirs.recv() for _ in range(201)]
        assert sorted(got[:-1], key=int) == [b"%d" % number for number in range(200)]


async def test_an_endless_sender_lets_others_run() -> None:
    async with pair("ipv4") as (ours, theirs):

        async def send() -> None:
            while True:
                await ours.sendto(b"x", theirs.local)

        async def send_many() -> None:
            while True:
                await ours.send_many([b"x"] * 10, theirs.local)

        for forever in (send, send_many):
            async with running(forever()):
                await turns(10)


async def test_buffers_of_every_kind_are_sent_as_they_are_at_the_call() -> None:
    async with pair("ipv4") as (ours, theirs):
        changed = bytearray(b"before")
        await ours.sendto(changed, theirs.local)
        await ours.send_many([changed, memoryview(b"view"), memoryview(b"abcdefgh").cast("I")], theirs.local)
        changed[:] = b"after!"
        assert [await theirs.recv() for _ in range(4)] == [b"before", b"before", b"view", b"abcdefgh"]


async def test_the_socket_may_be_looked_at() -> None:
    async with connected("ipv4", DatagramOptions(ttl=9)) as (ours, theirs):
        sock = ours.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 9
        assert ours.get_extra_info("sockname")[0] == "127.0.0.1"
        assert ours.get_extra_info("peername", 5) == 5
        assert isinstance(theirs.path_mtu, int)
        assert ours.path_mtu is None
        assert repr(theirs) == f"<DatagramEndpoint {theirs.local} <-> {ours.local}>"
        assert ours.refused_options == ()
