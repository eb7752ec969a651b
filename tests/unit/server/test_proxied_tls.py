"""TLS behind a PROXY header: the ClientHello that comes in the header's segment is TLS's, not the header's."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import attrs
import pytest

import aionet
from aionet import ProxyProtocol
from tests.certificates import CA, CLIENT, NAME, SERVER
from tests.turns import turns, until
from tests.unit.server.proxied import CLIENT as SOURCE
from tests.unit.server.proxied import HEADER, LOCALHOST, V1, Scene, both_versions, is_reset, refusals

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Awaitable, Callable

_T = TypeVar("_T")

both_headers = pytest.mark.parametrize("header", [attrs.evolve(HEADER, version=1), HEADER], ids=["v1", "v2"])


class PlainClient:
    """A client of TLS that decides itself what goes into which segment."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cadata=CA.decode())
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=NAME)

    def client_hello(self) -> bytes:
        """Begin the handshake; return the bytes that do."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    async def shake_hands(self) -> None:
        await self._step(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        await self._step(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        """Return what comes next; b"" at the peer's close_notify."""
        return await self._step(lambda: self._tls.read(1000))

    async def _step(self, step: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await loop.sock_recv(self._sock, 65536)
                assert data, "the server ended the connection"
                self._incoming.write(data)
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, self._outgoing.read())


async def echo(stream: aionet.Stream) -> None:
    """Send back whatever comes."""
    async for data in stream:
        await stream.send(data)


async def greet_and_upgrade(stream: aionet.Stream) -> None:
    """Begin TLS when asked to, then send back whatever comes."""
    assert stream.tls is None
    assert await stream.recv_line() == b"STARTTLS\r\n"
    await stream.start_tls(SERVER, server_side=True, reply=b"go ahead\r\n")
    await echo(stream)


@asynccontextmanager
async def serving(
    handler: Callable[[aionet.Stream], Awaitable[None]] = echo,
    tls: aionet.TLSConfig | None = SERVER,
    trusted: tuple[str, ...] = LOCALHOST,
) -> AsyncGenerator[Scene]:
    async def noted(stream: aionet.Stream) -> None:
        scene.streams.append(stream)
        await handler(stream)

    proxy = ProxyProtocol(mode="either", trusted=trusted)
    async with aionet.serve("tcp://127.0.0.1:0", noted, tls=tls, proxy=proxy) as server:
        scene = Scene(server)
        yield scene


def is_from_the_source(scene: Scene, version: int) -> None:
    """Check that the only stream knows whom the header named, and what TLS agreed on."""
    (stream,) = scene.streams
    assert stream.peer == SOURCE
    assert stream.proxy is not None
    assert (stream.proxy.source, stream.proxy.destination) == (HEADER.source, HEADER.destination)
    assert stream.proxy.version == version
    assert stream.local == scene.server.addresses[0]
    assert stream.tls is not None
    assert stream.tls.sni == NAME


def version_of(header: bytes) -> int:
    return 1 if header == V1 else 2


# --- serve with tls and proxy -----------------------------------------------------------------------------------------


@both_versions
async def test_a_client_hello_in_the_segment_of_the_header_begins_the_handshake(header: bytes) -> None:
    async with serving() as scene, scene.client() as sock:
        client = PlainClient(sock)
        sock.sendall(header + client.client_hello())
        await client.shake_hands()
        await client.send(b"hello")
        assert await client.receive() == b"hello"
        is_from_the_source(scene, version_of(header))
        assert scene.streams[0].statistics().bytes_received == 5


@both_versions
async def test_segments_may_be_cut_anywhere_around_the_end_of_the_header(header: bytes) -> None:
    for place in range(-2, 8):
        async with serving() as scene, scene.client() as sock:
            client = PlainClient(sock)
            data = header + client.client_hello()
            for piece in (data[: len(header) + place], data[len(header) + place :]):
                sock.sendall(piece)
                await turns(5)
            await client.shake_hands()
            await client.send(b"hello")
            assert await client.receive() == b"hello"
            is_from_the_source(scene, version_of(header))


