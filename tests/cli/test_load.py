"""The demo's load generator, against servers that do as they should and servers that do not."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from aionet.cli.demo.client import Load, LoadError
from tests.certificates import issue

Serve = Callable[[socket.socket], None]


@contextmanager
def served_by(serve: Serve) -> Iterator[tuple[str, int]]:
    """Run ``serve`` in a thread for each connection, and give the address."""
    threads: list[threading.Thread] = []

    def one(sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionError):
            serve(sock)

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listening socket is shut down
            while True:
                sock, _ = listening.accept()
                threads.append(threading.Thread(target=one, args=(sock,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listening.getsockname()
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in [acceptor, *threads]:
                thread.join()


class Echo:
    """Sends back what it receives, in pieces of at most so many bytes, and counts the bytes."""

    def __init__(self, piece: int = 1 << 20) -> None:
        self.piece = piece
        self.pieces: list[int] = []

    @property
    def echoed(self) -> int:
        return sum(self.pieces)

    def __call__(self, sock: socket.socket) -> None:
        while data := sock.recv(self.piece):
            sock.sendall(data)
            self.pieces.append(len(data))


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Serve], Serve]:
    """A server that speaks TLS below another one."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(issue("127.0.0.1"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)

    def wrapped(serve: Serve) -> Serve:
        def over(sock: socket.socket) -> None:
            with context.wrap_socket(sock, server_side=True) as secured:
                serve(secured)

        return over

    return wrapped


@pytest.mark.parametrize("connections", [1, 7])
@pytest.mark.parametrize("piece", [1 << 20, 7])
def test_each_message_that_was_sent_is_counted_when_all_of_it_is_back(connections: int, piece: int) -> None:
    echo = Echo(piece)
    with served_by(echo) as address, closing(Load(address, connections, size=100)) as load:
        latencies = load.drive(0.05)
    assert len(latencies) >= connections
    assert echo.echoed == 100 * len(latencies)
    assert all(latency > 0 for latency in latencies)


def test_each_run_begins_where_the_last_one_ended() -> None:
    echo = Echo()
    with served_by(echo) as address, closing(Load(address, 2, size=10)) as load:
        counted = len(load.drive(0.01)) + len(load.drive(0.01))
    assert echo.echoed == 10 * counted


def test_a_message_larger_than_the_sockets_take_is_sent_piece_by_piece() -> None:
    size = 8 << 20
    echo = Echo()
    with served_by(echo) as address, closing(Load(address, 2, size)) as load:
        counted = len(load.drive(0.01))
    assert echo.echoed == size * counted


def test_another_reply_than_an_echo_is_an_error() -> None:
    with (
        served_by(lambda sock: sock.sendall(bytes(len(sock.recv(100))))) as address,
        closing(Load(address, 1, size=100)) as load,
        pytest.raises(LoadError, match="something else"),
    ):
        load.drive(0.05)


def test_more_than_an_echo_is_an_error() -> None:
    with (
        served_by(lambda sock: sock.sendall(sock.recv(100) + b"!")) as address,
        closing(Load(address, 1, size=100)) as load,
        pytest.raises(LoadError, match="something else"),
    ):
        load.drive(0.05)


def test_a_server_that_closes_is_an_error() -> None:
    with (
        served_by(lambda sock: None) as address,
        closing(Load(address, 3, size=100)) as load,
        pytest.raises((LoadError, ConnectionResetError)),
    ):
        load.drive(0.05)


def test_a_server_that_falls_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.cli.demo.client._PATIENCE", 0.05)

    def listen_only(sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    with (
        served_by(listen_only) as address,
        closing(Load(address, 1, size=100)) as load,
        pytest.raises(LoadError, match=r"no reply .* for 0\.05 s"),
    ):
        load.drive(0.05)


@contextmanager
def datagrams_echoed(*, lose: int = 0) -> Iterator[tuple[str, int]]:
    """Send back datagrams in a thread, all but the first ``lose``, until an empty one comes; give the address."""

    def echo() -> None:
        lost = 0
        while True:
            data, peer = sock.recvfrom(65536)
            if not data:
                return
            lost += 1
            if lost > lose:
                sock.sendto(data, peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        echoing = threading.Thread(target=echo)
        echoing.start()
        try:
            yield sock.getsockname()
        finally:
            sock.sendto(b"", sock.getsockname())
            echoing.join()


def test_each_datagram_is_counted_when_it_is_back() -> None:
    with datagrams_echoed() as address, closing(Load(address, 5, size=100, udp=True)) as load:
        assert len(load.drive(0.05)) >= 5


def test_a_datagram_that_is_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.cli.demo.client._SEND_AGAIN", 0.01)
    with datagrams_echoed(lose=3) as address, closing(Load(address, 3, size=100, udp=True)) as load:
        assert len(load.drive(0.05)) >= 3


def test_nobody_who_echoes_datagrams_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionet.cli.demo.client._PATIENCE", 0.05)
    monkeypatch.setattr("aionet.cli.demo.client._SEND_AGAIN", 0.01)
    with (
        datagrams_echoed(lose=1_000_000) as address,
        closing(Load(address, 3, size=100, udp=True)) as load,
        pytest.raises(LoadError, match=r"no reply .* for 0\.05 s"),
    ):
        load.drive(0.05)


@pytest.mark.parametrize("piece", [1 << 20, 7])
def test_each_message_over_tls_is_counted_when_all_of_it_is_back(
    piece: int, over_tls: Callable[[Serve], Serve]
) -> None:
    echo = Echo(piece)
    with served_by(over_tls(echo)) as address, closing(Load(address, 5, size=100, tls=True)) as load:
        latencies = load.drive(0.05)
    assert len(latencies) >= 5
    assert echo.echoed == 100 * len(latencies)


def test_a_message_over_tls_that_the_socket_does_not_take_at_once_is_sent_whole(
    over_tls: Callable[[Serve], Serve],
) -> None:
    size = 8 << 20
    echo = Echo()
    with served_by(over_tls(echo)) as address, closing(Load(address, 2, size, tls=True)) as load:
        counted = len(load.drive(0.01))
    assert echo.echoed == size * counted


def test_another_reply_over_tls_than_an_echo_is_an_error(over_tls: Callable[[Serve], Serve]) -> None:
    with (
        served_by(over_tls(lambda sock: sock.sendall(bytes(len(sock.recv(100)))))) as address,
        closing(Load(address, 1, size=100, tls=True)) as load,
        pytest.raises(LoadError, match="something else"),
    ):
        load.drive(0.05)


def test_a_server_without_tls_is_an_error() -> None:
    with served_by(lambda sock: sock.sendall(b"hello")) as address, pytest.raises(OSError, match="SSL"):
        Load(address, 1, size=100, tls=True)


def test_the_end_of_whoever_started_it_is_the_end() -> None:
    theirs, ours = os.pipe()
    with (
        served_by(Echo()) as address,
        closing(Load(address, 3, size=100, starter=theirs)) as load,
    ):
        try:
            assert len(load.drive(0.01)) >= 3
            os.close(ours)
            with pytest.raises(LoadError, match="whoever started this is gone"):
                load.drive(3600)
        finally:
            os.close(theirs)
