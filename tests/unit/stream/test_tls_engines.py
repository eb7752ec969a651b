"""TLS over the descriptor and TLS in memory keep the same promises: each test here runs on both."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Literal, Protocol, cast

import attrs
import pytest
import trustme

import aionet
from aionet import Certificate, TLSConfig
from tests.certificates import CA, CLIENT, NAME, SERVER, issue
from tests.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aionet.system.tls_layer import TLSLayer
    from aionet.transport.tls import TLSTransport


class Scene(Protocol):
    """Opens pairs of streams, ours a client's, and shakes hands: over TCP, or inside another TLS connection."""

    inside: bool

    def __call__(
        self, client: TLSConfig = CLIENT, server: TLSConfig = SERVER, name: str = NAME
    ) -> AbstractAsyncContextManager[tuple[aionet.Stream, aionet.Stream]]: ...


class Engine:
    """A Scene over a listener of its own: sessions are resumed with the same address."""

    def __init__(self, listener: aionet.Listener, *, inside: bool) -> None:
        self.listener = listener
        self.inside = inside

    async def _connected(self, stack: AsyncExitStack) -> tuple[aionet.Stream, aionet.Stream]:
        scheme, tls = ("tls", CLIENT) if self.inside else ("tcp", None)
        endpoint = f"{scheme}://{self.listener.addresses[0]}"
        async with running(self.listener.accept()) as accepting:
            ours = await aionet.connect(endpoint, tls=tls)
            stack.callback(ours.abort)
            theirs = await accepting
        stack.callback(theirs.abort)
        return ours, theirs

    @asynccontextmanager
    async def __call__(
        self, client: TLSConfig = CLIENT, server: TLSConfig = SERVER, name: str = NAME
    ) -> AsyncGenerator[tuple[aionet.Stream, aionet.Stream]]:
        async with AsyncExitStack() as stack:
            ours, theirs = await self._connected(stack)
            async with running(theirs.start_tls(server, server_side=True)) as serving:
                try:
                    await ours.start_tls(client, server_hostname=name)
                except aionet.TLSError:
                    with pytest.raises(aionet.TLSHandshakeError):  # the other end is told, too
                        await serving
                    raise
                await serving
            yield ours, theirs


@pytest.fixture(params=["descriptor", "memory"])
async def scene(request: pytest.FixtureRequest) -> AsyncGenerator[Scene]:
    inside = request.param == "memory"
    outer = ("tls://127.0.0.1:0", SERVER) if inside else ("tcp://127.0.0.1:0", None)
    async with aionet.listen(outer[0], tls=outer[1]) as listener:
        yield Engine(listener, inside=inside)


async def agreed(scene: Scene, client: TLSConfig, server: TLSConfig, name: str = NAME) -> aionet.TLSInfo:
    """Exchange a word each way, and return what the client was told."""
    async with scene(client, server, name) as (ours, theirs):
        for one, other in ((ours, theirs), (theirs, ours)):
            await one.send(b"word")
            assert await other.recv_exactly(4) == b"word"
        assert ours.tls is not None
        return ours.tls


async def test_a_certificate_for_another_name_is_refused(scene: Scene) -> None:
    with pytest.raises(aionet.TLSCertificateError, match=r"start_tls on .*other\.test"):
        await agreed(scene, CLIENT, SERVER, "other.test")
    careless = attrs.evolve(CLIENT, insecure_skip_hostname_check=True)
    assert (await agreed(scene, careless, SERVER, "other.test")).sni == "other.test"


async def test_a_certificate_that_nobody_vouches_for_is_refused(scene: Scene) -> None:
    stranger = TLSConfig(certificate=issue(NAME, authority=trustme.CA()))
    with pytest.raises(aionet.TLSCertificateError, match="unable to get local issuer"):
        await agreed(scene, CLIENT, stranger)
    assert (await agreed(scene, TLSConfig(insecure_skip_verification=True), stranger)).peer_certificate is not None


