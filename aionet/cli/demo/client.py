"""The load generator, alone in its process: many connections, each of which sends a message and waits for its echo.

It is the same for every server, and lean, since it shares the machine with the server: plain sockets, epoll, one
reading of the clock a message. ``python client.py 127.0.0.1:8000 --connections 10 --size 1000 ...``
connects, warms up, says that it is ready as a line of JSON, waits for a line on stdin, measures, and says what it
found; the end of stdin ends it. Between the warm-up and the end of the measurement no message is under way that is not
counted, so that whoever started it can put the server's CPU time against the number of messages exactly.

With ``--udp`` a message is a datagram. One that is lost is sent again when nothing else happens for a while; its time
counts from when it was sent first. With ``--tls`` each connection has done its handshake before the warm-up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import ssl
import sys
import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PATIENCE: Final = 10.0  # seconds without any reply, after which the server is taken for dead

# Larger reads allocate more than malloc keeps at hand, and bring no more at a time over loopback.
_READ_SIZE: Final = 64 * 1024

_WRITABLE_ONLY: Final = select.EPOLLOUT

_SEND_AGAIN: Final = 0.25  # seconds without any reply, after which what has no reply was lost


class LoadError(Exception):
    """The server does not echo."""


class Connection:
    """One client: at most one message under way, whole and unchanged, there and back."""

    __slots__ = ("_epoll", "_payload", "_received", "_sock", "_unsent", "sent_at")

    def __init__(self, sock: socket.socket, payload: bytes, epoll: select.epoll) -> None:
        self._sock = sock
        self._payload = payload
        self._epoll = epoll
        self._received = 0
        self._unsent = memoryview(b"")
        self.sent_at = 0  # ns

    def send(self, now: int) -> None:
        """Send the next message, as much of it as the socket takes at once."""
        self.sent_at = now
        self._received = 0
        sent = self._sock.send(self._payload)
        if sent < len(self._payload):
            self._unsent = memoryview(self._payload)[sent:]
            self._epoll.modify(self._sock, select.EPOLLIN | select.EPOLLOUT)

    def send_rest(self) -> None:
        """Send more of a message that the socket did not take whole."""
        self._unsent = self._unsent[self._sock.send(self._unsent) :]
        if not self._unsent:
            self._epoll.modify(self._sock, select.EPOLLIN)

    def receive(self) -> bool:
        """Receive what there is of the reply; return whether it is all there."""
        payload = self._payload
        data = self._sock.recv(_READ_SIZE)
        if not data:
            raise LoadError("the server closed a connection")
        if not payload.startswith(data, self._received):
            raise LoadError("the server sent back something else than it was sent")
        self._received += len(data)
        return self._received == len(payload)


class TLSConnection(Connection):
    """One client over TLS, whose socket takes and gives whole records, or says that there is none."""

    __slots__ = ("_pending",)

    def __init__(self, sock: ssl.SSLSocket, payload: bytes, epoll: select.epoll) -> None:
        super().__init__(sock, payload, epoll)
        self._pending: Callable[[], int] = sock.pending

    def send(self, now: int) -> None:
        """Send the next message, or begin to."""
        try:
            super().send(now)
        except ssl.SSLWantWriteError:
            # OpenSSL has taken a part of it, does not say how much, and wants the same bytes again.
            self._unsent = memoryview(self._payload)
            self._epoll.modify(self._sock, select.EPOLLIN | select.EPOLLOUT)

    def send_rest(self) -> None:
        """Send more of a message that the socket did not take whole."""
        with contextlib.suppress(ssl.SSLWantWriteError):
            super().send_rest()

    def receive(self) -> bool:
        """Receive what there is of the reply; return whether it is all there."""
        try:
            complete = super().receive()
            while not complete and self._pending():  # epoll knows nothing of what is deciphered already
                complete = super().receive()
        except ssl.SSLWantReadError:  # a part of a record, or a session ticket
            return False
        return complete


class DatagramConnection(Connection):
    """One client over UDP: a message is a datagram, which arrives whole or not at all."""

    __slots__ = ()

    def send(self, now: int) -> None:
        """Send the next message."""
        self.sent_at = now
        self.send_rest()

    def send_rest(self) -> None:
        """Send it again."""
        # Without room in the kernel it is as good as lost.
        with contextlib.suppress(BlockingIOError):
            self._sock.send(self._payload)

    def receive(self) -> bool:
        """Receive the reply, if it is one: what was sent twice may be answered twice."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        if data != self._payload:
            raise LoadError("the server sent back something else than it was sent")
        return True


