"""Servers for the load generator: each does one thing, well or badly, in threads with blocking sockets.

They are as far from the code under test as can be: no loop, no aionet.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.programs import PATIENCE
from tests.tools import require_tool

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

Behaviour = Callable[[socket.socket], None]


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def sink(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def source(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x" * 65536)


@contextmanager
def serving(behave: Behaviour, *, unix: Path | None = None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve every client with ``behave``, a thread each; yield the endpoint. An error ends one client only."""
    listener = socket.socket(socket.AF_UNIX) if unix else socket.socket()
    listener.bind(str(unix) if unix else ("127.0.0.1", 0))
    listener.listen(128)
    clients: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError, ValueError):
            if tls is None:
                behave(sock)
            else:
                with tls.wrap_socket(sock, server_side=True) as wrapped:
                    clients.append(wrapped)
                    behave(wrapped)

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.settimeout(PATIENCE)
                clients.append(sock)
                thread = threading.Thread(target=serve, args=(sock,))
                thread.start()
                threads.append(thread)

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    scheme = "tls" if tls else "tcp"
    try:
        yield f"unix:{unix}" if unix else f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        _end(listener)
        acceptor.join(PATIENCE)
        for sock in clients:
            _end(sock)
        for thread in threads:
            thread.join(PATIENCE)


def _end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


@contextmanager
def answering(answer: Callable[[socket.socket, bytes, object], None]) -> Iterator[str]:
    """Hand each datagram to ``answer``, with the socket and the sender; yield the endpoint."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError, ConnectionRefusedError):
                    data, peer = sock.recvfrom(65536)
                    answer(sock, data, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"udp://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            ended.set()
            thread.join(PATIENCE)


def echo_datagram(sock: socket.socket, data: bytes, peer: object) -> None:
    sock.sendto(data, peer)  # type: ignore[call-overload]  # what recvfrom returned


def refused() -> str:
    """An endpoint that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{sock.getsockname()[1]}"


def make_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 and for localhost, with its key in the same file."""
    file, key = folder / "both.pem", folder / "key.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    command = [require_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext", names, "-keyout", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file
