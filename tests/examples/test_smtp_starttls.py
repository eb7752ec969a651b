"""examples/smtp_starttls.py stores mail, and takes nothing into TLS that came in the clear."""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

import smtp_starttls
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
        assert all(map(client.has_extn, ("starttls", "pipelining", "8bitmime")))
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


ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"
# Of the greeting, the three commands above and DATA.
ACCEPTED = ["220", "250", "250", "250", "354"]


def say(server: Server, *said: bytes) -> list[str]:
    """Say all that a client has to say without waiting, then the end; return the codes of the replies."""
    with server.program.connect() as client:
        for each in said:
            client.sendall(each)
        client.shutdown(socket.SHUT_WR)
        return [line[:3].decode() for line in receive_all(client).splitlines() if line[3:4] == b" "]


def deliver(server: Server, mail: bytes) -> str:
    """Deliver a mail as it is on the wire; return the code of the reply."""
    *before, code, bye = say(server, ENVELOPE, b"DATA\r\n", mail, b".\r\nQUIT\r\n")
    assert (before, bye) == (ACCEPTED, "221")
    return code


def peak(program: Program) -> int:
    """The most memory that the program has had so far, in bytes."""
    high = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{program.process.pid}/status").read_text(), re.MULTILINE)
    assert high is not None
    return int(high[1]) * 1024


@every_loop
def test_commands_that_come_at_once_are_answered_in_order_and_bring_their_mails(loop: str, tmp_path: Path) -> None:
    mail = ENVELOPE + b"DATA\r\nSubject: %d\r\n\r\n.\r\n"
    with serving(loop, tmp_path) as server:
        codes = say(server, mail % 1 + mail % 2 + b"NOOP\r\nQUIT\r\nNOOP\r\n")
        assert codes == [*ACCEPTED, "250", *ACCEPTED[1:], "250", "250", "221"]
        assert sorted(each[-14:] for each in server.mails()) == [b"Subject: %d\r\n\r\n" % number for number in (1, 2)]


@every_loop
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"", b""),
        (b"QUIT\r\nRSET\r\n", b"QUIT\r\nRSET\r\n"),
        (b"\xe9\xff\r\n", b"\xe9\xff\r\n"),
        (b"..\r\n...\r\n.a\r\n", b".\r\n..\r\na\r\n"),
        (b"\n.\n\r.\r\n", b"\n.\n\r.\r\n"),
    ],
)
def test_a_mail_is_stored_as_it_was_before_it_was_sent(loop: str, tmp_path: Path, sent: bytes, stored: bytes) -> None:
    with serving(loop, tmp_path) as server:
        assert deliver(server, b"Subject: x\r\n\r\n" + sent) == "250"
        (mail,) = server.mails()
        assert mail.partition(b"Subject: x\r\n\r\n")[2] == stored


@every_loop
def test_a_line_of_text_may_be_long_and_a_dot_at_its_end_is_no_end_of_the_mail(loop: str, tmp_path: Path) -> None:
    part = smtp_starttls.PART
    lines = [b"x" * (part + more) + end for more in range(-3, 2) for end in (b"\r\n", b".\r\n")]
    text = b"".join(lines) + b"x" * 1_000_000 + b"\r\n"
    with serving(loop, tmp_path) as server:
        assert deliver(server, text) == "250"
        (mail,) = server.mails()
        assert mail.endswith(b"\r\n" + text)


@every_loop
def test_a_mail_takes_about_as_much_memory_as_it_is_long(loop: str, tmp_path: Path) -> None:
    with serving(loop, tmp_path) as server:
        deliver(server, b"\r\n")
        before = peak(server.program)
        assert deliver(server, b"\r\n" * 500_000) == "250"
        assert peak(server.program) - before < 15_000_000


@every_loop
def test_too_much_mail_is_refused_and_the_next_one_is_not(loop: str, tmp_path: Path) -> None:
    most = (b"x" * 1022 + b"\r\n") * (smtp_starttls.MAX_MAIL // 1024)
    with serving(loop, tmp_path) as server:
        assert len(most) == smtp_starttls.MAX_MAIL
        codes = say(server, ENVELOPE, b"DATA\r\n", most, b"\r\n.\r\n", ENVELOPE, b"DATA\r\n", most, b".\r\n")
        assert codes == [*ACCEPTED, "552", *ACCEPTED[1:], "250"]
        assert [mail.endswith(most) for mail in server.mails()] == [True]


@every_loop
def test_a_mail_that_is_said_to_be_too_much_is_refused_before_it_is_sent(loop: str, tmp_path: Path) -> None:
    parameters = {
        b"SIZE=99999999999": "552",
        b"BODY=8BITMIME size=26214401": "552",
        b"SIZE=x": "555",
        b"SIZE=" + b"9" * 1000: "555",
        b"RET=HDRS": "555",
        b"size=26214400 body=8bitmime": "250",
    }
    with serving(loop, tmp_path) as server:
        lines = b"".join(b"MAIL FROM:<a@example.org> %b\r\n" % each for each in parameters)
        codes = say(server, b"EHLO x\r\n", lines, b"RCPT TO:<b@example.org> NOTIFY=NEVER\r\n")
        assert codes == ["220", "250", *parameters.values(), "555"]


@every_loop
def test_too_many_recipients_are_refused_and_the_others_get_their_mail(loop: str, tmp_path: Path) -> None:
    with serving(loop, tmp_path) as server:
        recipients = b"".join(b"RCPT TO:<r%d@example.org>\r\n" % number for number in range(102))
        said = b"EHLO x\r\nMAIL FROM:<>\r\n" + recipients + b"DATA\r\n.\r\n"
        assert say(server, said) == ["220", "250", "250", *["250"] * 100, "452", "452", "354", "250"]
        (mail,) = server.mails()
        assert re.findall(rb"r\d+@", mail) == [b"r%d@" % number for number in range(100)]


@every_loop
@pytest.mark.parametrize("size", [2049, 100_000])
def test_a_command_that_is_too_long_is_answered_and_the_next_one_executed(loop: str, tmp_path: Path, size: int) -> None:
    with serving(loop, tmp_path) as server:
        long = b"x" * (size - 1)
        assert say(server, long, b"\nNOOP\r\n", long, b"\nQUIT\r\n") == ["220", "500", "250", "500", "221"]
        assert say(server, long, b"x") == ["220", "500"]
        assert say(server, (long + b"\n") * 30)[-1] == "421"


@every_loop
def test_a_connection_that_ends_inside_a_mail_leaves_none(loop: str, tmp_path: Path) -> None:
    complaint = r"connection from [^\n]*the stream ended before [^\n]*\n"
    with serving(loop, tmp_path, complaint) as server:
        with server.program.connect() as client:
            client.sendall(ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nQUIT\r\n")
            client.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionResetError):
                receive_all(client)
        assert say(server, b"QUIT\r\n") == ["220", "221"]
        assert list(server.folder.iterdir()) == []
