"""Bytes that are no DNS and no TFTP: no exception escapes, no session stays, and the servers go on."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

import aionet
from dns_server import answer_datagrams
from nameserver.answers import answer
from nameserver.zone import Zone, ZoneError
from tests.turns import running, until
from tftp.packets import Ack, Data, Error, MalformedError, OptionsAck, Request, parse
from tftp.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (Path(__file__).parent.parent / "examples" / "zones" / "example.org").read_text()
ZONE = Zone(TEXT)
QUERY = b"\x12\x34" + bytes(DNSRecord.question("big.example.org", "TXT").pack())[2:]  # its own number is a random one
EVERYWHERE = aionet.Endpoint("udp", "127.0.0.1", 0)


def damaged(whole: bytes, count: int) -> Iterator[bytes]:
    """Half of them random, half of them a good one with some bytes changed, and then some cut off or added."""
    chance = random.Random(17)
    for number in range(count):
        if number % 2:
            yield chance.randbytes(chance.randrange(40))
        else:
            changed = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            if number % 8 < 4:
                del changed[chance.randrange(len(changed)) :]
            yield bytes(changed) + chance.randbytes(chance.randrange(2))


def code(reply: bytes) -> int:
    """Which error a reply tells."""
    (flags,) = struct.unpack_from("!H", reply, 2)
    return int(flags & 15)


def test_a_hundred_thousand_damaged_queries_are_answered_or_not() -> None:
    answered = 0
    for query in damaged(QUERY, 100_000):
        reply = answer(query, ZONE)
        if reply is not None:
            answered += 1
            assert reply[:2] == query[:2]
            assert reply[2] & 0x80
            assert len(reply) <= 1232
    assert 10_000 < answered < 90_000


@given(query=st.binary(max_size=600) | st.binary(max_size=300).map(lambda rest: QUERY[:12] + rest))
def test_any_query_is_answered_or_not(query: bytes) -> None:
    for over_tcp in (False, True):
        reply = answer(query, ZONE, over_tcp=over_tcp)
        assert reply is None or len(reply) >= 12


def test_a_response_is_never_answered() -> None:
    reply = answer(QUERY, ZONE)
    assert reply is not None
    assert answer(reply, ZONE) is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (QUERY[:11], None),
        (QUERY[:12], 1),  # FORMERR
        (QUERY[:-3], 1),
        (QUERY[:4] + b"\0\2" + QUERY[6:], 1),
        (QUERY[:4] + b"\0\0" + QUERY[6:12], 1),
        (QUERY[:12] + b"\xc0\x0c\0\1\0\1", 1),  # a name that points at itself
        (QUERY[:2] + b"\x28\0" + QUERY[4:], 4),  # an update: NOTIMP
    ],
)
def test_what_is_wrong_with_a_query_is_told(query: bytes, expected: int | None) -> None:
    reply = answer(query, ZONE)
    assert (None if reply is None else code(reply)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        TEXT.replace("SOA", "TXT"),
        TEXT + TEXT.partition("IN NS")[0],
        TEXT + "\nwww.example.com. IN A 192.0.2.1\n",
        TEXT.replace("192.0.2.80", "192.0.2.800"),
    ],
)
def test_what_is_no_zone_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ZoneError):
        Zone(text)


async def test_a_dns_server_goes_on() -> None:
    async with (
        aionet.bind_datagram(EVERYWHERE) as endpoint,
        aionet.connect_datagram(endpoint.local) as client,
        running(answer_datagrams(endpoint, ZONE, 1232)) as answering,
    ):
        for number, query in enumerate(damaged(QUERY, 2000), 1):
            await client.send(query)
            if number % 100 == 0:
                await until(lambda number=number: _received(endpoint) >= number)  # type: ignore[misc]
                while client.statistics().receive_queue:
                    await client.recv_many()
        await client.send(b"\xff\xfe" + QUERY[2:])
        async for datagram in client:
            if datagram.data[:2] == b"\xff\xfe":
                break
        assert not answering.done()


async def test_a_hundred_thousand_damaged_requests_leave_no_session(tmp_path: Path) -> None:
    request = Request(writes=False, name="no such file", mode="octet", options={"blksize": "1000"}).pack()
    (tmp_path / "file").write_bytes(b"content")
    options = aionet.SessionOptions(queue_bytes=2**30)
    async with (
        serve(EVERYWHERE, tmp_path, writable=False, options=options) as server,
        aionet.connect_datagram(server.addresses[0]) as client,
    ):
        for number, data in enumerate(damaged(request, 100_000), 1):
            await client.send(data)
            if number % 100 == 0:
                await until(lambda number=number: _received(server.endpoint) >= number)  # type: ignore[misc]
        await until(lambda: not server.sessions)
        said = server.statistics()
        assert said.handler_errors == 0
        assert said.sessions > 1000
        assert await _content(server) == b"content"
        await until(lambda: not server.sessions)


def _received(endpoint: aionet.DatagramEndpoint) -> int:
    said = endpoint.statistics()
    return said.received + said.dropped_kernel


async def _content(server: aionet.DatagramServer) -> bytes:
    """The first block of the file, by a client that knows how."""
    async with aionet.bind_datagram(EVERYWHERE) as client:
        await client.sendto(Request(writes=False, name="file", mode="octet", options={}).pack(), server.addresses[0])
        datagram = await client.recvfrom()
        block = parse(datagram.data)
        assert datagram.peer != server.addresses[0]  # from a port of its own
        assert isinstance(block, Data)
        await client.sendto(Ack(block.block).pack(), datagram.peer)
        return block.data


async def test_a_transfer_stays_out_of_step_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1200)
    nonsense = [b"", b"\0", b"\0\4", b"\0\4\0\7", Data(1, b"x").pack(), OptionsAck({}).pack(), b"\xff" * 600]
    async with (
        serve(EVERYWHERE, tmp_path, writable=False) as server,
        aionet.bind_datagram(EVERYWHERE) as client,
        aionet.bind_datagram(EVERYWHERE) as stranger,
    ):
        request = Request(writes=False, name="/file", mode="OCTET", options={"blksize": "nonsense", "x": "y"})
        await client.sendto(request.pack(), server.addresses[0])
        sizes = []
        for number in (1, 2, 3):
            datagram = await client.recvfrom()
            block = parse(datagram.data)
            assert isinstance(block, Data)
            assert block.block == number
            sizes.append(len(block.data))
            for data in nonsense:
                await client.sendto(data, datagram.peer)
            await stranger.sendto(Error(0, "give up").pack(), datagram.peer)
            await client.sendto(Ack(number).pack(), datagram.peer)
            await client.sendto(Ack(number).pack(), datagram.peer)  # twice: not answered twice
        assert sizes == [512, 512, 176]
        await until(lambda: not server.sessions)
        assert client.statistics().receive_queue == 0


@given(data=st.binary() | st.binary().map(lambda rest: b"\0\1" + rest + b"\0octet\0"))
def test_a_packet_of_tftp_is_parsed_or_malformed(data: bytes) -> None:
    try:
        packet = parse(data)
    except MalformedError:
        return
    assert parse(packet.pack()) == packet


_words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(
    name=_words.filter(bool),
    mode=_words.map(str.lower),
    options=st.dictionaries(_words.map(str.lower), _words),
    writes=st.booleans(),
)
def test_a_request_is_parsed_as_it_was_packed(name: str, mode: str, options: dict[str, str], writes: bool) -> None:  # noqa: FBT001
    request = Request(writes=writes, name=name, mode=mode, options=options)
    assert parse(request.pack()) == request


async def test_a_client_that_is_gone_leaves_no_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    async with serve(EVERYWHERE, tmp_path, writable=True) as server:
        for writes in (False, True):
            async with aionet.bind_datagram(EVERYWHERE) as client:
                request = Request(writes=writes, name="new" if writes else "file", mode="octet", options={})
                await client.sendto(request.pack(), server.addresses[0])
                await client.recvfrom()
        async with asyncio.timeout(10):
            await until(lambda: not server.sessions)
        assert server.statistics().handler_errors == 0
        assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - a glob leaves out what begins with a dot
