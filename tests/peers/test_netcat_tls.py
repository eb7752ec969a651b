"""``aionet connect``, ``aionet listen`` and ``aionet serve`` over TLS, with openssl at the other end and each other."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import attrs
import pytest
import trustme
from click.testing import CliRunner

from aionet.cli.app import main
from tests.certificates import CA, NAME, issue, write_pem
from tests.commands import aionet, running
from tests.programs import PATIENCE, every_loop
from tests.tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

ECHO = "async def echo(stream):\n    async for data in stream:\n        await stream.send(data)\n"
FREE_PORT = "tls://127.0.0.1:0"


@attrs.frozen
class Files:
    """Certificates, as the programs want them: in files."""

    ca: str
    server: str
    client: str
    other_ca: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("certificates")
    return Files(
        write_pem(folder, "ca.pem", CA),
        write_pem(folder, "server.pem", issue(NAME, "127.0.0.1")),
        write_pem(folder, "client.pem", issue("client.test")),
        write_pem(folder, "other.pem", trustme.CA().cert_pem.bytes()),
    )


@every_loop
@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_answers_to_connect(files: Files, loop: str, version: str) -> None:
    openssl = [require_tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", files.server, "-rev"]
    with subprocess.Popen([*openssl, f"-{version}", "-alpn", "b,a"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = next(line for line in server.stdout if line.startswith("ACCEPT")).strip().rpartition(":")[2]
            command = ["connect", f"tls://127.0.0.1:{port}", "--ca", files.ca, "--alpn", "a", "--json", "--loop", loop]
            with running(*command) as client:
                client.stdin.write(b"desserts\n")
                assert client.stdout.read(9) == b"stressed\n"
                tls = json.loads(client.hear("connected"))["tls"]
                assert (tls["version"], tls["alpn"]) == (version.replace("tls1_", "TLSv1."), "a")
                assert client.end().status == 0
        finally:
            server.kill()


@every_loop
def test_openssl_is_a_client_of_listen(files: Files, loop: str) -> None:
    with running("listen", FREE_PORT, "--tls-cert", files.server, "--loop", loop) as server:
        openssl = [
            require_tool("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port()}", "-CAfile", files.ca,
            "-verify_return_error", "-verify_hostname", NAME, "-quiet",
        ]  # fmt: skip
        with subprocess.Popen(
            openssl, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"request")
            assert server.stdout.read(7) == b"request"
            server.stdin.write(b"reply")
            server.stdin.close()
            assert client.stdout.read() == b"reply"
        assert server.process.wait(PATIENCE) == 0


@every_loop
def test_each_half_ends_on_its_own_over_tls_and_a_unix_socket(files: Files, loop: str, tmp_path: Path) -> None:
    endpoint, much = f"unix:{tmp_path / 'socket'}", bytes(range(256)) * 8000
    with (
        (tmp_path / "out").open("wb") as stdout,
        running("listen", endpoint, "--tls-cert", files.server, "--loop", loop, stdout=stdout) as server,
    ):
        server.hear("listening")
        server.stdin.close()
        tls = ["--tls", "--server-name", NAME, "--ca", files.ca]
        assert aionet("connect", endpoint, *tls, "--loop", loop, stdin=much).status == 0
        assert server.end().status == 0
    assert (tmp_path / "out").read_bytes() == much


@every_loop
def test_serve_speaks_tls(files: Files, loop: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ECHO)
    command = ["serve", "app:echo", "--bind", FREE_PORT, "--tls-cert", files.server, "--loop", loop]
    with running(*command, cwd=tmp_path) as server:
        endpoint = f"tls://127.0.0.1:{server.port()}"
        done = aionet("connect", endpoint, "--ca", files.ca, "--sni", NAME, stdin=b"echo")
        assert (done.status, done.output, done.errors) == (0, b"echo", "")
        server.process.send_signal(signal.SIGTERM)
        assert server.end().status == 0


def test_who_is_not_to_be_trusted_gets_nothing(files: Files) -> None:
    with running("listen", FREE_PORT, "--tls-cert", files.server, "--keep-open") as server:
        endpoint = f"tls://127.0.0.1:{server.port()}"
        server.stdin.close()
        unknown = aionet("connect", endpoint, "--ca", files.other_ca, stdin=b"secret")
        assert (unknown.status, unknown.output) == (1, b"")
        assert "certificate" in unknown.errors
        misnamed = aionet("connect", endpoint, "--ca", files.ca, "--server-name", "other.test", stdin=b"secret")
        assert misnamed.status == 1
        assert "other.test" in misnamed.errors
        server.process.send_signal(signal.SIGTERM)
        assert server.end().output == b""


def test_verification_is_turned_off_loudly(files: Files) -> None:
    with running("listen", FREE_PORT, "--tls-cert", files.server) as server:
        endpoint = f"tls://127.0.0.1:{server.port()}"
        server.stdin.close()
        done = aionet("connect", endpoint, "--insecure-skip-verification", stdin=b"whatever")
        assert done.status == 0
        assert done.errors == "The certificate is not looked at: anybody in between can be the peer.\n"
        assert server.end().output == b"whatever"


def test_the_check_of_the_name_alone_can_be_turned_off(files: Files) -> None:
    with running("listen", FREE_PORT, "--tls-cert", files.server) as server:
        endpoint = f"tls://127.0.0.1:{server.port()}"
        server.stdin.close()
        options = ["--ca", files.ca, "--server-name", "other.test", "--insecure-skip-hostname-check"]
        assert aionet("connect", endpoint, *options, stdin=b"named otherwise").status == 0
        assert server.end().output == b"named otherwise"


def test_only_clients_with_a_certificate_are_let_in_where_that_was_asked_for(files: Files) -> None:
    command = ["listen", FREE_PORT, "--tls-cert", files.server, "--client-ca", files.ca, "--keep-open", "--json"]
    with running(*command) as server:
        endpoint = json.loads(server.hear("listening"))["addresses"][0]
        server.stdin.close()
        connect = ["connect", f"tls://{endpoint}", "--ca", files.ca]
        assert aionet(*connect, stdin=b"nobody").status == 1
        assert aionet(*connect, "--tls-cert", files.client, stdin=b"somebody").status == 0
        server.process.send_signal(signal.SIGTERM)
        assert server.end().output == b"somebody"


def test_a_connection_that_is_cut_off_is_status_1(files: Files) -> None:
    """An end without close_notify may be an attacker's: what came is written, and it is an error."""
    openssl = [require_tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", files.server]
    with subprocess.Popen(openssl, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = next(line for line in server.stdout if line.startswith(b"ACCEPT")).decode().strip().rpartition(":")[2]
        with running("connect", f"tls://127.0.0.1:{port}", "--ca", files.ca) as client:
            server.stdin.write(b"half of a messa\n")
            server.stdin.flush()
            assert client.stdout.read(16) == b"half of a messa\n"
            server.kill()
            assert client.process.wait(PATIENCE) == 1
            assert "close_notify" in client.hear("aionet:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["connect", "tcp://127.0.0.1:1", "--alpn", "h2"], "--alpn is for TLS"),
        (["connect", "tls://127.0.0.1:1", "--ca", "/nowhere.pem"], "'/nowhere.pem' does not exist"),
        (["listen", "tls://127.0.0.1:0"], "tls:// needs a certificate"),
        (["listen", "tcp://127.0.0.1:0", "--client-ca", __file__], "need --tls-cert"),
    ],
)
def test_what_does_not_go_together_is_status_2(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_a_file_that_is_no_certificate_is_status_2() -> None:
    done = aionet("listen", FREE_PORT, "--tls-cert", __file__)
    assert done.status == 2
    assert f"certificate='{__file__}'" in done.errors
    assert "expected a certificate and its key in PEM" in done.errors
