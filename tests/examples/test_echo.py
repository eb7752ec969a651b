"""examples/echo.py gives back what it gets."""

import socket
import threading
from pathlib import Path

import pytest

from tests.programs import PATIENCE, every_loop, receive_all, running


@every_loop
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_everything_comes_back_and_the_end_after_it(loop: str, host: str) -> None:
    message = bytes(range(256)) * 4000
    with running("echo.py", "--host", host, loop=loop) as echo, echo.connect() as client:
        assert echo.host == host

        def send() -> None:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert receive_all(client) == message
        sender.join(PATIENCE)


@every_loop
def test_a_unix_socket_serves_as_well_and_its_file_is_gone_afterwards(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with running("echo.py", "--unix", str(path), loop=loop) as echo, echo.connect() as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert not path.exists()


@every_loop
def test_many_clients_are_served_at_once(loop: str) -> None:
    with running("echo.py", loop=loop) as echo:
        clients = [echo.connect() for _ in range(50)]
        try:
            for number, client in enumerate(clients):
                client.sendall(b"client %d" % number)
            for number, client in enumerate(clients):
                assert client.recv(100) == b"client %d" % number
        finally:
            for client in clients:
                client.close()
