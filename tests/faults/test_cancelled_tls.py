"""Cancelled in the middle of a TLS handshake, nothing is left: no socket, no task, nothing that the loop still watches.

The peer is a plain socket with TLS in memory, and moved by the loop's own functions: what happens on a descriptor of
aionet is then only what the operation waits for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trustme

import aionet
from aionet import TLSConfig
from tests.certificates import CA, CLIENT, NAME, SERVER
from tests.contract.filling import SMALL_BUFFERS
from tests.faults.cancel_everywhere import Moment, cancel_everywhere, every_moment
from tests.faults.peers import address_of, listening_socket
from tests.leaks import GRACE
from tests.turns import running, turns
from tests.unit.server.proxied import HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])

QUICK = aionet.Timeouts(close=0.01)
# A server's last words in the clear: more than a small socket takes at once, so that it has to wait for the peer.
WORDS = bytes(200_000)


class Peer:
    """One end of a connection, which reads some plain bytes, then shakes hands and sends back whatever comes."""

    def __init__(self, sock: socket.socket, version: ssl.TLSVersion, *, server_side: bool, plain: int = 0) -> None:
        self._sock = sock
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = _server_context() if server_side else ssl.create_default_context(cadata=CA.decode())
        context.maximum_version = version
        name = None if server_side else NAME
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)

    async def run(self) -> None:
        """Run until the other end is gone."""
        loop = asyncio.get_running_loop()
        with self._sock, suppress(OSError):
            if not self._plain:
                await self._step()
            while data := await loop.sock_recv(self._sock, 65536):
                plain, self._plain = self._plain, max(0, self._plain - len(data))
                self._incoming.write(data[plain:])
                if not self._plain:
                    await self._step()

    async def _step(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            while data := self._tls.read(1000):
                self._tls.write(data)
        await asyncio.get_running_loop().sock_sendall(self._sock, self._outgoing.read())


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert isinstance(SERVER.certificate, bytes)
    with trustme.Blob(SERVER.certificate).tempfile() as path:
        context.load_cert_chain(path)
    return context


@attrs.define
class Scene:
    """What is connected to, or is connected already, and the peers that have come."""

    address: aionet.Address
    tls: TLSConfig
    peers: set[asyncio.Task[None]] = attrs.field(factory=set)
    stream: Any = None
    protocol: Any = None


@asynccontextmanager
async def peers_listen(
    version: ssl.TLSVersion, *, server_side: bool = True, plain: int = 0, receive_buffer: int | None = None
) -> AsyncGenerator[Scene]:
    """Listen with a plain socket; whoever connects gets a Peer."""
    loop = asyncio.get_running_loop()
    with listening_socket("tcp", receive_buffer=receive_buffer) as listening:
        # A config of its own: what the last one resumed is another handshake.
        scene = Scene(address_of(listening), attrs.evolve(CLIENT if server_side else SERVER))

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(listening)
                scene.peers.add(asyncio.create_task(Peer(sock, version, server_side=server_side, plain=plain).run()))

        async with running(accept()):
            yield scene
        for peer in scene.peers:
            peer.cancel()
        if scene.peers:
            await asyncio.wait(scene.peers)


async def exchange(stream: aionet.Stream) -> None:
    """Find that the stream works, and through TLS."""
    assert stream.tls is not None
    await stream.send(b"hello")
    assert await stream.recv_exactly(5) == b"hello"


async def every_peer_is_told(scene: Scene) -> None:
    """Wait until each peer has seen the end, or a reset."""
    await turns()
    if scene.peers:
        _, waiting = await asyncio.wait(scene.peers, timeout=GRACE)
        assert not waiting


# --- connect ----------------------------------------------------------------------------------------------------------


async def connect(scene: Scene, **arguments: Any) -> aionet.Stream:
    return await aionet.connect(scene.address, tls=scene.tls, server_hostname=NAME, timeouts=QUICK, **arguments)


async def ends(scene: Scene, result: aionet.Stream | None) -> None:
    """Use the result; whether there is one or not, the peer sees an end."""
    if result is not None:
        await exchange(result)
        result.abort()
    await every_peer_is_told(scene)


@every_moment
@every_version
async def test_connect_leaves_nothing(version: ssl.TLSVersion, moment: Moment) -> None:
    assert await cancel_everywhere(partial(peers_listen, version), connect, ends, moment=moment) >= 2


@every_moment
@every_version
async def test_connect_with_a_header_leaves_nothing(version: ssl.TLSVersion, moment: Moment) -> None:
    """The header is larger than a small socket takes at once."""
    header = attrs.evolve(HEADER, tlvs=(aionet.ProxyTLV(0xE0, bytes(60_000)),))
    size = len(aionet.build_proxy_header(header))
    scene = partial(peers_listen, version, plain=size, receive_buffer=2048)
    operation = partial(connect, proxy_header=header, options=aionet.SocketOptions(send_buffer=2048))
    assert await cancel_everywhere(scene, operation, ends, moment=moment) >= 3


@every_moment
async def test_leaving_a_block_leaves_nothing(moment: Moment) -> None:
    async def enter_and_leave(scene: Scene) -> None:
        async with aionet.connect(scene.address, tls=scene.tls, server_hostname=NAME, timeouts=QUICK) as stream:
            await exchange(stream)

    async def told(scene: Scene, _result: object) -> None:
        await every_peer_is_told(scene)

    scene = partial(peers_listen, ssl.TLSVersion.TLSv1_3)
    assert await cancel_everywhere(scene, enter_and_leave, told, moment=moment) >= 3


@every_moment
@every_version
async def test_create_connection_leaves_nothing(version: ssl.TLSVersion, moment: Moment) -> None:
    async def create(scene: Scene) -> aionet.StreamTransport:
        assert isinstance(scene.address, aionet.InetAddress)
        host, port = scene.address.host, scene.address.port
        transport, _ = await aionet.create_connection(asyncio.Protocol, host, port, ssl=scene.tls, server_hostname=NAME)
        return transport

    async def told(scene: Scene, result: aionet.StreamTransport | None) -> None:
        if result is not None:
            result.abort()
        await every_peer_is_told(scene)

    assert await cancel_everywhere(partial(peers_listen, version), create, told, moment=moment) >= 2


# --- start_tls --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def plain_stream(version: ssl.TLSVersion, *, server_side: bool, plain: int = 0) -> AsyncGenerator[Scene]:
    """Have a stream whose peer waits for, or begins, a handshake."""
    async with peers_listen(version, server_side=server_side, plain=plain, receive_buffer=2048) as scene:
        options = SMALL_BUFFERS if plain == len(WORDS) else None
        scene.stream = await aionet.connect(scene.address, timeouts=QUICK, options=options)
        try:
            yield scene
        finally:
            scene.stream.abort()


async def begin_as_client(scene: Scene) -> bool:
    await scene.stream.start_tls(scene.tls, server_hostname=NAME)
    return True


async def begin_as_server(scene: Scene, reply: bytes = b"go ahead\r\n") -> bool:
    await scene.stream.start_tls(scene.tls, server_side=True, reply=reply)
    return True


async def is_secure_or_closed(scene: Scene, result: object) -> None:
    if result:
        await exchange(scene.stream)
        scene.stream.abort()
    else:
        for operation in (scene.stream.recv, lambda: scene.stream.send(b"in the clear?")):
            with pytest.raises(aionet.ClosedStreamError):
                await operation()
    await every_peer_is_told(scene)


@every_moment
@every_version
async def test_a_client_that_begins_tls_leaves_nothing(version: ssl.TLSVersion, moment: Moment) -> None:
    scene = partial(plain_stream, version, server_side=True)
    assert await cancel_everywhere(scene, begin_as_client, is_secure_or_closed, moment=moment) >= 1


@every_moment
@every_version
async def test_a_server_that_begins_tls_leaves_nothing(version: ssl.TLSVersion, moment: Moment) -> None:
    scene = partial(plain_stream, version, server_side=False, plain=len(b"go ahead\r\n"))
    assert await cancel_everywhere(scene, begin_as_server, is_secure_or_closed, moment=moment) >= 1


@every_moment
@every_version
async def test_a_server_that_still_has_words_to_send_goes_on_in_the_clear_or_not_at_all(
    version: ssl.TLSVersion, moment: Moment
) -> None:
    """Before the handshake has begun a cancel changes nothing: what has been sent goes out, and what comes is plain."""
    plain: list[bool] = []

    async def is_in_one_state(scene: Scene, result: object) -> None:
        if not result:
            try:
                received = await scene.stream.recv_exactly(2)
            except aionet.ClosedStreamError:
                plain.append(False)
            else:
                assert received == b"\x16\x03"  # the peer, who has read all of the words, begins
                assert scene.stream.tls is None
                plain.append(True)
        else:
            await exchange(scene.stream)
        scene.stream.abort()
        await every_peer_is_told(scene)

    scene = partial(plain_stream, version, server_side=False, plain=len(WORDS))
    count = await cancel_everywhere(scene, partial(begin_as_server, reply=WORDS), is_in_one_state, moment=moment)
    assert count == len(plain)
    assert plain == sorted(plain, reverse=True)
    assert set(plain) == {True, False}


class Silent(asyncio.Protocol):
    """Writes down only its end."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@asynccontextmanager
