"""Runs of datagrams: UDP_SEGMENT and UDP_GRO where the system has them, the same datagrams where it does not."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import DatagramOptions
from tests.turns import turns, until
from tests.unit.datagram.endpoints import connected, each_ip, pair

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aionet import DatagramEndpoint

MIXED = [b"a" * 1000] * 70 + [b"b" * 10, b"", b"c" * 1000, b"d" * 2000, b"e" * 2000]


async def received(endpoint: DatagramEndpoint, count: int) -> list[bytes]:
    got: list[bytes] = []
    while len(got) < count:
        got += [datagram.data for datagram in await endpoint.recv_many()]
    return got


@each_ip
@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no gso"])
@pytest.mark.parametrize("gro", [True, None, False], ids=["gro", "gro later", "no gro"])
async def test_what_is_sent_in_runs_arrives_one_by_one(kind: str, gso: bool, gro: bool | None) -> None:  # noqa: FBT001
    async with (
        pair(kind, DatagramOptions(gro=gro, receive_buffer=200_000)) as (ours, _),
        aionet.connect_datagram(ours.local, options=DatagramOptions(gso=gso)) as theirs,
    ):
        for _ in range(3):
            await theirs.send_many(MIXED)
            assert await received(ours, len(MIXED)) == MIXED
        assert theirs.statistics().sent == 3 * len(MIXED)
        assert bool(theirs.statistics().gso_batches) == gso
        assert bool(ours.statistics().gro_batches) == (gso and gro is not False)
        assert ours.statistics().received == 3 * len(MIXED)


@each_ip
async def test_a_batch_is_handed_over_as_it_came(kind: str) -> None:
    async with connected(kind, DatagramOptions(gro=True)) as (ours, theirs):
        await theirs.send_many([b"1" * 1000] * 10 + [b"2" * 10])
        batch = await ours.recv_batch()
        assert (len(batch.data), batch.segment_size, batch.peer) == (10010, 1000, theirs.local)
        assert batch.datagrams == 11
        assert [datagram.data for datagram in batch.split()] == [b"1" * 1000] * 10 + [b"2" * 10]
        assert {datagram.peer for datagram in batch.split()} == {theirs.local}
        await theirs.send(b"alone")
        assert (await ours.recv_batch())[:2] == (b"alone", 5)
        await theirs.send(b"")
        batch = await ours.recv_batch()
        assert (batch.data, batch.datagrams, [each.data for each in batch.split()]) == (b"", 1, [b""])
        assert ours.statistics().delivered == 13


async def test_batches_that_wait_are_split_for_those_who_want_datagrams() -> None:
    async with connected("ipv4", DatagramOptions(gro=True)) as (ours, theirs):
        await theirs.send(b"first")
        await ours.recv_batch()
        await theirs.send_many([b"%d" % number for number in range(10, 20)])
        await until(lambda: ours.statistics().receive_queue == 10)
        assert await ours.recv() == b"10"
        assert (await ours.recvfrom()).data == b"11"
        assert [datagram.data for datagram in await ours.recv_many(3)] == [b"12", b"13", b"14"]
        assert (await ours.recv_batch()).data == b"15"
        assert [datagram.data async for datagram in _first(ours, 2)] == [b"16", b"17"]
        assert [datagram.data for datagram in await ours.recv_many()] == [b"18", b"19"]
        assert ours.statistics().delivered == 11


async def _first(endpoint: DatagramEndpoint, count: int) -> AsyncGenerator[aionet.Datagram]:
    for _ in range(count):
        yield await endpoint.recvfrom()


async def test_datagrams_that_came_before_batches_were_asked_for_come_as_batches_of_one() -> None:
    async with connected("ipv4") as (ours, theirs):
        await theirs.send_many([b"one", b"two"])
        await until(lambda: ours.statistics().receive_queue == 2)
        assert [(await ours.recv_batch()).data for _ in range(2)] == [b"one", b"two"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL])
async def test_runs_that_the_system_refuses_are_sent_singly(number: int) -> None:
    async with connected("ipv4") as (ours, theirs):
        sendmsg = theirs._transport.sock_sendmsg
        refused = 0

        def refuse(buffers: Any, ancdata: Any = (), *rest: Any) -> int:
            nonlocal refused
            if any(type_ == 103 for _, type_, _ in ancdata):
                refused += 1
                raise OSError(number, "no such thing here")
            return sendmsg(buffers, ancdata, *rest)

        theirs._transport.sock_sendmsg = refuse
        for _ in range(3):
            await theirs.send_many([b"x" * 100] * 50)
            assert await received(ours, 50) == [b"x" * 100] * 50
        assert refused == 1
        await theirs.send_many([b"y" * 40] * 3)
        assert refused == (1 if number == errno.EIO else 2)
        assert theirs.statistics().gso_batches == 0
        assert theirs.statistics().sent == 153


async def test_what_is_larger_than_the_path_takes_does_not_end_runs_for_what_is_not() -> None:
    async with pair("ipv4", DatagramOptions(receive_buffer=1 << 20)) as (ours, theirs):
        await theirs.send_many([b"x" * 32000] * 2 + [b"y" * 100] * 5, ours.local)
        assert sorted(map(len, await received(ours, 7))) == [100] * 5 + [32000] * 2
        assert theirs.statistics().gso_batches >= 1


async def test_without_recvmmsg_all_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.system.recvmmsg._recvmmsg", None)
    async with connected("ipv4", DatagramOptions(gro=False)) as (ours, theirs):
        assert not ours._transport._plain
        await theirs.send_many(MIXED[:30])
        assert await received(ours, 30) == MIXED[:30]
        assert {datagram.peer for datagram in [await _answered(ours, theirs)]} == {theirs.local}


async def _answered(ours: DatagramEndpoint, theirs: DatagramEndpoint) -> Any:
    await theirs.send(b"x")
    datagram = await ours.recvfrom()
    await ours.sendto(b"y", datagram.peer)
    assert await theirs.recv() == b"y"
    return datagram


async def test_without_gro_and_gso_all_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.system.ancillary.UDP_GRO", None)
    monkeypatch.setattr("aionet.datagram.sending.UDP_SEGMENT", None)
    async with connected("ipv4", DatagramOptions(gro=True)) as (ours, theirs):
        assert [each.name for each in ours.refused_options] == ["gro"]
        await theirs.send_many(MIXED)
        assert await received(ours, len(MIXED)) == MIXED
        await theirs.send(b"alone")
        assert (await ours.recv_batch()).data == b"alone"
        assert theirs.statistics().gso_batches == ours.statistics().gro_batches == 0


async def test_an_error_in_the_middle_stops_there() -> None:
    async with connected("ipv4") as (ours, theirs):
        with pytest.raises(aionet.DatagramTooLargeError, match="send_many on"):
            await theirs.send_many([b"before", bytes(65508), b"after"])
        assert await ours.recv() == b"before"
        await turns()
        assert ours.statistics().receive_queue == 0
        assert theirs.statistics().sent == 1
        with pytest.raises(TypeError):
            await theirs.send_many([b"x", "text"])  # type: ignore[list-item]


async def test_runs_leave_to_unix_sockets_one_by_one() -> None:
    async with pair("unix") as (ours, theirs):
        await theirs.send_many([b"x"] * 5, ours.local)
        assert await received(ours, 5) == [b"x"] * 5
        assert theirs._family == socket.AF_UNIX
        assert theirs.statistics().gso_batches == 0
