"""examples/http_hello.py: requests one after the other on a connection, and what is wrong with them in a response."""

import http.client
import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import AUTHORITY, CA, write_pem
from tests.programs import PATIENCE, Program, every_loop, receive_all, running, shared_by_module

HELLO = b"Hello, world!\n"


server = shared_by_module("http_hello.py")


def connection(server: Program) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)


def test_requests_follow_one_another_on_a_connection(server: Program) -> None:
    client = connection(server)
    for method, body, expected in [
        ("GET", None, HELLO),
        ("HEAD", None, b""),
        ("POST", b"x" * 1_000_000, b"1000000 bytes\n"),
        ("POST", iter([b"in", b"chunks"]), b"8 bytes\n"),
        ("GET", None, HELLO),
    ]:
        client.request(method, "/", body=body)
        response = client.getresponse()
        assert response.status == 200
        assert response.read() == expected
        assert response.headers["connection"] is None
    assert client.sock is not None, "the connection was closed in between"
    client.close()


def test_a_method_that_it_does_not_know_is_refused_and_the_connection_goes_on(server: Program) -> None:
    client = connection(server)
    for method in ("PUT", "DELETE"):
        client.request(method, "/", body=b"body")
        response = client.getresponse()
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, POST")
        response.read()
    client.close()


def test_pipelined_requests_are_answered_in_order(server: Program) -> None:
    requests = (
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
        b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    with server.connect() as client:
        client.sendall(requests)
        post, head, get, body = receive_all(client).split(b"\r\n\r\n")
        assert b"\r\ncontent-length: 8" in post
        assert head.startswith(b"3 bytes\nHTTP/1.1 200 OK\r\n")
        assert b"\r\ncontent-length: 14" in head
        assert get.startswith(b"HTTP/1.1 200 OK\r\n")  # right after the head, which has no body
        assert body == HELLO


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"garbage\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),  # no Host
        (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", b"400 Bad Request"),
        (b"HEAD / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 100_000, b"431 Request Header Fields Too Large"),
        (b"GET / HTT", b"400 Bad Request"),  # and then the end
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabc", b"400 Bad Request"),  # and then the end
    ],
)
def test_a_bad_request_is_answered_as_one_and_the_connection_closed(
    server: Program, request_: bytes, status: bytes
) -> None:
    with server.connect() as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        response = receive_all(client)
        assert response.startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert b"\r\nconnection: close\r\n" in response.lower()


def test_a_client_that_ends_between_requests_meets_the_end(server: Program) -> None:
    with server.connect() as client:
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


@every_loop
def test_its_certificate_and_its_key_may_be_two_files(loop: str, tmp_path: Path) -> None:
    issued = AUTHORITY.issue_cert("localhost")
    certificate = write_pem(tmp_path, "certificate.pem", b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    key = write_pem(tmp_path, "key.pem", issued.private_key_pem.bytes())
    context = ssl.create_default_context(cadata=CA.decode())
    with running("http_hello.py", "--tls-cert", certificate, "--tls-key", key, loop=loop) as https:
        client = http.client.HTTPSConnection("localhost", https.port, timeout=PATIENCE, context=context)
        client.request("GET", "/")
        assert client.getresponse().read() == HELLO
        assert isinstance(client.sock, ssl.SSLSocket)
        client.sock.unwrap().close()  # with close_notify: without it the server says that the client's end was none