async def plain_transport(version: ssl.TLSVersion, *, server_side: bool, plain: int = 0) -> AsyncGenerator[Scene]:
    """Have a transport whose peer waits for, or begins, a handshake."""
    async with peers_listen(version, server_side=server_side, plain=plain, receive_buffer=2048) as scene:
        assert isinstance(scene.address, aionet.InetAddress)
        scene.stream, scene.protocol = await aionet.create_connection(Silent, scene.address.host, scene.address.port)
        scene.stream.pause_reading()  # what the peer says first is no plain text
        scene.stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        try:
            yield scene
        finally:
            scene.stream.abort()


every_side = pytest.mark.parametrize("side", ["client", "server", "server with words"])


async def begin_on_a_transport(scene: Scene, side: str) -> aionet.StreamTransport:
    if side == "server with words":
        scene.stream.write(WORDS)
    name, server_side = (NAME, False) if side == "client" else (None, True)
    transport: aionet.StreamTransport = await aionet.start_tls(
        scene.stream, scene.protocol, scene.tls, server_side=server_side, server_hostname=name
    )
    return transport


def with_a_transport(side: str, version: ssl.TLSVersion) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    plain = len(WORDS) if side == "server with words" else 0
    return partial(plain_transport, version, server_side=side == "client", plain=plain)


