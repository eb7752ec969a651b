"""reload_certificates, on every kind of server: what begins then sees the new certificate, and what is open goes on."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest

import aionet
from aionet import Certificate, TLSConfig
from tests.certificates import AUTHORITY, CLIENT, NAME, issue
from tests.turns import running, turns
from tests.unit.server.test_proxied_tls import PlainClient
from tests.unit.stream.test_tls import echo
from tests.unit.transport.test_tls_protocols import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Kind: TypeAlias = Callable[[TLSConfig], AbstractAsyncContextManager[str]]

SECOND = "second.test"
# Who resumes a session is shown no certificate.
FRESH = attrs.evolve(CLIENT, session_tickets=False)


class Files:
    """The files of a server that has two names, each with a certificate and a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renew(NAME)
        self.renew(SECOND)
        self.config = TLSConfig(
            certificate=self.path(NAME),
            key=self.path(NAME, "key"),
            sni={SECOND: Certificate(certificate=self.path(SECOND), key=self.path(SECOND, "key"))},
        )

    def path(self, name: str, what: str = "certificate") -> Path:
        return self.folder / f"{name}.{what}.pem"

    def renew(self, name: str) -> None:
        """Write another certificate for a name, with another key."""
        issued = AUTHORITY.issue_cert(name)
        self.path(name).write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        self.path(name, "key").write_bytes(issued.private_key_pem.bytes())

    def spoil(self, name: str, how: str) -> None:
        """Make the files of a name useless."""
        if how == "nonsense":
            self.path(name).write_bytes(b"nonsense")
        elif how == "gone":
            self.path(name, "key").unlink()
        elif how == "half written":
            self.path(name).write_bytes(self.path(name).read_bytes()[:200])
        else:
            self.path(name, "key").write_bytes(issue(name))


@asynccontextmanager
async def a_server(tls: TLSConfig) -> AsyncGenerator[str]:
    async with aionet.serve("tls://127.0.0.1:0", echo, tls=tls) as server:
        yield f"tls://{server.addresses[0]}"


@asynccontextmanager
async def a_listener(tls: TLSConfig) -> AsyncGenerator[str]:
    async with aionet.listen("tls://127.0.0.1:0", tls=tls) as listener, AsyncExitStack() as accepted:

        async def accept() -> None:
            while True:
                _ = await accepted.enter_async_context(running(serve(await listener.accept())))

        async def serve(stream: aionet.Stream) -> None:
            async with stream:
                await echo(stream)

        async with running(accept()):
            yield f"tls://{listener.addresses[0]}"


@asynccontextmanager
async def protocols(tls: TLSConfig) -> AsyncGenerator[str]:
    async with await aionet.create_server(Echo, "127.0.0.1", 0, ssl=tls) as server:
        yield f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.abort_clients()


KINDS = [a_server, a_listener, protocols]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=["serve", "listen", "create_server"])


@asynccontextmanager
async def connected(endpoint: str, name: str, tls: TLSConfig = FRESH) -> AsyncGenerator[aionet.Stream]:
    """Connect, and find the connection alive at the end of the block."""
    async with aionet.connect(endpoint, tls=tls, server_hostname=name) as stream:
        yield stream
        await stream.send(b"still here")
        assert await stream.recv_exactly(10) == b"still here"


async def shown(endpoint: str, name: str, tls: TLSConfig = FRESH) -> bytes | None:
    """Connect once more; return the certificate that is shown for a name."""
    async with connected(endpoint, name, tls) as stream:
        assert stream.tls is not None
        return stream.tls.peer_certificate


def in_file(files: Files, name: str) -> bytes:
    """Return the certificate in the file now, in DER."""
    first, end, _ = files.path(name).read_text().partition("-----END CERTIFICATE-----\n")
    return ssl.PEM_cert_to_DER_cert(first + end)


@every_kind
@pytest.mark.parametrize("name", [NAME, SECOND], ids=["the first", "one by name"])
async def test_a_new_certificate_is_for_new_connections_and_no_other_is_lost(
    name: str, kind: Kind, tmp_path: Path
) -> None:
    files = Files(tmp_path)
    before = {each: in_file(files, each) for each in (NAME, SECOND)}
    async with kind(files.config) as endpoint, connected(endpoint, NAME), connected(endpoint, SECOND):
        files.renew(name)
        assert await shown(endpoint, name) == before[name]  # what was read is kept
        aionet.reload_certificates(files.config)
        after = {each: await shown(endpoint, each) for each in (NAME, SECOND)}
    other = SECOND if name == NAME else NAME
    assert after[name] == in_file(files, name) != before[name]
    assert after[other] == before[other]


@every_kind
@pytest.mark.parametrize("how", ["nonsense", "gone", "half written", "another's key"])
@pytest.mark.parametrize("name", [NAME, SECOND], ids=["the first", "one by name"])
async def test_where_one_file_is_no_good_nothing_changes(name: str, how: str, kind: Kind, tmp_path: Path) -> None:
    files = Files(tmp_path)
    before = {each: in_file(files, each) for each in (NAME, SECOND)}
    async with kind(files.config) as endpoint, connected(endpoint, NAME), connected(endpoint, SECOND):
        for each in (NAME, SECOND):
            files.renew(each)
        files.spoil(name, how)
        with pytest.raises(aionet.OptionError, match="expected a certificate and its key in PEM"):
            aionet.reload_certificates(files.config)
        assert {each: await shown(endpoint, each) for each in (NAME, SECOND)} == before
        files.renew(name)
        aionet.reload_certificates(files.config)
        assert {each: await shown(endpoint, each) for each in (NAME, SECOND)} == {
            each: in_file(files, each) for each in (NAME, SECOND)
        }


@every_kind
async def test_a_session_from_before_is_begun_anew(kind: Kind, tmp_path: Path) -> None:
    files = Files(tmp_path)
    client = attrs.evolve(CLIENT)
    async with kind(files.config) as endpoint:
        for resumed in (False, True):
            async with connected(endpoint, NAME, client) as stream:
                assert stream.tls is not None
                assert stream.tls.resumed == resumed
        files.renew(NAME)
        aionet.reload_certificates(files.config)
        async with connected(endpoint, NAME, client) as stream:
            assert stream.tls is not None
            assert not stream.tls.resumed
            assert stream.tls.peer_certificate == in_file(files, NAME)


@every_kind
async def test_a_handshake_that_has_begun_comes_to_its_end(kind: Kind, tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with kind(files.config) as endpoint:
        host, _, port = endpoint.removeprefix("tls://").rpartition(":")
        with socket.create_connection((host, int(port))) as sock:
            sock.setblocking(False)
            client = PlainClient(sock)
            hello = client.client_hello()
            sock.send(hello[:100])
            await turns()
            files.renew(NAME)
            aionet.reload_certificates(files.config)
            sock.send(hello[100:])
            await client.shake_hands()
            await client.send(b"hello")
            assert await client.receive() == b"hello"
