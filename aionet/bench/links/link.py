"""A link: one client, from connecting to the end of its connection, and over again.

The sockets are driven without transports, straight from aionet's poller. A generator has about ten microseconds for a
message, and needs nothing of what a transport does for its protocol: no flow control, since it writes what it decided
to write; no orderly close; no context for each callback. TCP, Unix sockets and TLS differ in how a connection begins,
and in nothing after that: ssl.SSLSocket has recv and send, too, over the same descriptor.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final

import attrs

from aionet.bench.buckets import MASKS
from aionet.system.poller import READABLE, WRITABLE

if TYPE_CHECKING:
    import asyncio

    from aionet.bench.messages import Messages
    from aionet.bench.pacing import Pacing
    from aionet.bench.plan import Plan
    from aionet.bench.slot import Book
    from aionet.bench.target import Target
    from aionet.system.poller import Poller

__all__ = ["NOT_NOW", "RETRY", "Link", "Run", "reason"]

# What says that a socket has nothing, or takes nothing, at the moment.
NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EINTR})
RETRY: Final = 0.1  # seconds until what failed is tried again: a server that is down is not to be hammered
_BACKLOG_RETRY: Final = 0.001  # seconds; a Unix socket whose backlog is full cannot tell when there is room


def reason(operation: str, error: OSError) -> str:
    """Return what an error is counted as: without addresses and numbers, so that equal ones are one."""
    if isinstance(error, ssl.SSLError):
        return f"{operation}: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return f"{operation}: {error.strerror or error}"


@attrs.define(eq=False)
class Run:
    """What all links of a generator share."""

    loop: asyncio.AbstractEventLoop
    poller: Poller
    plan: Plan
    target: Target
    messages: Messages
    book: Book
    pacing: Pacing
    closing: bool = False

    @property
    def patience(self) -> int:
        """How long a reply may take, in nanoseconds."""
        return int(self.plan.timeout * 1e9)


class Link:
    """One client; what it does once it is connected is its subclass's."""

    __slots__ = ("_began", "_book", "_pacing", "_poller", "_reopening", "_run", "_sock", "_worked", "up")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._book = run.book
        self._pacing = run.pacing
        self._poller = run.poller
        self._sock: socket.socket | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self._began = 0
        self._worked = False  # something came of this connection
        self.up = False

    # --- the subclass's ---------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Connected: begin to work."""
        raise NotImplementedError

    def begin(self, count: int, due: int) -> None:
        """Send so many messages, which are due at that time."""
        raise NotImplementedError

    @property
    def under_way(self) -> int:
        """How many messages are not answered yet."""
        return 0

    @property
    def oldest(self) -> int | None:
        """When the oldest of them was due."""
        return None

    def on_event(self, events: int) -> None:
        """The connection is ready for something."""
        raise NotImplementedError

    # --- the connection ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to connect."""
        self._reopening = None
        self._began = time.monotonic_ns()
        self._worked = False
        try:
            self._sock = self._run.target.socket()
        except OSError as error:
            self.lost(reason("socket", error))
            return
        self._connect(self._sock)

    def _connect(self, sock: socket.socket) -> None:
        error = sock.connect_ex(self._run.target.sockaddr)
        if error == 0:
            self._connected(sock)
        elif error in _UNDER_WAY:
            self._poller.watch(sock.fileno(), WRITABLE, self._on_connect)
        elif error == errno.EAGAIN and sock.family == socket.AF_UNIX:
            self._reopening = self._run.loop.call_later(_BACKLOG_RETRY, self._connect, sock)
        else:
            self.lost(f"connect: {os.strerror(error)}")

    def _on_connect(self, events: int) -> None:
        sock = self.sock
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.lost(f"connect: {os.strerror(error)}")
        else:
            self._connected(sock)

    def _connected(self, sock: socket.socket) -> None:
        self._reopening = None
        if self._run.target.tls is None:
            self._is_up()
            return
        self._poller.forget(sock.fileno())
        try:
            self._sock = self._run.target.wrap(sock)
        except (OSError, ValueError) as error:  # ValueError: the server name
            self.lost(reason("handshake", error) if isinstance(error, OSError) else f"handshake: {error}")
            return
        self._shake_hands(0)

    def _shake_hands(self, events: int) -> None:
        sock = self.sock
        try:
            sock.do_handshake()  # type: ignore[attr-defined]  # an SSLSocket by now
        except ssl.SSLWantReadError:
            self._poller.watch(sock.fileno(), READABLE, self._shake_hands)
        except ssl.SSLWantWriteError:
            self._poller.watch(sock.fileno(), WRITABLE, self._shake_hands)
        except OSError as error:
            self.lost(reason("handshake", error))
        else:
            self._is_up()

    def _is_up(self) -> None:
        took = time.monotonic_ns() - self._began
        book = self._book
        book.connected += 1
        book.setup[took & MASKS[took.bit_length()]] += 1
        sock = self.sock
        if isinstance(sock, ssl.SSLSocket):
            book.resumed += bool(sock.session_reused)
            self._run.target.spoken = self._run.target.spoken or f"{sock.version()} {(sock.cipher() or ['?'])[0]}"
        self.up = True
        self.watch(READABLE)
        self.ready()

    def watch(self, events: int) -> None:
        """Be told of what the connection is ready for."""
        self._poller.watch(self.sock.fileno(), events, self.on_event)

    @property
    def sock(self) -> socket.socket:
        """The socket of the connection that there is."""
        if self._sock is None:
            raise AssertionError("no connection")
        return self._sock

    def lost(self, why: str) -> None:
        """The connection has failed: count it, and open another one."""
        book = self._book
        book.errors[why] += 1
        if self.under_way:
            book.errors["no reply: the connection was lost"] += self.under_way
        self.close()
        if not self._run.closing:
            self._reopening = self._run.loop.call_later(0 if self._worked else RETRY, self.open)

    def close(self) -> None:
        """Close the connection, and open no other."""
        was_up, self.up = self.up, False
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        sock, self._sock = self._sock, None
        if sock is not None:
            if isinstance(sock, ssl.SSLSocket) and self._run.plan.tls.resume and was_up:
                self._run.target.session = sock.session or self._run.target.session
            self._poller.forget(sock.fileno())
            sock.close()
        if was_up:
            self._pacing.lost(self)

    def check(self, now: int, patience: int) -> None:
        """Give up a connection that has waited for longer than ``patience``."""
        if self._sock is None:
            return
        if not self.up:
            if now - self._began > patience:
                self.lost("connect: timed out")
            return
        oldest = self.oldest
        if oldest is not None and now - oldest > patience:
            self.lost(f"no reply within {patience / 1e9:g} s")
