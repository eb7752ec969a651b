"""gevent's DatagramServer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from gevent.server import DatagramServer

from benchmarks.servers import HOST, spell


@contextmanager
def udp_echo() -> Iterator[str]:
    """Echo what comes."""

    def echo(data: bytes, peer: tuple[str, int]) -> None:
        server.sendto(data, peer)

    server = DatagramServer((HOST, 0), cast("Any", echo))  # of which its types know only StreamServer's kind
    server.start()
    try:
        yield spell(server.socket.getsockname())
    finally:
        server.stop()
