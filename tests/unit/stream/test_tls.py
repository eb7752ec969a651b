"""connect, listen and serve with TLS: what is verified, what is agreed on, what is resumed and reloaded."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import pickle
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest
import trustme

import aionet
from aionet import Certificate, TLSConfig
from aionet.system.tls_context import server_tls
from tests.certificates import CA, CLIENT, NAME, SERVER, issue, write_pem
from tests.hellos import client_hello
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

LOCAL = "tls://127.0.0.1:0"


async def echo(stream: aionet.Stream) -> None:
    """Send back whatever comes."""
    async for data in stream:
        await stream.send(data)


async def open_plain(address: aionet.Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with asyncio, and without TLS."""
    assert isinstance(address, aionet.InetAddress)
    return await asyncio.open_connection(address.host, address.port)


@asynccontextmanager
async def serving(
    tls: TLSConfig | ssl.SSLContext = SERVER, timeouts: aionet.Timeouts | None = None
) -> AsyncGenerator[tuple[aionet.Server, str]]:
    async with aionet.serve(LOCAL, echo, tls=tls, timeouts=timeouts) as server:
        yield server, f"tls://127.0.0.1:{server.addresses[0].port}"  # type: ignore[union-attr]


async def exchange(endpoint: str, tls: TLSConfig | ssl.SSLContext, name: str | None = NAME) -> aionet.TLSInfo:
    """Send a word, have it back, and return what was agreed on."""
    async with aionet.connect(endpoint, tls=tls, server_hostname=name) as stream:
        await stream.send(b"word")
        assert await stream.recv_exactly(4) == b"word"
        assert stream.tls is not None
        return stream.tls


# --- what is verified -------------------------------------------------------------------------------------------------


async def test_the_default_trusts_whom_the_system_trusts_and_nobody_else() -> None:
    async with serving() as (server, endpoint):
        with pytest.raises(aionet.TLSCertificateError, match="unable to get local issuer") as caught:
            await aionet.connect(endpoint)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        await until(lambda: server.statistics().handshake_failures == 1)


async def test_a_certificate_for_another_name_is_refused() -> None:
    async with serving() as (_, endpoint):
        with pytest.raises(aionet.TLSCertificateError, match=r"other\.test"):
            await aionet.connect(endpoint, tls=CLIENT, server_hostname="other.test")
        careless = attrs.evolve(CLIENT, insecure_skip_hostname_check=True)
        assert (await exchange(endpoint, careless, "other.test")).sni == "other.test"


async def test_the_endpoints_host_is_the_name_that_is_verified() -> None:
    async with serving() as (_, endpoint):
        assert (await exchange(endpoint, CLIENT, None)).sni is None  # an address is verified, and is no name to ask for
        assert (await exchange(endpoint.replace("127.0.0.1", "localhost"), CLIENT, None)).sni == "localhost"


@pytest.mark.parametrize("which", ["self-signed", "expired"])
async def test_a_bad_certificate_is_refused_unless_that_is_asked_for(which: str) -> None:
    # An authority of its own is what signs itself.
    if which == "expired":
        long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
        authority = trustme.CA()
        leaf = authority.issue_cert(NAME, not_before=long_ago, not_after=long_ago.replace(year=2002))
        certificate, ca, complaint = leaf.private_key_and_cert_chain_pem.bytes(), authority.cert_pem.bytes(), "expired"
    else:
        certificate, ca, complaint = issue(NAME, authority=trustme.CA()), CA, "unable to get local issuer certificate"
    async with serving(TLSConfig(certificate=certificate)) as (_, endpoint):
        with pytest.raises(aionet.TLSCertificateError, match=complaint):
            await aionet.connect(endpoint, tls=TLSConfig(ca=ca), server_hostname=NAME)
        info = await exchange(endpoint, TLSConfig(insecure_skip_verification=True))
        assert info.peer_certificate is not None


@pytest.mark.parametrize("mode", ["optional", "required"])
async def test_a_client_certificate_is_asked_for(mode: Literal["optional", "required"]) -> None:
    seen: list[bytes | None] = []

    async def look(stream: aionet.Stream) -> None:
        assert stream.tls is not None
        seen.append(stream.tls.peer_certificate)
        await echo(stream)

    server_tls = attrs.evolve(SERVER, ca=CA, client_certificate=mode)
    async with aionet.serve(LOCAL, look, tls=server_tls) as server:
        endpoint = f"tls://{server.addresses[0]}"
        await exchange(endpoint, attrs.evolve(CLIENT, certificate=issue("client.test")))
        assert seen[0] is not None
        if mode == "optional":
            await exchange(endpoint, CLIENT)
            assert seen[1] is None
        else:
            with pytest.raises(aionet.TLSError, match="certificate required"):
                await exchange(endpoint, CLIENT)
            assert len(seen) == 1
            assert server.statistics().handshake_failures == 1


