"""What is told and sent beside the data: the local address, congestion bits, the time, truncation."""

from __future__ import annotations

import time

import pytest

import aionet
from aionet import ECN, DatagramOptions, InetAddress
from tests.unit.datagram.endpoints import connected, each_ip, each_kind, pair

EVERYTHING = DatagramOptions(pktinfo=True, receive_ecn=True, timestamps=True)


async def test_on_a_wildcard_endpoint_one_answers_from_the_address_that_was_asked() -> None:
    for host in ("*", "0.0.0.0"):
        async with aionet.bind_datagram(f"udp://{host}:0", options=DatagramOptions(pktinfo=True)) as ours:
            assert isinstance(ours.local, InetAddress)
            for asked in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
                # Connected, it hears only the address that it has asked.
                async with aionet.connect_datagram((asked, ours.local.port)) as theirs:
                    await theirs.send(b"question")
                    datagram = await ours.recvfrom()
                    assert datagram.local is not None
                    assert datagram.local.host.removeprefix("::ffff:") == asked
                    assert datagram.local.port == ours.local.port
                    await ours.sendto(b"answer", datagram.peer, local=datagram.local)
                    await ours.send_many([b"a", b"b"], datagram.peer, local=datagram.local)
                    assert [await theirs.recv() for _ in range(3)] == [b"answer", b"a", b"b"]


async def test_an_address_that_is_not_ours_cannot_be_sent_from() -> None:
    async with pair("ipv4") as (ours, theirs):
        with pytest.raises(aionet.DatagramError, match="sendto on"):
            await ours.sendto(b"x", theirs.local, local=InetAddress("192.0.2.1", 0))
        with pytest.raises(aionet.AddressError, match="IPv6"):
            await ours.sendto(b"x", theirs.local, local=InetAddress("::1", 0))
        await ours.sendto(b"goes on", theirs.local)
        assert await theirs.recv() == b"goes on"


@each_ip
async def test_congestion_bits_are_sent_and_told(kind: str) -> None:
    async with connected(kind, DatagramOptions(receive_ecn=True)) as (ours, theirs):
        for ecn in ECN:
            await theirs.sendto(b"x", ours.local, ecn=ecn)
            assert (await ours.recvfrom()).ecn is ecn
        await theirs.send_many([b"x" * 100] * 3, ecn=ECN.CE)
        assert {datagram.ecn for datagram in await ours.recv_many()} == {ECN.CE}
        await theirs.send(b"x")
        assert (await ours.recvfrom()).ecn is ECN.NOT_ECT


@each_ip
async def test_an_endpoint_may_send_all_of_its_datagrams_with_the_same_bits(kind: str) -> None:
    async with (
        connected(kind, DatagramOptions(receive_ecn=True)) as (ours, _),
        aionet.connect_datagram(ours.local, options=DatagramOptions(ecn=ECN.ECT_1)) as theirs,
    ):
        await theirs.send(b"x")
        assert (await ours.recvfrom()).ecn is ECN.ECT_1


async def test_congestion_bits_work_between_ipv4_and_an_endpoint_of_both_families() -> None:
    options = DatagramOptions(receive_ecn=True)
    async with (
        aionet.bind_datagram("udp://*:0", options=options) as ours,
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as theirs,
    ):
        assert isinstance(ours.local, InetAddress)
        await theirs.sendto(b"x", ("127.0.0.1", ours.local.port), ecn=ECN.ECT_0)
        datagram = await ours.recvfrom()
        assert datagram.ecn is ECN.ECT_0
        await ours.sendto(b"y", datagram.peer, ecn=ECN.CE)
        assert (await theirs.recvfrom()).ecn is ECN.CE


@each_kind
async def test_the_kernels_time_of_a_datagram_is_told(kind: str) -> None:
    async with connected(kind, DatagramOptions(timestamps=True)) as (ours, theirs):
        before = time.time_ns()
        await theirs.send(b"x")
        datagram = await ours.recvfrom()
        if kind != "unix":
            assert datagram.timestamp is not None
            assert before <= datagram.timestamp <= time.time_ns()


@each_ip
async def test_everything_may_be_asked_for_with_batches(kind: str) -> None:
    async with connected(kind, EVERYTHING) as (ours, theirs):
        await theirs.send(b"first")
        await ours.recv_many()  # from now on in runs
        await theirs.send_many([b"x" * 500] * 4)
        many: list[aionet.Datagram] = []
        while len(many) < 4:
            many += await ours.recv_many()
        assert {(each.local, each.ecn) for each in many} == {(ours.local, ECN.NOT_ECT)}
        assert all(each.timestamp for each in many)
        await theirs.send_many([b"x" * 500] * 4)
        batch = await ours.recv_batch()
        assert (batch.local, batch.ecn, batch.truncated) == (ours.local, ECN.NOT_ECT, False)
        shown = repr(many[0])
        assert "ecn=0" in shown
        assert "timestamp=" in shown


@each_kind
async def test_a_datagram_that_is_cut_off_says_so(kind: str) -> None:
    async with connected(kind, DatagramOptions(max_datagram_size=10)) as (ours, theirs):
        await theirs.send(b"0123456789")
        await theirs.send(b"0123456789a")
        whole, cut = await ours.recvfrom(), await ours.recvfrom()
        assert (whole.data, whole.truncated) == (b"0123456789", False)
        assert (cut.data, cut.truncated) == (b"0123456789", True)
        assert whole != cut
        await theirs.send_many([b"a" * 11] * 2 + [b"b"])
        many: list[aionet.Datagram] = []
        while len(many) < 3:
            many += await ours.recv_many()
        assert [each.truncated for each in many] == [True, True, False]
        assert ours.statistics().truncated == 3


async def test_a_large_unix_datagram_is_cut_off_at_the_size_that_was_set(tmp_path: object) -> None:
    async with connected("unix", DatagramOptions(max_datagram_size=100_000)) as (ours, theirs):
        await theirs.send(bytes(100_000))
        assert len(await ours.recv()) == 100_000
    async with connected("unix") as (ours, theirs):
        await theirs.send(bytes(100_000))
        datagram = await ours.recvfrom()
        assert (len(datagram.data), datagram.truncated) == (65535, True)
