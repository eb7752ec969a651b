"""gevent's StreamServer: a greenlet for each connection, and code that looks as if it blocked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

from gevent.server import StreamServer
from gevent.socket import socket

from benchmarks.servers import HOST, spell
from benchmarks.servers.sock import RECV_SIZE


def echo_client(client: socket, _: tuple[str, int]) -> None:
    """Send back what comes."""
    client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    while data := client.recv(RECV_SIZE):
        client.sendall(data)


def _lines(client: socket, _: tuple[str, int]) -> None:
    client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    with client.makefile("rb") as file:
        for line in file:
            client.sendall(line)


@contextmanager
def serve(handler: Callable[[socket, tuple[str, int]], None], **tls: Any) -> Iterator[str]:  # noqa: ANN401  what StreamServer hands to wrap_socket
    """Serve with a handler, and give the address."""
    server = StreamServer((HOST, 0), handler, backlog=4096, **tls)
    server.start()
    try:
        yield spell(server.socket.getsockname())
    finally:
        server.stop()


def echo() -> AbstractContextManager[str]:
    """Echo what comes."""
    return serve(echo_client)


def lines() -> AbstractContextManager[str]:
    """Echo line by line."""
    return serve(_lines)