async def test_old_versions_are_refused_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (server, endpoint):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(aionet.TLSHandshakeError, match="version"):
            await aionet.connect(endpoint, tls=context, server_hostname=NAME)
        await until(lambda: server.statistics().handshake_failures == 1)
    (record,) = caplog.records
    assert record.exc_info is None
    assert record.getMessage().endswith("TLS handshake: unsupported protocol")


# --- what is agreed on ------------------------------------------------------------------------------------------------


async def test_both_ends_know_what_they_agreed_on() -> None:
    infos: list[aionet.TLSInfo | None] = []

    async def look(stream: aionet.Stream) -> None:
        infos.append(stream.tls)
        await echo(stream)

    async with aionet.serve(LOCAL, look, tls=attrs.evolve(SERVER, alpn=("h2", "echo"))) as server:
        info = await exchange(f"tls://{server.addresses[0]}", attrs.evolve(CLIENT, alpn=["other", "echo"]))
    (theirs,) = infos
    assert theirs is not None
    assert (info.version, info.cipher, info.alpn, info.sni, info.resumed) == (
        theirs.version,
        theirs.cipher,
        "echo",
        NAME,
        False,
    )
    assert (theirs.alpn, theirs.sni, theirs.peer_certificate) == ("echo", NAME, None)
    assert info.version == "TLSv1.3"


async def test_a_plain_stream_has_no_tls() -> None:
    async with aionet.serve("tcp://127.0.0.1:0", echo) as server, aionet.connect(server.addresses[0]) as stream:
        assert stream.tls is None
        assert stream.get_extra_info("ssl_object") is None
        await stream.send_eof()
        assert await stream.recv() == b""


async def test_extra_info_is_what_asyncio_calls_it() -> None:
    async with serving() as (_, endpoint), aionet.connect(endpoint, tls=CLIENT) as stream:
        assert ("DNS", NAME) in stream.get_extra_info("peercert")["subjectAltName"]
        assert stream.get_extra_info("cipher")[1] == "TLSv1.3"
        assert stream.get_extra_info("compression") is None
        assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert stream.get_extra_info("sslcontext").check_hostname
        assert stream.get_extra_info("socket").getpeername() == stream.get_extra_info("peername")


@pytest.mark.parametrize(
    ("name", "expected"), [("b.test", "b.test"), ("x.c.test", "*.c.test"), (NAME, NAME), ("B.TEST", "b.test")]
)
async def test_a_server_shows_the_certificate_for_the_name_asked_for(name: str, expected: str) -> None:
    sni = {each: Certificate(certificate=issue(each)) for each in ("b.test", "*.c.test")}
    async with (
        serving(attrs.evolve(SERVER, sni=sni)) as (_, endpoint),
        aionet.connect(endpoint, tls=CLIENT, server_hostname=name) as stream,
    ):
        assert ("DNS", expected) in stream.get_extra_info("peercert")["subjectAltName"]


async def test_a_name_that_is_not_ascii_is_asked_for_as_it_is_in_the_dns() -> None:
    sni = {"Bücher.test": Certificate(certificate=issue("xn--bcher-kva.test"))}
    async with serving(attrs.evolve(SERVER, sni=sni)) as (_, endpoint):
        for name in ("bücher.test", "xn--bcher-kva.test"):
            assert (await exchange(endpoint, CLIENT, name)).sni == "xn--bcher-kva.test"


