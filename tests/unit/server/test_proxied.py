"""Servers behind a proxy: who a stream's peer is, what is left on the socket, how many there are, and the end."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
from contextlib import AsyncExitStack

import pytest

import aionet
from aionet import InetAddress, ProxyHeader, ProxyProtocol, build_proxy_header
from tests.faults.peers import every_kind, receive, receive_to_end
from tests.turns import turns, until
from tests.unit.server.proxied import (
    CLIENT,
    LOCALHOST,
    SHORT,
    TARGET,
    V1,
    V2,
    Scene,
    both_versions,
    is_reset,
    refusals,
    serving,
)

# --- a good header ----------------------------------------------------------------------------------------------------


@every_kind
@both_versions
async def test_the_peer_is_the_client_that_the_header_names_and_its_bytes_come_next(header: bytes, kind: str) -> None:
    async with serving(kind) as scene, scene.client() as client:
        client.send(header + b"hello")
        assert await receive(client, 5) == b"hello"
        (stream,) = scene.streams
        assert stream.peer == CLIENT
        assert stream.proxy is not None
        assert (stream.proxy.source, stream.proxy.destination) == (CLIENT, TARGET)
        assert stream.local == scene.server.addresses[0]
        if kind == "tcp":
            assert stream.get_extra_info("peername") == client.getsockname()
        assert stream.statistics().bytes_received == 5


@every_kind
@both_versions
async def test_a_header_that_comes_byte_by_byte_is_the_same_header(header: bytes, kind: str) -> None:
    async with serving(kind) as scene, scene.client() as client:
        for byte in header:
            assert not scene.streams
            client.send(bytes([byte]))
            await turns(3)
        client.send(b"hello")
        assert await receive(client, 5) == b"hello"
        assert scene.streams[0].peer == CLIENT


async def test_errors_name_the_client_and_the_proxy() -> None:
    async with serving() as scene, scene.client() as client:
        client.send(V2 + b"x")
        assert await receive(client, 1) == b"x"
        port = client.getsockname()[1]
        (stream,) = scene.streams
        assert repr(stream) == f"<Stream {scene.server.addresses[0]} <-> {CLIENT} via 127.0.0.1:{port} OPEN>"
        stream.abort()
        with pytest.raises(aionet.ClosedStreamError, match=f"{CLIENT} via 127.0.0.1:{port}"):
            await stream.send(b"x")
        await until(lambda: not scene.server.connections)


@pytest.mark.parametrize(
    "header", [ProxyHeader(local=True), ProxyHeader(), ProxyHeader(version=1)], ids=["LOCAL", "UNSPEC", "UNKNOWN"]
)
async def test_where_no_client_is_named_the_peer_is_the_proxy(header: ProxyHeader) -> None:
    async with serving() as scene, scene.client() as client:
        client.send(build_proxy_header(header) + b"x")
        assert await receive(client, 1) == b"x"
        (stream,) = scene.streams
        assert stream.peer == InetAddress(*client.getsockname())
        assert stream.proxy == header


async def test_the_hooks_see_the_client() -> None:
    seen: list[tuple[str, aionet.Address]] = []
    hooks = aionet.Hooks(
        connected=lambda stream: seen.append(("connected", stream.peer)),
        disconnected=lambda stream: seen.append(("disconnected", stream.peer)),
    )

    async def leave(_stream: aionet.Stream) -> None: ...

    proxy = ProxyProtocol(mode="v2", trusted=["127.0.0.1"])
    async with aionet.serve("tcp://127.0.0.1:0", leave, proxy=proxy, hooks=hooks) as server:
        async with Scene(server).client() as client:
            client.send(V2)
            assert await receive_to_end(client) == b""
        await until(lambda: len(seen) == 2)
    assert seen == [("connected", CLIENT), ("disconnected", CLIENT)]


async def test_a_handler_inherits_the_context_of_its_server() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def say(stream: aionet.Stream) -> None:
        await stream.send(variable.get().encode())

    variable.set("set")
    proxy = ProxyProtocol(mode="v1", trusted=LOCALHOST)
    async with aionet.serve("tcp://127.0.0.1:0", say, proxy=proxy) as server:
        variable.set("changed since")
        async with Scene(server).client() as client:
            for piece in V1[:9], V1[9:]:
                client.send(piece)
                await turns()
            assert await receive_to_end(client) == b"set"


@both_versions
async def test_a_client_hello_in_the_segment_of_the_header_stays_in_the_kernel(header: bytes) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client_side.do_handshake()
    hello = outgoing.read()
    left: list[bytes] = []

    def look(stream: aionet.Stream) -> None:
        # Before the loop comes round: nothing has read yet, and whoever reads the descriptor finds all of it.
        with socket.socket(fileno=socket.dup(stream.get_extra_info("socket").fileno())) as same:
            left.append(same.recv(65536, socket.MSG_PEEK))

    async def leave(_stream: aionet.Stream) -> None: ...

    proxy = ProxyProtocol(mode="either", trusted=LOCALHOST)
    hooks = aionet.Hooks(connected=look)
    server = await aionet.serve("tcp://127.0.0.1:0", leave, proxy=proxy, hooks=hooks)
    async with server, Scene(server).client() as client:
        client.send(header + hello)
        assert await receive_to_end(client) == b""
    assert left == [hello]


async def test_passed_descriptors_between_the_bytes_of_a_header_do_not_hide_its_rest() -> None:
    async with serving("unix") as scene, scene.client() as client:
        socket.send_fds(client, [V2[:20]], [client.fileno()])
        client.send(V2[20:] + b"x")
        assert await receive(client, 1) == b"x"
        assert scene.streams[0].peer == CLIENT


# --- many, and the end ------------------------------------------------------------------------------------------------


async def test_proxies_that_say_nothing_do_not_hold_up_one_that_does(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene:
        async with AsyncExitStack() as silent:
            for _ in range(100):
                await silent.enter_async_context(scene.client())
            async with scene.client() as client:
                client.send(V1 + b"x")
                assert await receive(client, 1) == b"x"
                assert scene.statistics.active == 1
        await until(lambda: scene.statistics.refused_headers == 100)
    assert len(refusals(caplog)) == 100


async def test_whoever_owes_a_header_counts_as_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(limit=1) as scene, scene.client() as silent:
        await turns()
        async with scene.client() as client:
            client.send(V1 + b"x")
            await turns()
            assert not scene.streams  # it waits in the backlog
            silent.close()
            assert await receive(client, 1) == b"x"
            async with scene.client() as third:
                third.send(V2 + b"y")
                await turns()
                assert len(scene.streams) == 1
                client.close()
                assert await receive(third, 1) == b"y"
    assert len(refusals(caplog)) == 1


async def test_draining_serves_whose_header_comes_in_time() -> None:
    async with serving() as scene, scene.client() as client:
        client.send(V1[:10])
        await turns()
        draining = asyncio.create_task(scene.server.drain(60))
        await turns()
        client.send(V1[10:] + b"x")
        assert await receive(client, 1) == b"x"
        assert scene.streams[0].draining.is_set()
        client.shutdown(socket.SHUT_WR)
        assert await receive_to_end(client) == b""
        assert await draining == aionet.DrainResult(finished=1, aborted=0)
        assert scene.server.state is aionet.ServerState.CLOSED


async def test_draining_waits_no_longer_than_its_deadline_for_a_header(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as silent, scene.client() as client:
        client.send(V2 + b"x")
        assert await receive(client, 1) == b"x"
        assert await scene.server.drain(SHORT) == aionet.DrainResult(finished=0, aborted=1)
        await is_reset(silent)
        await is_reset(client)
        assert scene.server.state is aionet.ServerState.CLOSED
    assert "the server closes" in refusals(caplog)[0]


async def test_closing_refuses_whose_header_has_not_come(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as silent:
        await turns()
        waiting = asyncio.create_task(scene.server.serve_forever(()))
        await turns()
        await scene.server.aclose()
        await is_reset(silent)
        await waiting
    assert "the server closes" in refusals(caplog)[0]


async def test_a_drain_that_is_cancelled_refuses_whose_header_has_not_come(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as silent:
        await turns()
        draining = asyncio.create_task(scene.server.drain(60))
        await turns()
        draining.cancel()
        await asyncio.wait([draining])
        await is_reset(silent)
        assert scene.server.state is aionet.ServerState.CLOSED
    assert len(refusals(caplog)) == 1
