"""examples/proxy.py relays bytes, ends, resets and waiting."""

import select
import socket
import struct
from collections.abc import Iterator

import pytest

import aionet
from tests.programs import PATIENCE, Program, every_loop, receive_all, running

CHUNK = bytes(65536)
# How long a socket must refuse to be written to, in seconds, to count as blocked.
BLOCKED = 0.5
# Far below what was on its way and far above what Python itself needs from one moment to the next.
MEMORY = 8 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening socket, which the relay is told to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


def address(target: socket.socket) -> str:
    host, port = target.getsockname()
    return f"tcp://{host}:{port}"


def accept(target: socket.socket) -> socket.socket:
    upstream, _ = target.accept()
    upstream.settimeout(PATIENCE)
    return upstream


def send_until_blocked(sock: socket.socket) -> int:
    sent = 0
    while select.select([], [sock], [], BLOCKED)[1]:
        sent += sock.send(CHUNK)
    return sent


@every_loop
def test_each_half_ends_on_its_own(loop: str, target: socket.socket) -> None:
    with (
        running("proxy.py", address(target), loop=loop) as proxy,
        proxy.connect() as client,
        accept(target) as upstream,
    ):
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(upstream) == b"request"
        upstream.sendall(b"reply")
        assert client.recv(100) == b"reply"
        upstream.sendall(b", and more")
        upstream.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b", and more"


@every_loop
@pytest.mark.parametrize("slow", ["target", "client"])
def test_who_does_not_read_holds_up_who_sends_and_costs_no_memory(loop: str, slow: str, target: socket.socket) -> None:
    with (
        running("proxy.py", address(target), loop=loop) as proxy,
        proxy.connect() as client,
        accept(target) as upstream,
    ):
        sender, receiver = (client, upstream) if slow == "target" else (upstream, client)
        sender.sendall(b"x")
        assert receiver.recv(1) == b"x"
        before = proxy.memory()
        sent = send_until_blocked(sender)
        assert sent > len(CHUNK)
        assert proxy.memory() - before < MEMORY
        sender.shutdown(socket.SHUT_WR)
        assert len(receive_all(receiver)) == sent


@every_loop
@pytest.mark.parametrize("broken", ["client", "target"])
def test_a_reset_on_one_side_is_a_reset_on_the_other(loop: str, broken: str, target: socket.socket) -> None:
    with (
        running("proxy.py", address(target), loop=loop) as proxy,
        proxy.connect() as client,
        accept(target) as upstream,
    ):
        breaks, learns = (client, upstream) if broken == "client" else (upstream, client)
        breaks.sendall(b"x")
        assert learns.recv(1) == b"x"
        breaks.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        breaks.close()
        with pytest.raises(ConnectionResetError):
            learns.recv(1)


@every_loop
def test_a_client_whose_target_cannot_be_reached_is_closed_and_the_relay_goes_on(
    loop: str, target: socket.socket
) -> None:
    gone = address(target)
    target.close()
    complaint = r"connection from 127\.0\.0\.1:\d+: [^\n]*refused[^\n]*\n"
    with running("proxy.py", gone, loop=loop, complains=complaint * 2) as proxy:
        for _ in range(2):
            with pytest.raises(ConnectionResetError), proxy.connect() as client:  # the reset may come while it connects
                client.recv(1)


@every_loop
def test_two_clients_do_not_hold_each_other_up(loop: str, target: socket.socket) -> None:
    def exchange(proxy: Program) -> None:
        with proxy.connect() as client, accept(target) as upstream:
            client.sendall(b"ping")
            assert upstream.recv(100) == b"ping"

    with (
        running("proxy.py", address(target), loop=loop) as proxy,
        proxy.connect() as blocked,
        accept(target) as upstream,
    ):
        send_until_blocked(blocked)
        exchange(proxy)
        upstream.close()


def first_of(upstream: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        received += upstream.recv(count - len(received))
    return received


@every_loop
@pytest.mark.parametrize("version", [1, 2])
def test_the_target_is_told_who_the_client_is(loop: str, version: int, target: socket.socket) -> None:
    with (
        running("proxy.py", "--send-proxy", f"v{version}", address(target), loop=loop) as proxy,
        proxy.connect() as client,
        accept(target) as upstream,
    ):
        client.sendall(b"hello")
        header = aionet.build_proxy_header(
            aionet.ProxyHeader(
                version=version,
                source=aionet.InetAddress(*client.getsockname()),
                destination=aionet.InetAddress(proxy.host, proxy.port),
            )
        )
        assert first_of(upstream, len(header) + 5) == header + b"hello"


@every_loop
def test_what_a_trusted_proxy_says_of_the_client_is_passed_on(loop: str, target: socket.socket) -> None:
    line = b"PROXY TCP4 192.0.2.1 192.0.2.11 56324 443\r\n"
    options = ("--accept-proxy", "127.0.0.0/8", "--send-proxy", "v1")
    with (
        running("proxy.py", *options, address(target), loop=loop) as proxy,
        proxy.connect() as client,
    ):
        client.sendall(line + b"hello")
        with accept(target) as upstream:
            assert first_of(upstream, len(line) + 5) == line + b"hello"


@every_loop
def test_who_is_not_trusted_or_brings_no_header_is_refused(loop: str, target: socket.socket) -> None:
    for network, complaint in ("192.0.2.0/24", "no trusted proxy"), ("127.0.0.1", "not a PROXY header"):
        complains = rf"connection refused: PROXY header on [\d.:]+ <- 127\.0\.0\.1:\d+: [^\n]*{complaint}[^\n]*\n"
        options = ("--accept-proxy", network)
        with (
            running("proxy.py", *options, address(target), loop=loop, complains=complains) as proxy,
            pytest.raises((ConnectionResetError, BrokenPipeError)),
            proxy.connect() as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            client.recv(1)
