"""Sending the PROXY protocol header, for oneself and for a relay's client."""

from __future__ import annotations

import socket

import attrs
import pytest

import aionet
from aionet import ProxyHeader, build_proxy_header
from tests.faults.peers import endpoint, every_kind, receive, receive_to_end
from tests.turns import unless_held_up
from tests.unit.server.proxied import (
    CLIENT,
    HEADER,
    SHORT,
    V1,
    Scene,
    serving,
)


@every_kind
async def test_connect_sends_the_header_before_anything_else(kind: str) -> None:
    async with serving(kind) as scene, aionet.connect(scene.server.addresses[0], proxy_header=HEADER) as stream:
        await stream.send(b"hello")
        assert await stream.recv_exactly(5) == b"hello"
        assert scene.streams[0].peer == CLIENT
        assert stream.proxy is None
        assert stream.statistics().bytes_sent == 5


async def test_a_header_larger_than_the_socket_takes_at_once_is_sent_all_the_same() -> None:
    header = attrs.evolve(HEADER, tlvs=(aionet.ProxyTLV(0xE0, bytes(60_000)),))
    options = aionet.SocketOptions(send_buffer=2048)
    async with serving(max_header=65551) as scene:
        stream = await aionet.connect(scene.server.addresses[0], proxy_header=header, options=options)
        await stream.send(b"x")
        assert await stream.recv() == b"x"
        assert scene.streams[0].proxy == header
        await stream.aclose()


@unless_held_up(SHORT / 2)
async def test_a_peer_that_does_not_take_the_header_is_given_up() -> None:
    header = attrs.evolve(HEADER, tlvs=(aionet.ProxyTLV(0xE0, bytes(60_000)),))
    options = aionet.SocketOptions(send_buffer=2048)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        timeouts = aionet.Timeouts(connect=SHORT)
        with pytest.raises(aionet.ConnectError, match="PROXY header: the peer did not take it within"):
            await aionet.connect(listening.getsockname(), proxy_header=header, options=options, timeouts=timeouts)


async def test_a_header_that_cannot_be_built_is_refused_before_anything_happens() -> None:
    header = ProxyHeader(tlvs=(aionet.ProxyTLV(4, bytes(65535)),))
    with pytest.raises(ValueError, match="65554 bytes"):
        await aionet.connect("tcp://127.0.0.1:1", proxy_header=header)


async def relayed_header(first: bytes, version: int, kind: str = "tcp") -> ProxyHeader:
    """Let a server say what it would tell a target about a client that begins with ``first``."""
    async with serving(kind) as scene, scene.client() as client:
        client.send(first + b"x")
        assert await receive(client, 1) == b"x"
        return aionet.proxy_header_for(scene.streams[0], version)


async def test_a_relay_passes_on_what_it_was_told() -> None:
    header = attrs.evolve(HEADER, tlvs=(aionet.ProxyTLV(aionet.ProxyTLVType.AUTHORITY, b"example.org"),))
    first = build_proxy_header(header)
    assert await relayed_header(first, 2) == header
    assert await relayed_header(first, 1) == attrs.evolve(HEADER, version=1)
    assert await relayed_header(V1, 2) == HEADER
    local = ProxyHeader(local=True)
    assert await relayed_header(build_proxy_header(local), 2) == local
    assert await relayed_header(build_proxy_header(local), 1) == ProxyHeader(version=1)


@every_kind
async def test_a_relay_without_a_header_names_its_own_client(kind: str) -> None:
    async with aionet.listen(endpoint(kind)) as listener:
        client = await aionet.connect(listener.addresses[0])
        stream = await listener.accept()
        header = aionet.proxy_header_for(stream)
        assert (header.source, header.destination) == (stream.peer, stream.local)
        line = build_proxy_header(aionet.proxy_header_for(stream, 1))
        assert line.startswith(b"PROXY TCP4 " if kind == "tcp" else b"PROXY UNKNOWN\r\n")
        with pytest.raises(ValueError, match="version=3"):
            aionet.proxy_header_for(stream, 3)
        stream.abort()
        client.abort()


async def test_a_server_without_the_proxy_protocol_takes_the_header_for_data() -> None:
    async def echo(stream: aionet.Stream) -> None:
        assert stream.proxy is None
        await stream.send(await stream.recv_exactly(len(V1)))

    async with aionet.serve("tcp://127.0.0.1:0", echo) as server, Scene(server).client() as client:
        client.send(V1)
        assert await receive_to_end(client) == V1
        assert server.statistics().refused_headers == 0