@pytest.mark.parametrize("name", [NAME, "b.test"], ids=["its first certificate", "one of its names"])
@pytest.mark.parametrize("mode", ["optional", "required"])
async def test_clients_show_a_certificate_under_every_name(
    scene: Scene, mode: Literal["optional", "required"], name: str
) -> None:
    sni = {"b.test": Certificate(certificate=issue("b.test"))}
    # TLS 1.2: there the client hears of a refusal during the handshake.
    server = attrs.evolve(
        SERVER, ca=CA, client_certificate=mode, sni=sni, maximum_version=ssl.TLSVersion.TLSv1_2, session_tickets=False
    )
    shows = attrs.evolve(CLIENT, certificate=issue("client.test"))
    async with scene(shows, server, name) as (_, theirs):
        assert theirs.tls is not None
        assert theirs.tls.peer_certificate is not None
    stranger = attrs.evolve(CLIENT, certificate=issue("client.test", authority=trustme.CA()))
    with pytest.raises(aionet.TLSHandshakeError, match="unknown ca"):
        await agreed(scene, stranger, server, name)
    if mode == "optional":
        assert (await agreed(scene, CLIENT, server, name)).version == "TLSv1.2"
    else:
        with pytest.raises(aionet.TLSHandshakeError, match="handshake failure"):
            await agreed(scene, CLIENT, server, name)


@pytest.mark.parametrize("name", [NAME, "b.test"], ids=["its first certificate", "one of its names"])
async def test_the_servers_dearest_common_protocol_is_chosen_under_every_name(scene: Scene, name: str) -> None:
    sni = {"b.test": Certificate(certificate=issue("b.test"))}
    server = attrs.evolve(SERVER, alpn=("h3", "h2", "echo"), sni=sni)
    async with scene(attrs.evolve(CLIENT, alpn=("echo", "other", "h2")), server, name) as (ours, theirs):
        assert ours.tls is not None
        assert theirs.tls is not None
        assert ours.tls.alpn == theirs.tls.alpn == "h2"
        assert theirs.tls.sni == name
        assert ("DNS", name) in ours.get_extra_info("peercert")["subjectAltName"]
    assert (await agreed(scene, attrs.evolve(CLIENT, alpn="other"), server, name)).alpn is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("tickets", [True, False])
async def test_a_session_is_resumed_where_both_have_tickets(
    scene: Scene, version: ssl.TLSVersion, *, tickets: bool
) -> None:
    client = attrs.evolve(CLIENT, maximum_version=version)
    server = attrs.evolve(SERVER, session_tickets=tickets)
    assert [(await agreed(scene, client, server)).resumed for _ in range(2)] == [False, tickets]