async def test_a_client_that_asks_for_what_is_no_name_is_refused_in_one_line(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    async with serving() as (server, _):
        for _ in range(3):
            _, writer = await open_plain(server.addresses[0])
            writer.write(client_hello("xx.test").replace(b"xx.test", b"\xff\xfe.test"))
            failures = server.statistics().handshake_failures
            await until(lambda failures=failures: server.statistics().handshake_failures > failures)  # type: ignore[misc]
            writer.close()
    assert len(caplog.records) == 3
    assert all("the name that is asked for is not ASCII" in record.message for record in caplog.records)
    assert capfd.readouterr().err == ""
    assert sys.unraisablehook is hook


TWO_NAMES = TLSConfig(
    certificate=issue("a.test"),
    sni={"b.test": Certificate(certificate=issue("b.test"))},
    alpn=["h2", "echo"],
    ca=CA,
    client_certificate="required",
    ciphers="ECDHE+AESGCM",
)
KNOWN = TLSConfig(ca=CA, alpn=["echo"], certificate=issue("client.test"))


@pytest.mark.parametrize("name", ["a.test", "b.test"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_whatever_certificate_is_shown_the_same_is_agreed_on(
    name: str, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    log = tmp_path / "keys"
    client = attrs.evolve(KNOWN, maximum_version=version)
    async with serving(attrs.evolve(TWO_NAMES, keylog_file=log)) as (_, endpoint):
        first = await exchange(endpoint, client, name)
        assert first.alpn == "echo"
        assert log.stat().st_size > 0
        assert (await exchange(endpoint, client, name)).resumed


@pytest.mark.parametrize("name", ["a.test", "b.test"])
async def test_whatever_certificate_is_shown_the_same_is_refused(name: str) -> None:
    async with serving(TWO_NAMES) as (_, endpoint):
        with pytest.raises(aionet.TLSError, match="certificate required"):
            await exchange(endpoint, CLIENT, name)
        with pytest.raises(aionet.TLSError, match="unknown ca"):
            await exchange(endpoint, attrs.evolve(KNOWN, certificate=issue("x", authority=trustme.CA())), name)
        with pytest.raises(aionet.TLSHandshakeError):
            chacha = attrs.evolve(KNOWN, ciphers="ECDHE+CHACHA20", maximum_version=ssl.TLSVersion.TLSv1_2)
            await exchange(endpoint, chacha, name)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_resumes_its_session(version: ssl.TLSVersion) -> None:
    client = attrs.evolve(CLIENT, maximum_version=version)
    async with serving() as (_, endpoint):
        assert [(await exchange(endpoint, client)).resumed for _ in range(3)] == [False, True, True]
        # Another name is another peer, whose certificate is to be seen.
        assert not (await exchange(endpoint, client, "localhost")).resumed


async def test_a_client_resumes_a_session_of_a_server_that_keeps_them_itself() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert isinstance(SERVER.certificate, bytes)
    with trustme.Blob(SERVER.certificate).tempfile() as path:
        context.load_cert_chain(path)
    context.options |= ssl.OP_NO_TICKET
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = attrs.evolve(CLIENT)
    async with serving(context) as (_, endpoint):
        assert [(await exchange(endpoint, client)).resumed for _ in range(3)] == [False, True, True]


async def test_a_connection_that_ends_before_its_ticket_comes_does_not_cost_the_one_that_is_kept() -> None:
    client = attrs.evolve(CLIENT)  # which nobody has a session of yet
    async with serving() as (_, endpoint):
        kept = await aionet.connect(endpoint, tls=client, server_hostname=NAME)
        await kept.send(b"word")
        assert await kept.recv_exactly(4) == b"word"
        early = await aionet.connect(endpoint, tls=client, server_hostname=NAME)
        assert early.tls is not None
        assert not early.tls.resumed
        kept.abort()
        early.abort()  # in the same turn: the server has not even seen that the handshake is done
        assert (await exchange(endpoint, client)).resumed


@pytest.mark.parametrize("side", ["client", "server"])
async def test_without_tickets_nothing_is_resumed(side: str) -> None:
    client = attrs.evolve(CLIENT, session_tickets=side != "client")
    async with serving(attrs.evolve(SERVER, session_tickets=side != "server")) as (_, endpoint):
        assert [(await exchange(endpoint, client)).resumed for _ in range(2)] == [False, False]


async def test_secrets_are_written_to_the_key_log(tmp_path: Path) -> None:
    log = tmp_path / "keys"
    async with serving() as (_, endpoint):
        await exchange(endpoint, attrs.evolve(CLIENT, keylog_file=log))
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()


async def test_an_ssl_context_serves_as_well() -> None:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cadata=CA.decode())
    assert isinstance(SERVER.certificate, bytes)
    with trustme.Blob(SERVER.certificate).tempfile() as path:
        server.load_cert_chain(path)
    async with serving(server) as (_, endpoint):
        assert (await exchange(endpoint, client)).version == "TLSv1.3"


async def test_a_unix_socket_carries_tls_too(tmp_path: Path) -> None:
    endpoint = f"unix:{tmp_path / 'tls'}"
    async with aionet.serve(endpoint, echo, tls=SERVER):
        assert (await exchange(endpoint, CLIENT)).version == "TLSv1.3"
        with pytest.raises(aionet.OptionError, match="expected server_hostname"):
            await aionet.connect(endpoint, tls=CLIENT)


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_certificates_are_reloaded_and_no_connection_is_lost(tmp_path: Path) -> None:
    path = write_pem(tmp_path, "server.pem", issue(NAME))
    config = TLSConfig(certificate=path)
    async with serving(config) as (_, endpoint), aionet.connect(endpoint, tls=CLIENT, server_hostname=NAME) as old:
        assert old.tls is not None
        before = old.tls.peer_certificate
        assert (await exchange(endpoint, attrs.evolve(CLIENT, session_tickets=False))).peer_certificate == before
        write_pem(tmp_path, "server.pem", issue(NAME))
        aionet.reload_certificates(config)
        assert (await exchange(endpoint, attrs.evolve(CLIENT, session_tickets=False))).peer_certificate != before
        await old.send(b"still here")
        assert await old.recv_exactly(10) == b"still here"


async def test_a_client_trusts_whom_its_reloaded_file_names(tmp_path: Path) -> None:
    path = write_pem(tmp_path, "ca.pem", trustme.CA().cert_pem.bytes())
    config = TLSConfig(ca=path)
    async with serving(SERVER) as (_, endpoint):
        with pytest.raises(aionet.TLSCertificateError):
            await exchange(endpoint, config)
        write_pem(tmp_path, "ca.pem", CA)
        with pytest.raises(aionet.TLSCertificateError):
            await exchange(endpoint, config)  # what was read is kept
        aionet.reload_certificates(config)
        await exchange(endpoint, config)


async def test_a_certificate_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    path = write_pem(tmp_path, "server.pem", issue(NAME))
    config = TLSConfig(certificate=path)
    async with serving(config) as (_, endpoint):
        write_pem(tmp_path, "server.pem", b"nonsense")
        with pytest.raises(aionet.OptionError, match="expected a certificate and its key in PEM"):
            aionet.reload_certificates(config)
        await exchange(endpoint, CLIENT)


def test_a_config_can_be_copied_and_sent_to_another_process_after_its_first_use() -> None:
    config = attrs.evolve(SERVER, sni={"b.test": Certificate(certificate=issue("b.test"))}, alpn=["h2"])
    server_tls(config)
    for same in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):  # noqa: S301 - they are our own
        assert same == config
        assert server_tls(same) is not server_tls(config)


async def test_an_authority_may_have_a_comment_in_any_language() -> None:
    async with serving() as (_, endpoint):
        await exchange(endpoint, TLSConfig(ca="# Főtanúsítvány\n".encode() + CA))


def test_only_a_config_has_files_to_reload() -> None:
    others: list[Any] = [True, None, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)]
    for other in others:
        with pytest.raises(aionet.OptionError, match="expected a TLSConfig"):
            aionet.reload_certificates(other)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sni": None}, "sni=None: expected a dict of host names"),
        ({"sni": [("a", 1)]}, "expected a dict of host names"),
        ({"sni": {"a..b": Certificate(certificate="x")}}, "expected host names and Certificates"),
        ({"sni": {"a.b": "x"}}, "expected host names and Certificates"),
        ({"alpn": None}, "alpn=.*: expected names of 1 to 255 ASCII characters"),
        ({"ciphers": 3}, "ciphers=3: expected a string"),
        ({"keylog_file": 3}, "keylog_file=3: expected a path"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(aionet.OptionError, match=expected):
        TLSConfig(**options)


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (None, "tls=None: expected a TLSConfig with a certificate"),
        (True, "certificate=None: expected one"),
        (TLSConfig(certificate="/nowhere.pem"), "No such file or directory"),
        (TLSConfig(certificate=CA), "expected a certificate and its key"),
        (TLSConfig(certificate=issue(NAME), insecure_skip_verification=True), "is for clients"),
        (attrs.evolve(SERVER, ciphers="NONSENSE"), "expected names that OpenSSL knows"),
        (attrs.evolve(SERVER, ca="/nowhere.pem"), "expected certificates in PEM"),
        (attrs.evolve(SERVER, keylog_file="/no/where"), "keylog_file='/no/where': No such file .*: expected a file"),
        ("yes", "expected a TLSConfig, an ssl.SSLContext or True"),
    ],
)
async def test_what_a_server_cannot_use_is_refused_at_once(tls: TLSConfig | None, expected: str) -> None:
    with pytest.raises(aionet.OptionError, match=expected):
        await aionet.serve(LOCAL, echo, tls=tls)


