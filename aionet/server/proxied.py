"""The PROXY protocol in front of a connection: read before there is a stream, and off the accept path.

The header is taken off the socket exactly. What follows it may be a ClientHello in the same segment, and OpenSSL reads
the descriptor itself: a byte too much in a buffer of ours, and the handshake fails (cpython#142352, uvloop#707). So
the bytes are looked at (MSG_PEEK) and parsed, and only then received: all of them while the header goes on, since until
its end every byte is the header's, and what is left of it once it is complete. A header that was only looked at until
it is complete would keep the socket readable, and the loop would spin as long as half of one is there.

Mostly the header is there when the connection is accepted, and the server gets the connection in the same call. Else
there is neither a task nor a stream, only a socket, what has come, and a timer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final

from aionet.address import from_sockaddr
from aionet.errors import ProxyProtocolError
from aionet.system.poller import READABLE, poller_of
from aionet.wire.proxy_protocol import max_size_of, parse_proxy_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.system.types import SockAddr
    from aionet.wire.proxy_header import ProxyHeader
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["ProxiedArrivals"]

logger = logging.getLogger("aionet")

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset


class _Arrival:
    """A connection whose header has not come yet: it owns the socket."""

    __slots__ = ("deadline", "peer", "received", "sock")

    def __init__(self, sock: socket.socket, peer: SockAddr) -> None:
        self.sock = sock
        self.peer = peer
        self.received = bytearray()
        self.deadline: asyncio.TimerHandle | None = None


class ProxiedArrivals:
    """Reads the header of each new connection, and hands the connection with it to ``admit``.

    Who is not trusted, and whose header is bad or late, is reset, counted and logged in one line. ``refused`` is called
    after each of those whose header was waited for.
    """

    __slots__ = (
        "_admit",
        "_context",
        "_loop",
        "_max_size",
        "_nobody",
        "_poller",
        "_proxy",
        "_refused",
        "_waiting",
        "refused_headers",
        "refused_proxies",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        proxy: ProxyProtocol,
        admit: Callable[[socket.socket, SockAddr, ProxyHeader], None],
        refused: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._poller = poller_of(loop)
        self._context = copy_context()  # what is admitted inherits it, as what is accepted does from its acceptor
        self._proxy = proxy
        self._max_size = max_size_of(proxy.mode, proxy.max_header)
        self._admit = admit
        self._refused = refused
        self._waiting: dict[int, _Arrival] = {}  # by descriptor
        self._nobody = asyncio.Event()  # set while nobody's header is waited for
        self._nobody.set()
        self.refused_proxies = 0
        self.refused_headers = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self, sock: socket.socket, peer: SockAddr) -> None:
        """Read the header of a connection that has just been accepted."""
        if not self._proxy.trusts(from_sockaddr(sock.family, peer)):
            self.refused_proxies += 1
            _refuse(sock, peer, "the peer is no trusted proxy")
            return
        arrival = _Arrival(sock, peer)
        fd = sock.fileno()
        self._waiting[fd] = arrival
        self._read(fd)
        if fd in self._waiting:
            self._wait(fd, arrival)

    def _wait(self, fd: int, arrival: _Arrival) -> None:
        callback: Callable[[int], None] = partial(self._on_readable, fd)
        callback = partial(self._context.run, callback)  # type: ignore[call-arg]  # the events come with the call
        try:
            self._poller.watch(fd, READABLE, callback)
        except OSError as exc:  # no descriptor for the poller
            self._give_up(fd, exc.strerror or str(exc))
            return
        self._nobody.clear()
        timeout = self._proxy.timeout
        arrival.deadline = self._loop.call_later(timeout, self._give_up, fd, f"no whole header within {timeout:g} s")

    def _on_readable(self, fd: int, _events: int) -> None:
        if fd in self._waiting:  # a deadline may pass between an event and its callback
            self._read(fd)

    def _read(self, fd: int) -> None:
        arrival = self._waiting[fd]
        sock, received = arrival.sock, arrival.received
        try:
            came = sock.recv(self._max_size - len(received), socket.MSG_PEEK)
            if not came:
                self._give_up(fd, f"the peer ended after {len(received)} bytes of the header")
                return
            parsed = parse_proxy_header(received + came, mode=self._proxy.mode, max_size=self._proxy.max_header)
            _receive_exactly(sock, len(came) if parsed is None else parsed[1] - len(received))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._give_up(fd, os.strerror(exc.errno) if exc.errno else str(exc))
            return
        except ProxyProtocolError as exc:
            self._give_up(fd, str(exc))
            return
        if parsed is None:
            received += came
        else:
            self._leave(fd)
            self._admit(sock, arrival.peer, parsed[0])

    def _give_up(self, fd: int, reason: str) -> None:
        arrival = self._leave(fd)
        self.refused_headers += 1
        _refuse(arrival.sock, arrival.peer, reason)
        self._refused()

    def _leave(self, fd: int) -> _Arrival:
        arrival = self._waiting.pop(fd)
        if arrival.deadline is not None:
            arrival.deadline.cancel()
            self._poller.forget(fd)
        if not self._waiting:
            self._nobody.set()
        return arrival

    async def finish(self, deadline: float | None) -> None:
        """Wait until no header is waited for, at most ``deadline`` seconds; refuse the rest, also when cancelled."""
        try:
            async with asyncio.timeout(deadline):
                await self._nobody.wait()
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Refuse all whose header has not come."""
        for fd in list(self._waiting):
            self._give_up(fd, "the server closes, and the header has not come")


def _receive_exactly(sock: socket.socket, count: int) -> None:
    # They are there, but on a Unix socket one recv ends where passed descriptors begin.
    while count:
        count -= len(sock.recv(count))


def _refuse(sock: socket.socket, peer: SockAddr, reason: str) -> None:
    local = "(unknown)"
    with suppress(OSError):
        local = str(from_sockaddr(sock.family, sock.getsockname()))
    if sock.family != socket.AF_UNIX:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
    logger.warning("connection refused: PROXY header on %s <- %s: %s", local, from_sockaddr(sock.family, peer), reason)
