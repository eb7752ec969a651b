"""gevent's DatagramServer."""

from collections.abc import Iterator
from contextlib import contextmanager

from gevent.server import DatagramServer

from benchmarks.servers import HOST, spell


class Echo(DatagramServer):
    """Sends back what comes."""

    def handle(self, data: bytes, address: tuple[str, int]) -> None:
        self.socket.sendto(data, address)


@contextmanager
def udp_echo() -> Iterator[str]:
    """Echo what comes."""
    server = Echo((HOST, 0))
    server.start()
    try:
        yield spell(server.socket.getsockname())
    finally:
        server.stop()