async def test_a_handshake_that_fails_behind_a_proxy_is_told_of_the_client_and_the_proxy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy = aionet.ProxyProtocol(mode="v1", trusted=["127.0.0.1"])
    async with aionet.serve(LOCAL, echo, tls=SERVER, proxy=proxy) as server:
        _, writer = await open_plain(server.addresses[0])
        writer.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nGET / HTTP/1.1\r\n\r\n")
        await until(lambda: server.statistics().handshake_failures)
        writer.close()
    assert "connection from 192.0.2.1:5 via 127.0.0.1:" in caplog.text


async def test_plain_and_tls_endpoints_are_two_servers() -> None:
    with pytest.raises(aionet.OptionError, match="in all of them or in none"):
        await aionet.listen(["tls://127.0.0.1:0", "tcp://127.0.0.1:0"], tls=SERVER)


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_an_end_without_close_notify_is_an_error_unless_asked_for() -> None:
    async def cut(stream: aionet.Stream) -> None:
        await stream.send(b"half a mess")
        await stream.flush()
        stream.get_extra_info("socket")._sock.shutdown(1)  # FIN, and no word of TLS
        await stream.recv()

    async with aionet.serve(LOCAL, cut, tls=SERVER) as server:
        endpoint = f"tls://{server.addresses[0]}"
        async with aionet.connect(endpoint, tls=CLIENT) as stream:
            with pytest.raises(aionet.TruncatedStreamError, match=r"recv on .* without close_notify"):
                b"".join([data async for data in stream])
            with pytest.raises(aionet.TruncatedStreamError):
                await stream.recv()
        async with aionet.connect(endpoint, tls=attrs.evolve(CLIENT, accept_truncation=True)) as stream:
            assert b"".join([data async for data in stream]) == b"half a mess"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_one_half_ends_while_the_other_is_in_full_flow(version: ssl.TLSVersion) -> None:
    much = bytes(range(256)) * 8000

    async def answer(stream: aionet.Stream) -> None:
        async with running(stream.send(much)) as sending:
            assert b"".join([data async for data in stream]) == b"question"
            await sending
            await stream.send(b"the end")

    client = attrs.evolve(CLIENT, maximum_version=version)
    async with aionet.serve(LOCAL, answer, tls=SERVER) as server:
        for _ in range(10):
            async with aionet.connect(f"tls://{server.addresses[0]}", tls=client) as stream:
                await stream.send(b"question")
                assert await stream.recv_into(bytearray(10)) == 10  # a piece of a record: the rest is inside OpenSSL
                await stream.send_eof()
                assert len(b"".join([data async for data in stream])) == len(much) + len(b"the end") - 10