async def test_no_version_below_the_minimum_is_agreed_on(scene: Scene) -> None:
    newest = attrs.evolve(SERVER, minimum_version=ssl.TLSVersion.TLSv1_3)
    old = attrs.evolve(CLIENT, maximum_version=ssl.TLSVersion.TLSv1_2)
    for client, server in ((old, newest), (attrs.evolve(CLIENT, minimum_version=ssl.TLSVersion.TLSv1_3), None)):
        chosen = server or attrs.evolve(SERVER, maximum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(aionet.TLSHandshakeError, match="version"):
            await agreed(scene, client, chosen)
    assert (await agreed(scene, CLIENT, newest)).version == "TLSv1.3"


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("name", [NAME, "b.test"], ids=["its first certificate", "one of its names"])
async def test_secrets_are_written_to_the_key_log(scene: Scene, side: str, name: str, tmp_path: Path) -> None:
    log = tmp_path / "keys"
    client = attrs.evolve(CLIENT, keylog_file=log if side == "client" else None)
    sni = {"b.test": Certificate(certificate=issue("b.test"))}
    await agreed(scene, client, attrs.evolve(SERVER, sni=sni, keylog_file=log if side == "server" else None), name)
    assert "CLIENT_TRAFFIC_SECRET_0 " in log.read_text()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_end_without_close_notify_is_an_error_unless_asked_for(scene: Scene, version: ssl.TLSVersion) -> None:
    server = attrs.evolve(SERVER, maximum_version=version)
    for accept in (False, True):
        async with scene(attrs.evolve(CLIENT, accept_truncation=accept), server) as (ours, theirs):
            await theirs.send(b"half a mess")
            await theirs.flush()
            if scene.inside:  # the TLS outside ends as it should: an end of what is inside it does not make
                layer = cast("TLSLayer", cast("TLSTransport", theirs._transport)._secure)
                layer._lower.goodbye()
            theirs.get_extra_info("socket")._sock.shutdown(1)
            assert await ours.recv_exactly(11) == b"half a mess"
            for _ in range(2):
                if accept:
                    assert await ours.recv() == b""
                else:
                    with pytest.raises(aionet.TruncatedStreamError, match=r"recv on .* without close_notify"):
                        await ours.recv()


async def test_a_handshake_that_takes_too_long_ends_the_stream(scene: Scene) -> None:
    soon = aionet.Timeouts(tls_handshake=0.02)
    async with AsyncExitStack() as stack:
        ours, _ = await cast("Engine", scene)._connected(stack)
        ours._timeouts = soon
        with pytest.raises(aionet.TLSHandshakeTimeoutError, match=r"no TLS handshake within 0\.02 s"):
            await ours.start_tls(CLIENT, server_hostname=NAME)
        with pytest.raises(aionet.TLSHandshakeTimeoutError):
            await ours.send(b"x")


async def test_plain_bytes_that_wait_are_refused_and_never_read(scene: Scene) -> None:
    async with AsyncExitStack() as stack:
        ours, theirs = await cast("Engine", scene)._connected(stack)
        await ours.send(b"STARTTLS\r\nDELE 1\r\n")
        assert await theirs.recv_line() == b"STARTTLS\r\n"
        with pytest.raises(aionet.TLSError, match="8 bytes that came in the clear wait"):
            await theirs.start_tls(SERVER, server_side=True)
        with pytest.raises(aionet.ClosedStreamError):
            await theirs.recv()


async def test_plain_bytes_behind_the_reply_are_no_handshake(scene: Scene) -> None:
    async with AsyncExitStack() as stack:
        ours, theirs = await cast("Engine", scene)._connected(stack)
        async with running(theirs.start_tls(SERVER, server_side=True, reply=b"go ahead\r\n")) as serving:
            assert await ours.recv_line() == b"go ahead\r\n"
            await ours.send(b"DELE 1\r\n")
            with pytest.raises(aionet.TLSHandshakeError, match="wrong version number"):
                await serving
        with pytest.raises(aionet.TLSHandshakeError):
            await theirs.recv()


async def test_plain_bytes_that_come_while_the_reply_waits_are_no_handshake(scene: Scene) -> None:
    much = bytes(8 * 1024 * 1024)  # more than the kernel takes
    async with AsyncExitStack() as stack:
        ours, theirs = await cast("Engine", scene)._connected(stack)
        theirs._transport.set_write_buffer_limits(high=2 * len(much))
        await theirs.send(much)
        assert theirs.statistics().write_queue > 0
        async with running(theirs.start_tls(SERVER, server_side=True, reply=b"go ahead\r\n")) as serving:
            await turns()
            await ours.send(b"DELE 1\r\n")
            await turns()
            assert await ours.recv_exactly(len(much)) == much
            assert await ours.recv_line() == b"go ahead\r\n"
            with pytest.raises(aionet.TLSHandshakeError):
                await ours.start_tls(CLIENT, server_hostname=NAME)
            with pytest.raises(aionet.TLSHandshakeError, match="wrong version number"):
                await serving
        with pytest.raises(aionet.TLSHandshakeError):
            await theirs.recv()


async def test_both_halves_end_on_their_own(scene: Scene) -> None:
    async with scene() as (ours, theirs):
        await ours.send(b"question")
        await ours.send_eof()
        assert b"".join([data async for data in theirs]) == b"question"
        await theirs.send(b"answer")
        async with asyncio.TaskGroup() as group:
            group.create_task(theirs.aclose())
            assert b"".join([data async for data in ours]) == b"answer"
            await ours.aclose()