@both_versions
async def test_what_is_no_handshake_behind_a_header_is_one_line_and_a_count(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as scene, scene.client() as sock:
        sock.sendall(header + b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: scene.statistics.handshake_failures == 1)
        assert (scene.statistics.accepted, scene.statistics.refused_headers, scene.streams) == (0, 0, [])
    (line,) = refusals(caplog)
    assert line.endswith("TLS handshake: http request")


async def test_a_header_inside_tls_is_no_header(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as sock:
        sock.sendall(PlainClient(sock).client_hello())
        await is_reset(sock)
        assert (scene.statistics.refused_headers, scene.statistics.handshake_failures) == (1, 0)
    assert "not a PROXY header" in refusals(caplog)[0]


async def test_whoever_is_not_trusted_shakes_no_hands(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(trusted=("192.0.2.0/24",)) as scene, scene.client() as sock:
        await is_reset(sock)
        assert (scene.statistics.refused_proxies, scene.statistics.handshake_failures) == (1, 0)
    assert "no trusted proxy" in refusals(caplog)[0]


# --- connect ----------------------------------------------------------------------------------------------------------


@both_headers
async def test_connect_sends_the_header_in_the_clear_and_then_shakes_hands(header: aionet.ProxyHeader) -> None:
    async with (
        serving() as scene,
        aionet.connect(
            f"tls://{scene.server.addresses[0]}", tls=CLIENT, server_hostname=NAME, proxy_header=header
        ) as stream,
    ):
        await stream.send(b"hello")
        assert await stream.recv_exactly(5) == b"hello"
        is_from_the_source(scene, header.version)
        assert stream.tls is not None
        assert stream.proxy is None


@both_headers
async def test_a_relay_through_tls_passes_on_whom_it_serves(header: aionet.ProxyHeader) -> None:
    async def relay(stream: aionet.Stream) -> None:
        told = aionet.proxy_header_for(stream, header.version)
        target = f"tls://{behind.server.addresses[0]}"
        async with aionet.connect(target, tls=CLIENT, server_hostname=NAME, proxy_header=told) as onwards:
            await onwards.send(await stream.recv())
            await stream.send(await onwards.recv())

    async with serving() as behind, serving(relay) as front:
        endpoint = f"tls://{front.server.addresses[0]}"
        async with aionet.connect(endpoint, tls=CLIENT, server_hostname=NAME, proxy_header=header) as stream:
            await stream.send(b"hello")
            assert await stream.recv() == b"hello"
        is_from_the_source(behind, header.version)


# --- STARTTLS ---------------------------------------------------------------------------------------------------------


@both_versions
async def test_a_stream_behind_a_header_begins_tls_later(header: bytes) -> None:
    async with serving(greet_and_upgrade, None) as scene, scene.client() as sock:
        client = PlainClient(sock)
        sock.sendall(header + b"STARTTLS\r\n")
        assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"go ahead\r\n"
        sock.sendall(client.client_hello())
        await client.shake_hands()
        await client.send(b"hello")
        assert await client.receive() == b"hello"
        is_from_the_source(scene, version_of(header))


@both_headers
async def test_a_client_that_has_sent_a_header_begins_tls_later(header: aionet.ProxyHeader) -> None:
    async with (
        serving(greet_and_upgrade, None) as scene,
        aionet.connect(scene.server.addresses[0], proxy_header=header) as stream,
    ):
        await stream.send(b"STARTTLS\r\n")
        assert await stream.recv_line() == b"go ahead\r\n"
        await stream.start_tls(CLIENT, server_hostname=NAME)
        await stream.send(b"hello")
        assert await stream.recv_exactly(5) == b"hello"
        is_from_the_source(scene, header.version)


@both_versions
async def test_plain_bytes_behind_the_header_and_starttls_are_refused_as_everywhere(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(greet_and_upgrade, None) as scene, scene.client() as sock:
        sock.sendall(header + b"STARTTLS\r\nDELE 1\r\n")
        await is_reset(sock)
        await until(lambda: scene.statistics.handler_errors == 1)
    (line,) = refusals(caplog)
    assert "8 bytes that came in the clear wait" in line
    assert str(SOURCE) in line


@both_versions
async def test_a_handler_that_begins_tls_at_once_gets_the_client_hello_of_the_headers_segment(header: bytes) -> None:
    """Nothing of it may count as plain bytes that wait: the handler has not had a turn to read."""

    async def upgrade(stream: aionet.Stream) -> None:
        await stream.start_tls(SERVER, server_side=True)
        await echo(stream)

    async with serving(upgrade, None) as scene, scene.client() as sock:
        client = PlainClient(sock)
        sock.sendall(header + client.client_hello())
        await client.shake_hands()
        await client.send(b"hello")
        assert await client.receive() == b"hello"
        is_from_the_source(scene, version_of(header))