@every_moment
@every_version
@every_side
async def test_a_transport_that_begins_tls_leaves_nothing(side: str, version: ssl.TLSVersion, moment: Moment) -> None:
    async def is_aborted(scene: Scene, result: aionet.StreamTransport | None) -> None:
        if result is not None:
            result.abort()
        await every_peer_is_told(scene)

    operation = partial(begin_on_a_transport, side=side)
    count = await cancel_everywhere(with_a_transport(side, version), operation, is_aborted, moment=moment)
    assert count >= (2 if side == "server with words" else 1)


@every_moment
@every_version
@every_side
async def test_a_protocol_whose_start_tls_is_cancelled_hears_of_its_end(
    side: str, version: ssl.TLSVersion, moment: Moment
) -> None:
    async def has_heard(scene: Scene, result: aionet.StreamTransport | None) -> None:
        if result is not None:
            result.abort()
        await turns()
        assert scene.protocol.lost.is_set()

    operation = partial(begin_on_a_transport, side=side)
    await cancel_everywhere(with_a_transport(side, version), operation, has_heard, moment=moment)


# --- accept -----------------------------------------------------------------------------------------------------------


@every_moment
@every_version
async def test_an_accept_that_is_cancelled_loses_no_client_that_shakes_hands(
    version: ssl.TLSVersion, moment: Moment
) -> None:
    @asynccontextmanager
    async def listening() -> AsyncGenerator[tuple[aionet.Listener, asyncio.Task[None]]]:
        async with aionet.listen("tls://127.0.0.1:0", tls=SERVER) as listener:
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, listener.addresses[0].sockaddr)
            async with running(Peer(sock, version, server_side=False).run()) as peer:
                yield listener, peer

    async def accept(scene: tuple[aionet.Listener, asyncio.Task[None]]) -> aionet.Stream:
        return await scene[0].accept()

    async def is_accepted_after_all(
        scene: tuple[aionet.Listener, asyncio.Task[None]], result: aionet.Stream | None
    ) -> None:
        listener, peer = scene
        async with asyncio.timeout(GRACE):
            stream = await listener.accept() if result is None else result
            await exchange(stream)
            stream.abort()
            await peer

    assert await cancel_everywhere(listening, accept, is_accepted_after_all, moment=moment) >= 1
