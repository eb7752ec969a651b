"""openssl s_client, and what either end shows the other: the certificate for a name, its own, a ticket of a session.

The server is in this process, so that it can say what it saw.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from aionet import Certificate, TLSConfig
from tests.certificates import CA, NAME, SERVER, issue, write_pem
from tests.programs import run
from tests.tools import require_tool
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

every_version = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])

SEVERAL = attrs.evolve(
    SERVER, sni={name: Certificate(certificate=issue(name)) for name in ("one.test", "two.test", "*.any.test")}
)


@attrs.frozen
class Greeter:
    """A server that sends a word and ends, what it has seen of its clients, and the client that asks it."""

    server: aionet.Server
    ca: str
    seen: list[aionet.TLSInfo] = attrs.field(factory=list)

    async def greet(self, stream: aionet.Stream) -> None:
        assert stream.tls is not None
        self.seen.append(stream.tls)
        await stream.send(b"greetings\n")

    async def ask(self, *args: str, status: int = 0) -> str:
        """Run openssl's client until the server has ended."""
        command = [require_tool("openssl"), "s_client", "-connect", str(self.server.addresses[0]), "-CAfile", self.ca]
        said = await asyncio.to_thread(run, *command, "-verify_return_error", "-ign_eof", *args, status=status)
        return said.decode()


@asynccontextmanager
async def greeting(folder: Path, tls: TLSConfig) -> AsyncGenerator[Greeter]:
    async def handler(stream: aionet.Stream) -> None:
        await greeter.greet(stream)

    async with aionet.serve("tls://127.0.0.1:0", handler, tls=tls) as server:
        greeter = Greeter(server, write_pem(folder, "ca.pem", CA))
        yield greeter


def peer_certificate(said: str) -> bytes:
    """Return the certificate that s_client was shown, in DER."""
    (pem,) = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.DOTALL)
    return ssl.PEM_cert_to_DER_cert(pem)


def in_der(certificate: Any) -> bytes:
    """Return the first certificate of what TLSConfig takes for one, in DER."""
    found = re.search(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", certificate, re.DOTALL)
    assert found is not None
    return ssl.PEM_cert_to_DER_cert(found[0].decode())


# --- names ------------------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (["-servername", "one.test"], "one.test"),
        (["-servername", "two.test"], "two.test"),
        (["-servername", "x.any.test"], "*.any.test"),
        (["-servername", NAME], None),
        (["-servername", "unknown.test"], None),
        (["-noservername"], None),
    ],
    ids=lambda value: value[-1].lstrip("-") if isinstance(value, list) else "",
)
async def test_s_client_is_shown_the_certificate_for_the_name_that_it_asks_for(
    asked: list[str], shown: str | None, version: str, tmp_path: Path
) -> None:
    async with greeting(tmp_path, SEVERAL) as greeter:
        said = await greeter.ask(version, *asked)
    certificate = SEVERAL.certificate if shown is None else dict(SEVERAL.sni)[shown].certificate
    assert peer_certificate(said) == in_der(certificate)
    assert [info.sni for info in greeter.seen] == [None if asked == ["-noservername"] else asked[-1]]


@every_version
async def test_s_client_refuses_the_certificate_that_it_is_shown_for_a_name_nobody_has(
    version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with greeting(tmp_path, SEVERAL) as greeter:
        for name, status in (("two.test", 0), ("unknown.test", 1)):
            said = await greeter.ask(version, "-servername", name, "-verify_hostname", name, status=status)
            assert ("hostname mismatch" in said) == bool(status)
        assert [info.sni for info in greeter.seen] == ["two.test"]
        await until(lambda: greeter.server.statistics().handshake_failures == 1)
    assert [record.exc_info for record in caplog.records] == [None]


# --- certificates of clients ------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("mode", ["optional", "required"])
async def test_the_server_sees_the_certificate_that_s_client_shows(mode: Any, version: str, tmp_path: Path) -> None:
    certificate = issue("client.test")
    pem = write_pem(tmp_path, "client.pem", certificate)
    async with greeting(tmp_path, attrs.evolve(SERVER, ca=CA, client_certificate=mode)) as greeter:
        said = await greeter.ask(version, "-cert", pem, "-key", pem)
    assert "greetings" in said
    assert [info.peer_certificate for info in greeter.seen] == [in_der(certificate)]


@every_version
async def test_s_client_without_a_certificate_is_served_where_it_need_not_have_one(
    version: str, tmp_path: Path
) -> None:
    async with greeting(tmp_path, attrs.evolve(SERVER, ca=CA, client_certificate="optional")) as greeter:
        assert "greetings" in await greeter.ask(version)
    assert [info.peer_certificate for info in greeter.seen] == [None]


@every_version
async def test_s_client_without_a_certificate_is_refused_where_it_needs_one(
    version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with greeting(tmp_path, attrs.evolve(SERVER, ca=CA, client_certificate="required")) as greeter:
        assert "greetings" not in await greeter.ask(version, status=1)
        await until(lambda: greeter.server.statistics().handshake_failures == 1)
    assert not greeter.seen
    (record,) = caplog.records
    assert record.exc_info is None
    assert record.getMessage().endswith("TLS handshake: peer did not return a certificate")


# --- sessions ---------------------------------------------------------------------------------------------------------


def handshakes(said: str) -> list[str]:
    """Return what s_client says of each of its handshakes."""
    return re.findall(r"^(New|Reused), ", said, re.MULTILINE)


async def test_s_client_resumes_by_ticket_each_time_that_it_reconnects(tmp_path: Path) -> None:
    async with greeting(tmp_path, SERVER) as greeter:
        said = await greeter.ask("-tls1_2", "-reconnect")
        assert "TLS session ticket:" in said
        assert handshakes(said) == ["New"] + ["Reused"] * 5
        await until(lambda: len(greeter.seen) == 6)
    assert [info.resumed for info in greeter.seen] == [False] + [True] * 5


@every_version
async def test_s_client_resumes_the_session_that_it_kept_in_a_file(version: str, tmp_path: Path) -> None:
    kept = str(tmp_path / "session")
    async with greeting(tmp_path, SERVER) as greeter:
        said = [await greeter.ask(version, option, kept) for option in ("-sess_out", "-sess_in")]
    assert list(map(handshakes, said)) == [["New"], ["Reused"]]
    assert [info.resumed for info in greeter.seen] == [False, True]


@every_version
@pytest.mark.parametrize("tickets", [True, False])
async def test_s_client_gets_tickets_where_the_server_gives_them(
    version: str,
    tmp_path: Path,
    *,
    tickets: bool,
) -> None:
    async with greeting(tmp_path, attrs.evolve(SERVER, session_tickets=tickets)) as greeter:
        assert ("TLS session ticket:" in await greeter.ask(version)) == tickets