class Starter:
    """Who has started this process: its end of our stdin."""

    def receive(self) -> bool:
        """Say that it is gone: epoll has reported a hang-up."""
        raise LoadError("whoever started this is gone")


class Load:
    """The connections and what waits for them; ``starter`` hangs up when whoever started this is gone."""

    def __init__(
        self,
        address: tuple[str, int],
        connections: int,
        size: int,
        *,
        udp: bool = False,
        tls: bool = False,
        starter: int | None = None,
    ) -> None:
        self._patience = _SEND_AGAIN if udp else _PATIENCE
        self._exit = contextlib.ExitStack()
        self._epoll = self._exit.enter_context(select.epoll())
        self._connections: dict[int, Connection] = {}
        self._starter: dict[int, Starter] = {}
        with contextlib.suppress(PermissionError):  # of a file, which no epoll takes
            if starter is not None:
                self._epoll.register(starter, 0)  # hang-ups are reported all the same
                self._starter[starter] = Starter()
        payload = os.urandom(size)
        context = _trusting() if tls else None
        for _ in range(connections):
            sock = self._exit.enter_context(_connected(address, udp=udp))
            if context is not None:
                sock = self._exit.enter_context(context.wrap_socket(sock))
            sock.setblocking(False)
            self._epoll.register(sock, select.EPOLLIN)
            if isinstance(sock, ssl.SSLSocket):
                connection: Connection = TLSConnection(sock, payload, self._epoll)
            else:
                connection = (DatagramConnection if udp else Connection)(sock, payload, self._epoll)
            self._connections[sock.fileno()] = connection

    def close(self) -> None:
        """Close every connection."""
        self._exit.close()

    def drive(self, seconds: float) -> array[int]:
        """Keep every connection busy for so long, wait for the last replies, and return each message's ns."""
        connections, poll, clock = self._connections, self._epoll.poll, time.perf_counter_ns
        reported: dict[int, Any] = {**connections, **self._starter}
        latencies = array("q")
        record = latencies.append
        now = clock()
        end = now + int(seconds * 1e9)
        for connection in connections.values():
            connection.send(now)
        busy = set(connections)
        silent = 0.0
        while busy:
            ready = poll(self._patience)
            if not ready:
                silent += self._patience
                if silent >= _PATIENCE:
                    raise LoadError(f"no reply from the server for {_PATIENCE:g} s")
                for fd in busy:
                    connections[fd].send_rest()
                continue
            silent = 0.0
            for fd, events in ready:
                connection = reported[fd]
                if events & select.EPOLLOUT:
                    connection.send_rest()
                if events != _WRITABLE_ONLY and connection.receive() and fd in busy:
                    now = clock()
                    record(now - connection.sent_at)
                    if now < end:
                        connection.send(now)
                    else:
                        busy.remove(fd)
        return latencies


def _connected(address: tuple[str, int], *, udp: bool) -> socket.socket:
    if not udp:
        sock = socket.create_connection(address, _PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(address)
    return sock


def _trusting() -> ssl.SSLContext:
    """How to speak TLS with a server of the demo's own, which is on this machine and has a certificate of nobody's.

    Verifying it would measure nothing of the server.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _say(**values: object) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 - for whoever started it


def _measure(load: Load, seconds: float) -> None:
    cpu, began = time.process_time(), time.perf_counter()
    latencies = load.drive(seconds)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    _say(
        messages=len(latencies),
        seconds=took,
        cpu=cpu,
        latencies_us=sorted(Counter(latency // 1000 for latency in latencies).items()),
    )


def main() -> None:
    """Read the command line and drive the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--warmup", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    try:
        load = Load(
            (host, int(port)),
            arguments.connections,
            arguments.size,
            udp=arguments.udp,
            tls=arguments.tls,
            starter=sys.stdin.fileno(),
        )
        with contextlib.closing(load):
            load.drive(arguments.warmup)
            _say(ready=True)
            if sys.stdin.readline():
                _measure(load, arguments.seconds)
    except (LoadError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
