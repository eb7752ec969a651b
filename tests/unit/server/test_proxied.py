"""Servers behind a proxy: who a stream's peer is, what is refused, and what is left on the socket."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from aionet import InetAddress, ProxyHeader, ProxyProtocol, build_proxy_header
from tests.faults.peers import endpoint, every_kind, receive, receive_to_end, reset
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CLIENT = InetAddress("192.0.2.1", 56324)
TARGET = InetAddress("192.0.2.11", 443)
HEADER = ProxyHeader(source=CLIENT, destination=TARGET)
V1 = build_proxy_header(attrs.evolve(HEADER, version=1))
V2 = build_proxy_header(HEADER, checksum=True)
LOCALHOST = ("127.0.0.0/8", "unix:")
SHORT = 0.05

both_versions = pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])


@attrs.define
class Scene:
    """A server that echoes, and the streams that its handler saw."""

    server: aionet.Server
    streams: list[aionet.Stream] = attrs.field(factory=list)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[socket.socket]:
        address = self.server.addresses[0]
        with socket.socket(address.family) as client:
            client.connect(address.sockaddr)  # it blocks for no time, and nobody resets it meanwhile
            client.setblocking(False)
            yield client

    async def refused(self) -> int:
        """Wait until a connection has been refused; return how many are still open."""
        await until(lambda: self.statistics.refused_headers or self.statistics.refused_proxies)
        return self.statistics.active

    @property
    def statistics(self) -> aionet.ServerStatistics:
        return self.server.statistics()


@asynccontextmanager
async def serving(kind: str = "tcp", *, limit: int | None = None, **options: Any) -> AsyncGenerator[Scene]:
    async def echo(stream: aionet.Stream) -> None:
        scene.streams.append(stream)
        async for data in stream:
            await stream.send(data)

    proxy = ProxyProtocol(**({"mode": "either", "trusted": LOCALHOST} | options))
    limits = aionet.Limits(max_connections=limit)
    async with aionet.serve(endpoint(kind), echo, proxy=proxy, limits=limits) as server:
        scene = Scene(server)
        yield scene


async def is_reset(client: socket.socket) -> None:
    if client.family == socket.AF_UNIX:
        try:
            assert await receive(client, 1) == b""
        except ConnectionResetError:  # what it had sent was not read
            pass
        return
    with pytest.raises(ConnectionResetError):
        await receive(client, 1)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, which must be single lines without tracebacks."""
    assert all(record.levelno == logging.WARNING and not record.exc_info for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


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
    ("header", "local"),
    [
        (ProxyHeader(local=True), True),
        (ProxyHeader(), False),
        (ProxyHeader(version=1), False),
    ],
)
async def test_where_no_client_is_named_the_peer_is_the_proxy(header: ProxyHeader, local: bool) -> None:  # noqa: FBT001 - a value of the table
    async with serving() as scene, scene.client() as client:
        client.send(build_proxy_header(header) + b"x")
        assert await receive(client, 1) == b"x"
        (stream,) = scene.streams
        assert stream.peer == InetAddress(*client.getsockname())
        assert stream.proxy == header
        assert stream.proxy.local is local


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


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_whoever_is_not_trusted_is_refused_by_its_real_address(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(trusted=["192.0.2.0/24"]) as scene, scene.client() as client:
        await is_reset(client)
        local, peer = scene.server.addresses[0], InetAddress(*client.getsockname())
        assert refusals(caplog) == [
            f"connection refused: PROXY header on {local} <- {peer}: the peer is no trusted proxy"
        ]
        assert (scene.statistics.refused_proxies, scene.statistics.refused_headers) == (1, 0)
        assert (scene.statistics.accepted, scene.streams) == (0, [])


async def test_a_unix_socket_is_trusted_only_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with serving("unix", trusted=["0.0.0.0/0"]) as scene, scene.client() as client:
        await is_reset(client)
        assert scene.statistics.refused_proxies == 1
    assert "no trusted proxy" in refusals(caplog)[0]


@every_kind
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "not a PROXY header: it begins with b'GET / HTTP/1"),
        (b"\x16\x03\x01\x02\x00", "not a PROXY header"),
        (V1[:-2] + b"\r\r\n", "bad PROXY header"),
        (b"PROXY UNKNOWN " + b"x" * 100, "no CRLF within 107 bytes"),
        (V2[:-1] + b"\xff", "bad checksum"),
        (V2[:14] + b"\xff\xff", "a PROXY header of 65551 bytes: at most 4096 are allowed"),
        (V2[:14] + b"\x00\x0f" + V2[16:28] + b"\x04\xff\xff", "reaches beyond the PROXY header"),
        (V2[:14] + b"\x00\x0b" + V2[16:27], "its addresses alone need 28"),
    ],
    ids=["absent", "TLS", "no CRLF", "long line", "checksum", "long", "TLV", "short"],
)
async def test_a_bad_header_is_refused_in_one_line(
    data: bytes, reason: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(kind) as scene, scene.client() as client:
        client.send(data)
        await is_reset(client)
        assert (scene.statistics.refused_headers, scene.statistics.accepted) == (1, 0)
        (line,) = refusals(caplog)
        assert reason in line
        if kind == "tcp":
            assert f"{scene.server.addresses[0]} <- {InetAddress(*client.getsockname())}" in line


@pytest.mark.parametrize(("mode", "header"), [("v1", V2), ("v2", V1)])
async def test_the_other_version_is_refused(mode: str, header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(mode=mode) as scene, scene.client() as client:
        client.send(header)
        await is_reset(client)
    assert f"not a PROXY header of version {mode[1]}" in refusals(caplog)[0]


@both_versions
async def test_a_header_cut_off_at_any_byte_is_refused(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene:
        for cut in range(len(header)):
            async with scene.client() as client:
                client.send(header[:cut])
                client.shutdown(socket.SHUT_WR)
                await is_reset(client)
        assert (scene.statistics.refused_headers, scene.statistics.accepted) == (len(header), 0)
    assert all("the peer ended after" in line for line in refusals(caplog))


async def test_a_proxy_that_resets_is_refused_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as client:
        client.send(V2[:5])
        await turns()
        reset(client)
        await scene.refused()
    assert "Connection reset by peer" in refusals(caplog)[0]


@pytest.mark.parametrize("begin", [b"", V1[:7], V2[:20]])
async def test_a_header_that_does_not_come_in_time_is_refused(begin: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(timeout=SHORT) as scene, scene.client() as client:
        if begin:
            client.send(begin)
        await is_reset(client)
        assert scene.statistics.refused_headers == 1
    assert f"no whole header within {SHORT:g} s" in refusals(caplog)[0]


async def test_drips_do_not_move_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(timeout=SHORT) as scene, scene.client() as client:
        client.send(b"PROXY UNKNOWN ")
        while not scene.statistics.refused_headers:
            try:
                client.send(b"x")
            except OSError:
                break
            await asyncio.sleep(SHORT / 10)
        await scene.refused()
    assert f"within {SHORT:g} s" in refusals(caplog)[0]


async def test_half_a_header_does_not_keep_the_loop_busy() -> None:
    async with serving() as scene, scene.client() as client:
        arrivals = scene.server._arrivals
        assert arrivals is not None
        client.send(V2[:20])
        await until(lambda: len(arrivals))
        await turns()
        (arrival,) = arrivals._waiting.values()
        assert bytes(arrival.received) == V2[:20]
        # All that came has been taken: the socket is not readable, and the loop sleeps.
        with pytest.raises(BlockingIOError):
            arrival.sock.recv(1, socket.MSG_PEEK)
        client.send(V2[20:] + b"x")
        assert await receive(client, 1) == b"x"


# --- many, and the end ------------------------------------------------------------------------------------------------


async def test_proxies_that_say_nothing_do_not_hold_up_one_that_does(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene:
        silent = [socket.create_connection(scene.server.addresses[0].sockaddr) for _ in range(100)]
        try:
            async with scene.client() as client:
                client.send(V1 + b"x")
                assert await receive(client, 1) == b"x"
                assert scene.statistics.active == 1
        finally:
            for each in silent:
                each.close()
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


# --- sending ----------------------------------------------------------------------------------------------------------


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
        aionet.connect("tcp://127.0.0.1:1", proxy_header=header)


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
