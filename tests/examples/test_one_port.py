"""examples/one_port.py: each client is served in its own protocol."""

import socket
import ssl
import urllib.request

import attrs
import pytest

import aionet
import one_port
from tests.programs import PATIENCE, Program, receive_all, run, shared_by_module
from tests.tools import require_tool

COMPLAINT = r"connection from [^\n]* (without close_notify|unexpected message)\n"

server = shared_by_module("one_port.py", complains=rf"({COMPLAINT})*")


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def say(server: Program, *pieces: bytes) -> bytes:
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        return receive_all(sock)


def test_http_clients_are_answered_over_http(server: Program) -> None:
    url = f"http://{server.host}:{server.port}/page"
    with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
        assert reply.read() == b"You asked for /page over HTTP.\n"
    assert run(require_tool("curl"), "--silent", "--fail", url) == b"You asked for /page over HTTP.\n"
    assert b"200 OK" in run(require_tool("curl"), "--silent", "--head", url)


@pytest.mark.parametrize("whole", [True, False])
def test_lines_are_answered_line_by_line(server: Program, *, whole: bool) -> None:
    text = b"hi\nGET nothing\r\n\n"
    pieces = [text] if whole else [text[n : n + 1] for n in range(len(text))]
    assert say(server, *pieces) == b"You said: hi\nYou said: GET nothing\nYou said: \n"


def test_a_request_that_comes_byte_by_byte_is_still_a_request(server: Program) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert say(server, *(request[n : n + 1] for n in range(len(request)))).endswith(b"You asked for / over HTTP.\n")


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.0\n\n", b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nHost: x\n\r\n"]
)
def test_a_request_whose_lines_end_without_a_carriage_return_is_still_a_request(server: Program, head: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(head)
        assert receive_all(sock).endswith(b"You asked for / over HTTP.\n")


def test_clients_of_tls_are_served_in_the_protocol_that_they_speak_inside(server: Program) -> None:
    url = f"https://{server.host}:{server.port}/page"
    for version in ("1.2", "1.3"):
        options = ("--silent", "--fail", "--insecure", f"--tlsv{version}", "--tls-max", version)
        answer = run(require_tool("curl"), *options, url)
        assert answer == f"You asked for /page over HTTP and TLSv{version}.\n".encode()
    with server.connect() as plain, unverified().wrap_socket(plain) as sock:
        sock.sendall(b"hi\n")
        assert sock.recv(100) == b"You said: hi\n"


def test_a_handshake_that_comes_byte_by_byte_is_still_one(server: Program) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = unverified().wrap_bio(incoming, outgoing)
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                hello = outgoing.read()
                for n in range(len(hello)):
                    sock.sendall(hello[n : n + 1])
                incoming.write(sock.recv(65536))
        client.write(b"hi\n")
        sock.sendall(outgoing.read())
        answer = b""
        while not answer:
            incoming.write(sock.recv(65536))
            try:
                answer = client.read(100)
            except ssl.SSLWantReadError:  # tickets of the session
                continue
    assert answer == b"You said: hi\n"


def test_what_only_begins_like_tls_is_refused_with_an_alert(server: Program) -> None:
    assert say(server, b"\x16\x03\x01\x00\x05hello").startswith(b"\x15")


@pytest.mark.parametrize("text", [b"", b"half a line", b"GET / HTTP/1.1\r\nHost"])
def test_an_end_inside_a_message_is_no_error_of_the_server(server: Program, text: bytes) -> None:
    assert say(server, text) == b""


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_what_is_too_long_is_refused(server: Program, begin: bytes) -> None:
    assert say(server, begin + b"x" * 16 * 1024) == b"too long: at most 16384 bytes\n"


@pytest.mark.parametrize("said", [b"half a line", b"whole line\n", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_go_on_is_let_go(said: bytes) -> None:
    assert one_port.TIMEOUTS.message is not None
    timeouts = attrs.evolve(one_port.TIMEOUTS, message=one_port.TIMEOUTS.message / 1000)
    serve_client = one_port.handler(one_port.new_certificate())
    async with (
        aionet.serve("tcp://127.0.0.1:0", serve_client, timeouts=timeouts) as server,
        aionet.connect(server.addresses[0]) as client,
    ):
        await client.send(said)
        with pytest.raises(aionet.StreamResetError):
            while await client.recv():
                pass