async def test_a_listener_gives_out_those_who_have_shaken_hands() -> None:
    async with aionet.listen(LOCAL, tls=SERVER) as listener, running(listener.accept()) as accepting:
        await turns()
        silent, silent_writer = await open_plain(listener.addresses[0])
        plain, plain_writer = await open_plain(listener.addresses[0])
        plain_writer.write(b"GET / HTTP/1.0\r\n\r\n")
        async with aionet.connect(f"tls://{listener.addresses[0]}", tls=CLIENT) as stream:
            accepted = await accepting
            await stream.send(b"x")
            assert await accepted.recv() == b"x"
            accepted.abort()
        await plain.read()
        assert listener.handshake_failures == 1
        for writer in (silent_writer, plain_writer):
            writer.close()
        assert silent is not None


async def test_a_drain_lets_handshakes_come_to_their_end() -> None:
    async with serving() as (server, endpoint):
        _reader, writer = await open_plain(server.addresses[0])
        async with running(exchange(endpoint, CLIENT)) as exchanging:
            await until(lambda: server.statistics().handshaking == 2)
            async with running(server.drain(0.3)):
                await exchanging
        await until(lambda: server.state is aionet.ServerState.CLOSED)
        assert server.statistics().handshake_failures == 0  # cut off by us
        writer.close()
