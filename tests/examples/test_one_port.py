"""examples/one_port.py: each client is served in its own protocol."""

import socket
import ssl
import urllib.request

import pytest

from tests.programs import PATIENCE, Program, receive_all, run, shared_by_module
from tests.tools import require_tool

server = shared_by_module("one_port.py")


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


def test_a_client_of_tls_is_told_in_its_own_protocol_that_there_is_none(server: Program) -> None:
    context = ssl.create_default_context()
    with server.connect() as sock, pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        context.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("text", [b"", b"half a line", b"GET / HTTP/1.1\r\nHost"])
def test_an_end_inside_a_message_is_no_error_of_the_server(server: Program, text: bytes) -> None:
    assert say(server, text) == b""


def test_what_is_too_long_is_refused(server: Program) -> None:
    assert say(server, b"x" * 16 * 1024) == b"too long: at most 16384 bytes\n"
