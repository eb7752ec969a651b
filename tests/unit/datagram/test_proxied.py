"""The PROXY protocol in front of each datagram of an endpoint."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aionet
from aionet import DatagramOptions, InetAddress, OptionError, ProxyHeader, ProxyProtocol, UnixAddress
from aionet.transport.datagram_proxy import DatagramHeaders
from aionet.transport.received import Datagram, DatagramBatch
from tests.turns import turns, until
from tests.unit.datagram.endpoints import each_kind, place
from tests.unit.datagram.proxied import CLIENT, HEADER, TRUSTED, behind_a_proxy, proxied, refusals
from tests.unit.wire.headers import headers_v2


@each_kind
@pytest.mark.parametrize("payload", [b"query", b""])
async def test_the_header_is_taken_off_and_names_the_client(kind: str, payload: bytes) -> None:
    async with behind_a_proxy(kind) as (ours, proxy):
        await proxy.send(proxied(payload))
        datagram = await ours.recvfrom()
        assert (datagram.data, datagram.source, datagram.peer) == (payload, CLIENT, proxy.local)
        assert datagram.proxy == HEADER
        await ours.sendto(b"answer", datagram.peer)
        assert await proxy.recv() == b"answer"


@pytest.mark.parametrize("client", [InetAddress("2001:db8::1", 5353), UnixAddress("/run/client")])
async def test_a_client_may_be_of_another_family_than_its_proxy(client: aionet.Address) -> None:
    async with behind_a_proxy() as (ours, proxy):
        await proxy.send(proxied(b"x", client))
        datagram = await ours.recvfrom()
        assert (datagram.source, datagram.peer) == (client, proxy.local)


@pytest.mark.parametrize("header", [ProxyHeader(local=True), ProxyHeader()], ids=["LOCAL", "UNSPEC"])
async def test_where_the_proxy_names_nobody_the_source_is_the_proxy(header: ProxyHeader) -> None:
    async with behind_a_proxy() as (ours, proxy):
        await proxy.send(aionet.build_proxy_header(header) + b"are you there")
        datagram = await ours.recvfrom()
        assert (datagram.data, datagram.proxy, datagram.source) == (b"are you there", header, proxy.local)


@each_kind
@pytest.mark.parametrize("gro", [None, True, False])
async def test_every_way_to_receive_takes_it_off(kind: str, gro: bool | None) -> None:  # noqa: FBT001
    async with behind_a_proxy(kind, DatagramOptions(gro=gro)) as (ours, proxy):
        clients = [InetAddress("192.0.2.1", port) for port in range(2000, 2010)]
        for _ in range(3):
            await proxy.send_many([proxied(b"%d" % client.port, client) for client in clients])
        expected = [(b"%d" % client.port, client) for client in clients] * 3
        received = [await ours.recvfrom()]
        await until(lambda: ours.statistics().receive_queue == 29)
        received += await ours.recv_many(9)
        batches = [await ours.recv_batch() for _ in range(10)]
        assert all(batch.datagrams == 1 for batch in batches)
        received += [datagram for batch in batches for datagram in batch.split()]
        async for datagram in ours:
            received.append(datagram)
            if len(received) == 29:
                break
        assert await ours.recv() == expected[-1][0]
        assert [(each.data, each.source) for each in received] == expected[:-1]


async def test_batches_are_left_to_endpoints_without_a_proxy() -> None:
    async with behind_a_proxy() as (ours, proxy):
        receiving = asyncio.ensure_future(ours.recv_batch())
        await turns()
        await proxy.send_many([proxied(b"a"), proxied(b"b")])
        assert await receiving == DatagramBatch(b"a", 1, proxy.local, proxy=HEADER)
        assert await ours.recv_batch() == DatagramBatch(b"b", 1, proxy.local, proxy=HEADER)


async def test_what_else_is_known_of_the_datagram_stays() -> None:
    options = DatagramOptions(pktinfo=True, receive_ecn=True, timestamps=True, max_datagram_size=len(proxied(b"cut")))
    async with behind_a_proxy(options=options) as (ours, proxy):
        await proxy.send(proxied(b"cut off"))
        datagram = await ours.recvfrom()
        assert (datagram.data, datagram.truncated, datagram.local) == (b"cut", True, ours.local)
        assert datagram.ecn is aionet.ECN.NOT_ECT
        assert datagram.timestamp is not None
        assert ours.statistics().truncated == 1


async def test_a_datagram_says_who_sent_it_and_by_whom_it_came() -> None:
    async with behind_a_proxy() as (ours, proxy):
        for payload in (b"a", b"a", b"b"):
            await proxy.send(proxied(payload))
        one, same, other = [await ours.recvfrom() for _ in range(3)]
        assert repr(one) == f"<Datagram b'a' from {CLIENT} via {proxy.local}>"
        assert (one == same, hash(one) == hash(same), one == other) == (True, True, False)
        assert one != Datagram(b"a", proxy.local)


async def test_who_is_not_trusted_wakes_nobody_and_takes_no_room(caplog: pytest.LogCaptureFixture) -> None:
    options = DatagramOptions(receive_queue=1)
    async with behind_a_proxy(options=options, trusted=["127.0.0.2"]) as (ours, stranger):
        trusted = await aionet.connect_datagram(ours.local, local="udp://127.0.0.2:0")
        async with trusted:
            receiving = asyncio.ensure_future(ours.recvfrom())
            await turns()
            for _ in range(5):
                await stranger.send(proxied(b"believe me"))
            await until(lambda: ours.statistics().refused_proxies == 5)
            assert not receiving.done()
            await trusted.send(proxied(b"x"))
            assert (await receiving).data == b"x"
        said = ours.statistics()
        assert (said.received, said.delivered, said.dropped_queue, said.refused_headers) == (6, 1, 0, 0)
        expected = f"datagram refused: PROXY header on {ours.local} <- {stranger.local}: the peer is no trusted proxy; "
        assert refusals(caplog) == [expected + "others like it are only counted"]


async def test_a_unix_proxy_is_trusted_only_by_name() -> None:
    async with behind_a_proxy("unix", trusted=["0.0.0.0/0"]) as (ours, proxy):
        await proxy.send(proxied(b"x"))
        await until(lambda: ours.statistics().refused_proxies == 1)


BAD = {
    "absent": (b"query", "not a PROXY header of version 2: it begins with b'query'"),
    "empty": (b"", "a datagram of 0 bytes ends inside its PROXY header"),
    "version 1": (b"PROXY UDP4 192.0.2.1 192.0.2.11 5353 53\r\nquery", "not a PROXY header of version 2"),
    "checksum": (aionet.build_proxy_header(HEADER, checksum=True)[:-4] + b"\0\0\0\0query", "bad checksum"),
    "too long": (aionet.build_proxy_header(HEADER)[:14] + b"\xff\xff" + bytes(5000), "at most 4096 are allowed"),
    "TLV": (aionet.build_proxy_header(HEADER)[:14] + b"\0\x0f" + bytes(12) + b"\4\xff\xff", "reaches beyond"),
    "no room": (aionet.build_proxy_header(HEADER)[:14] + b"\0\x0b" + bytes(40), "its addresses alone need 28"),
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=list(BAD))
async def test_a_bad_header_is_dropped_counted_and_logged_once(
    data: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_a_proxy() as (ours, proxy):
        for _ in range(3):
            await proxy.send(data)
        await proxy.send(proxied(b"good"))
        assert await ours.recv() == b"good"
        said = ours.statistics()
        assert (said.received, said.delivered, said.refused_headers, said.refused_proxies) == (4, 1, 3, 0)
        (line,) = refusals(caplog)
        assert reason in line
        assert f"{ours.local} <- {proxy.local}" in line


async def test_a_header_cut_off_at_any_byte_is_dropped() -> None:
    header = aionet.build_proxy_header(HEADER, checksum=True)
    async with behind_a_proxy() as (ours, proxy):
        for size in range(len(header)):
            await proxy.send(header[:size])
        await proxy.send(header)
        assert await ours.recv() == b""
        assert ours.statistics().refused_headers == len(header)


async def test_what_is_received_adds_up_when_the_queue_is_full_and_after_the_end() -> None:
    async with behind_a_proxy(options=DatagramOptions(receive_queue=2)) as (ours, proxy):
        for payload in (b"1", b"2", b"3", b"4"):
            await proxy.send(proxied(payload))
            await proxy.send(b"bad")
        await until(lambda: ours.statistics().received + ours.statistics().receive_queue == 8)
        assert await ours.recv() == b"1"
    said = ours.statistics()
    assert (said.received, said.delivered, said.dropped_queue, said.refused_headers) == (8, 1, 3, 4)


async def test_the_header_counts_for_the_limit_that_was_set() -> None:
    tlv = aionet.ProxyTLV(aionet.ProxyTLVType.NOOP, bytes(300))
    async with behind_a_proxy(max_header=300) as (ours, proxy):
        await proxy.send(proxied(b"x", tlvs=(tlv,)))
        await proxy.send(proxied(b"y"))
        assert await ours.recv() == b"y"
        assert ours.statistics().refused_headers == 1


async def test_a_header_that_changes_is_read_anew() -> None:
    async with behind_a_proxy() as (ours, proxy):
        for number in (1, 2, 1):
            tlv = aionet.ProxyTLV(aionet.ProxyTLVType.UNIQUE_ID, b"%d" % number)
            await proxy.send(proxied(b"x", tlvs=(tlv,)))
            header = (await ours.recvfrom()).proxy
            assert header is not None
            assert header.unique_id == b"%d" % number


async def test_version_1_is_not_for_datagrams() -> None:
    takes = ProxyProtocol(mode="v1", trusted=TRUSTED)
    with pytest.raises(OptionError, match=r"proxy\.mode='v1': expected v2 or either"):
        await aionet.bind_datagram(place("ipv4"), proxy=takes)
    async with behind_a_proxy(mode="either") as (ours, proxy):
        await proxy.send(proxied(b"x"))
        assert await ours.recv() == b"x"


def taking() -> DatagramHeaders:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return DatagramHeaders(sock, ProxyProtocol(mode="v2", trusted=TRUSTED))


PEER = InetAddress("127.0.0.1", 40000)


@given(headers_v2, st.binary(max_size=100))
def test_any_header_leaves_any_payload_as_it_was(header: ProxyHeader, payload: bytes) -> None:
    data = aionet.build_proxy_header(header) + payload
    (datagram,) = taking().take_off([Datagram(data, PEER)])
    assert (datagram.data, datagram.proxy) == (payload, header)
    assert datagram.source == (header.source or PEER)


@given(headers_v2, st.data())
def test_any_damage_is_a_refusal_or_another_header(header: ProxyHeader, draw: st.DataObject) -> None:
    data = bytearray(aionet.build_proxy_header(header))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    arrivals = taking()
    left = arrivals.take_off([Datagram(bytes(data), PEER)])
    assert len(left) + arrivals.refused_headers == 1
