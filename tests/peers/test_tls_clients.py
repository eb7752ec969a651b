"""openssl s_client and curl, against the examples that speak TLS."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import attrs
import pytest

from tests.certificates import CA, issue, write_pem
from tests.programs import LOOPS, Program, every_loop, run, running
from tests.tools import require_tool

# What a server says of a client that it refuses is one line, and a traceback is none of these. OpenSSL calls its alerts
# by the version of TLS that had them first, or of late by no version.
ALERT = r"(sslv3|tlsv1|ssl/tls) alert"
REASONS = (
    "TLS handshake: unsupported protocol",
    f"TLS handshake: {ALERT} bad certificate",
    "TLS handshake: the certificate: unable to get local issuer certificate",
    rf"recv on \S+ <- \S+: {ALERT} handshake failure",
)


def one_line(*reasons: str) -> str:
    """Return a pattern for a line about a client, for one of these reasons."""
    return rf"connection from 127\.0\.0\.1:\d+: ({'|'.join(reasons)})\n"


@attrs.frozen
class Echo:
    """examples/tls_echo.py, and the files that its clients need."""

    program: Program
    folder: Path

    def s_client(self, *args: str, stdin: bytes = b"hello\n", status: int = 0) -> str:
        """Run openssl's client until it has been answered."""
        command = [require_tool("openssl"), "s_client", "-connect", self.program.address]
        verify = ["-CAfile", str(self.folder / "ca.pem"), "-verify_return_error", "-ign_eof"]
        return run(*command, *verify, *args, stdin=stdin, status=status).decode()

    def talk(self, *args: str) -> str:
        """Run openssl's client until a line has come back: the tickets of TLS 1.3 come before it."""
        command = [require_tool("openssl"), "s_client", "-connect", self.program.address, *args]
        with subprocess.Popen(
            [*command, "-CAfile", str(self.folder / "ca.pem")], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("hello\n")
            process.stdin.flush()
            said = []
            for line in process.stdout:
                said.append(line)
                if line == "hello\n":
                    break
            process.stdin.close()
            said.append(process.stdout.read())
            return "".join(said)


def quiet(*args: str) -> list[str]:
    """Return the options with which s_client sends a Q of its own accord and ends."""
    return [*args, "-no_ign_eof"]


@pytest.fixture(scope="module", params=LOOPS)
def echo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    folder = tmp_path_factory.mktemp("tls")
    files = ["--ca", str(folder / "ca.pem"), "--client", str(folder / "client.pem")]
    options = ["--client-certificate", "optional", "--alpn", "h2", "--alpn", "echo", "--name", "named.test"]
    with running("tls_echo.py", *files, *options, loop=request.param, complains=f"({one_line(*REASONS)})*") as program:
        yield Echo(program, folder)


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_s_client_speaks_both_versions(echo: Echo, version: str) -> None:
    said = echo.s_client(*quiet(f"-tls{version}"))
    assert f"TLSv{version.replace('_', '.')}" in said
    assert "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_s_client_is_refused_with_an_old_version(echo: Echo, version: str) -> None:
    echo.s_client(*quiet(version, "-cipher", "ALL:@SECLEVEL=0"), status=1)
    echo.s_client(*quiet())  # and the next one is served


def test_s_client_agrees_on_a_protocol(echo: Echo) -> None:
    assert "ALPN protocol: echo" in echo.s_client(*quiet("-alpn", "other,echo"))


def test_s_client_verifies_the_name_that_it_connects_to(echo: Echo) -> None:
    said = echo.s_client(*quiet("-servername", "named.test", "-verify_hostname", "named.test"))
    assert "Verification: OK" in said
    assert "hostname mismatch" in echo.s_client(*quiet("-verify_hostname", "other.test"), status=1)


def test_s_client_with_a_strangers_certificate_is_refused(echo: Echo, tmp_path: Path) -> None:
    client = write_pem(tmp_path, "client.pem", issue("client.test"))
    echo.s_client(*quiet("-tls1_2", "-cert", client, "-key", client), status=1)


@pytest.mark.parametrize("command", ["k", "K"], ids=["its own keys", "both ends' keys"])
def test_s_client_changes_keys_in_the_middle(echo: Echo, command: str) -> None:
    """KeyUpdate, RFC 8446 4.6.3: K asks us for one of our own, which has to leave before what we send next."""
    ca = str(echo.folder / "ca.pem")
    client = [require_tool("openssl"), "s_client", "-connect", echo.program.address, "-tls1_3", "-CAfile", ca]
    with subprocess.Popen([*client, "-msg"], stdin=PIPE, stdout=PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said: list[str] = []
        for number in range(3):
            for line, answer in ((f"message {number}", f"message {number}"), (command, "KEYUPDATE")):
                process.stdin.write(f"{line}\n")  # s_client forgets what came in one read with a command
                process.stdin.flush()
                while not said or said[-1] != answer:
                    said.append(next(process.stdout).strip())
        process.stdin.write("Q\n")
        process.stdin.close()
        said += [line.strip() for line in process.stdout]
    assert [line for line in said if line.startswith("message")] == ["message 0", "message 1", "message 2"]
    assert sum(bool(re.match(r">>> .*KeyUpdate", line)) for line in said) == 3
    ours = sum(bool(re.match(r"<<< .*KeyUpdate", line)) for line in said)
    assert ours == (0 if command == "k" else 2)  # the third request has no message behind it


def test_s_client_may_not_renegotiate(echo: Echo) -> None:
    """TLS 1.2: R asks for a new handshake, which a peer could have us compute again and again."""
    ca = str(echo.folder / "ca.pem")
    client = [require_tool("openssl"), "s_client", "-connect", echo.program.address, "-tls1_2", "-CAfile", ca]
    with subprocess.Popen(client, stdin=PIPE, stdout=PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        while next(process.stdout) != "hello\n":
            pass
        process.stdin.write("R\n")
        process.stdin.flush()
        said = process.stdout.read()
    assert "no renegotiation" in said
    echo.s_client(*quiet())  # and the next one is served


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client_resumes_its_session(echo: Echo, version: str, tmp_path: Path) -> None:
    session = str(tmp_path / "session")
    assert re.search(r"^New, ", echo.talk(version, "-sess_out", session), re.MULTILINE)
    assert re.search(r"^Reused, ", echo.talk(version, "-sess_in", session), re.MULTILINE)


def test_s_client_reconnects_five_times(echo: Echo) -> None:
    said = echo.s_client(*quiet("-tls1_2", "-reconnect"))
    assert len(re.findall(r"^Reused, ", said, re.MULTILINE)) == 5


@every_loop
def test_s_client_begins_tls_inside_smtp(loop: str, tmp_path: Path) -> None:
    folder, ca = tmp_path / "mail", tmp_path / "ca.pem"
    with running("smtp_starttls.py", "--folder", str(folder), "--ca", str(ca), loop=loop) as program:
        said = run(
            *(require_tool("openssl"), "s_client", "-connect", program.address, "-starttls", "smtp"),
            *("-CAfile", str(ca), "-verify_return_error", "-crlf", "-ign_eof"),
            stdin=b"EHLO x\nQUIT\n",
        ).decode()
    assert "Verify return code: 0 (ok)" in said
    assert "221 2.0.0 Bye" in said


@every_loop
@pytest.mark.parametrize("options", [(), ("--tls-max", "1.2")])
def test_curl_asks_over_https(loop: str, options: tuple[str, ...], tmp_path: Path) -> None:
    ca = write_pem(tmp_path, "ca.pem", CA)
    pem = write_pem(tmp_path, "server.pem", issue("localhost"))
    distrusted = one_line(f"TLS handshake: {ALERT} unknown ca")
    with running("http_hello.py", "--tls-cert", pem, loop=loop, complains=distrusted) as program:
        url = f"https://localhost:{program.port}/"
        resolve = ["--resolve", f"localhost:{program.port}:127.0.0.1"]
        curl = [require_tool("curl"), "--silent", "--show-error", "--max-time", "10", *resolve, *options]
        assert run(*curl, "--cacert", ca, url, url) == b"Hello, world!\n" * 2
        run(*curl, url, status=60)  # the system does not trust it
        assert run(*curl, "--cacert", ca, "--data-binary", "@-", url, stdin=bytes(300_000)) == b"300000 bytes\n"
