"""examples/smtp_starttls.py stores mail, and takes nothing into TLS that came in the clear."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.programs import PATIENCE, Program, every_loop, receive_all, run, running
from tests.tools import require_tool

MAIL = "Subject: hello\r\n\r\nFirst line\r\n.A line with a dot\r\n"


@attrs.frozen
class Server:
    """The example, its folder, and the authority of its certificate."""

    program: Program
    folder: Path
    ca: Path

    def mails(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.glob("*.eml")]


@contextmanager
def serving(loop: str, tmp_path: Path, complains: str = "") -> Iterator[Server]:
    folder, ca = tmp_path / "mail", tmp_path / "ca.pem"
    with running(
        "smtp_starttls.py", "--folder", str(folder), "--ca", str(ca), loop=loop, complains=complains
    ) as program:
        yield Server(program, folder, ca)


@every_loop
@pytest.mark.parametrize("secure", [True, False])
def test_smtplib_delivers(loop: str, tmp_path: Path, secure: bool) -> None:  # noqa: FBT001 - pytest's
    with (
        serving(loop, tmp_path) as server,
        smtplib.SMTP("localhost", server.program.port, timeout=PATIENCE) as client,
    ):
        client.ehlo()
        assert client.has_extn("starttls")
        if secure:
            client.starttls(context=ssl.create_default_context(cafile=str(server.ca)))
            client.ehlo()
            assert not client.has_extn("starttls")
        assert not client.sendmail("a@example.org", ["b@example.org", "c@example.org"], MAIL)
        (mail,) = server.mails()
    assert mail.startswith(b"Return-Path: <a@example.org>\r\nReceived: from ")
    assert (b"with ESMTPS (TLSv1." in mail) == secure
    assert mail.endswith(MAIL.encode())


@every_loop
def test_swaks_delivers_through_tls(loop: str, tmp_path: Path) -> None:
    with serving(loop, tmp_path) as server:
        said = run(
            require_tool("swaks"),
            "--server",
            f"127.0.0.1:{server.program.port}",
            *("--to", "b@example.org", "--from", "a@example.org", "--tls", "--tls-verify"),
            *("--tls-ca-path", str(server.ca)),
        )
        assert b"TLS started" in said
        assert b"ESMTPS" in server.mails()[0]


@every_loop
def test_commands_that_are_injected_behind_starttls_end_the_connection(loop: str, tmp_path: Path) -> None:
    complaint = r"connection from [^\n]*bytes that came in the clear wait[^\n]*\n"
    with serving(loop, tmp_path, complaint) as server, server.program.connect() as client:
        assert client.recv(1000).startswith(b"220 ")
        client.sendall(b"EHLO x\r\n")
        assert b"STARTTLS" in client.recv(1000)
        client.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
        with pytest.raises(ConnectionResetError):
            receive_all(client)


@every_loop
def test_what_is_no_command_is_answered_and_in_the_end_too_much(loop: str, tmp_path: Path) -> None:
    with serving(loop, tmp_path) as server, server.program.connect() as client:
        client.sendall(b"DATA\r\nRCPT TO:<x>\r\nMAIL FROM:x\r\n" + b"NONSENSE\r\n" * 30)
        client.shutdown(socket.SHUT_WR)
        said = receive_all(client).splitlines()
    assert [line[:3] for line in said[:4]] == [b"220", b"503", b"503", b"503"]
    assert said[-1].startswith(b"421 ")
