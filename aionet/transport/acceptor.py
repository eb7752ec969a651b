"""The accept loop of a listening socket, and what it does when accept fails.

Three kinds of failure (accept(2)):

* The connection died before it was accepted: ECONNABORTED, EPERM from a firewall, and the network errors that Linux
  reports for the new socket. They say nothing about the listener. Skip it and go on.
* The process or the system is out of something: descriptors (EMFILE, ENFILE) or memory (ENOBUFS, ENOMEM). The client
  stays in the backlog, and the listener stays readable, so going on would spin and giving up would lose everybody.
  Rest for 100 ms, then go on: by then a connection may have ended. Said once a second at most. Whoever rests keeps
  its place with the poller: to take it again might need a descriptor, and there is none.
* Anything else is a mistake of ours, such as a socket that does not listen: it goes to the loop's exception handler,
  and the listener stops.

How many at once: an event may announce one connection or a thousand. A fixed batch that ends in EAGAIN costs a lone
connection a system call and an exception; one accept an event makes a burst pay a turn of the loop each. So the batch
doubles while it is used up, and falls back to one when it was not.
"""

from __future__ import annotations

import errno
import logging
import socket
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from aionet.system.exhaustion import EXHAUSTED, REST
from aionet.system.poller import READABLE, poller_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aionet.system.types import SockAddr

__all__ = ["Acceptor"]

logger = logging.getLogger("aionet")

# One turn's worth: at some 20 us each, others wait a millisecond.
_MAX_BATCH: Final = 64
_LOG_INTERVAL: Final = 1.0  # seconds

_LOST_BEFORE_ACCEPT: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "EPERM",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
)


def _accepting(sock: socket.socket) -> Callable[[], tuple[socket.socket, SockAddr]]:
    """Return ``sock.accept``, or what does the same for 3 us less.

    It makes the new socket's family and type from those of the listener, which it asks for as enumerations each time.
    """
    accept = getattr(sock, "_accept", None)  # CPython's, and there since 3.0
    if accept is None or type(sock) is not socket.socket:
        return sock.accept
    family, kind, proto = int(sock.family), int(sock.type), sock.proto

    def accept_without_enumerations() -> tuple[socket.socket, SockAddr]:
        fd, peer = accept()
        return socket.socket(family, kind, proto, fileno=fd), peer

    return accept_without_enumerations


class Acceptor:
    """Accepts on one listening socket and hands each connection to ``accepted``.

    It owns the registration with the loop; the socket stays its creator's. ``rests`` counts how often the system was
    out of something.
    """

    __slots__ = (
        "_accept",
        "_accepted",
        "_accepting",
        "_batch",
        "_context",
        "_last_log",
        "_loop",
        "_poller",
        "_rest",
        "_sock",
        "_stopped",
        "rests",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        accepted: Callable[[socket.socket, SockAddr], None],
    ) -> None:
        self._loop = loop
        self._poller = poller_of(loop)
        self._context = copy_context()  # what is accepted inherits it, as from a reader of the loop's
        self._sock = sock
        self._accept = _accepting(sock)
        self._accepted = accepted
        self._batch = 1
        self._accepting = False
        self._stopped = False
        self._rest: asyncio.TimerHandle | None = None
        self._last_log = -_LOG_INTERVAL
        self.rests = 0

    def start(self) -> None:
        """Accept from now on; during a rest, from its end on."""
        if not self._accepting and not self._stopped and self._rest is None:
            self._poller.watch(self._sock.fileno(), READABLE, self._on_readable)
            self._accepting = True

    def pause(self) -> None:
        """Accept nothing more until start; new connections wait in the backlog."""
        self._end_rest()
        self._stop_accepting()

    def stop(self) -> None:
        """Accept nothing more, for ever; call it before the socket is closed. Idempotent."""
        self._end_rest()
        self._accepting = False
        self._stopped = True
        self._poller.forget(self._sock.fileno())

    def accept_waiting(self, room: Callable[[], bool]) -> None:
        """Accept what waits in the backlog right now, as long as there is room: closing the listener would reset it."""
        while room():
            try:
                sock, peer = self._accept()
            except OSError as exc:
                if exc.errno in _LOST_BEFORE_ACCEPT:
                    continue
                return
            sock.setblocking(False)
            self._accepted(sock, peer)

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self._poller.watch(self._sock.fileno(), 0, self._on_readable)

    def _end_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _on_readable(self, events: int) -> None:
        # A pause may come between an event and its callback. One that was not asked for is a hang-up: accept tells why.
        if self._accepting or not events & READABLE:
            self._context.run(self._accept_batch)

    def _accept_batch(self) -> None:
        for _ in range(self._batch):
            try:
                sock, peer = self._accept()
            except (BlockingIOError, InterruptedError):
                self._batch = 1
                return
            except OSError as exc:
                self._failed(exc)
                return
            sock.setblocking(False)
            self._accepted(sock, peer)
            if not self._accepting:  # accepting that one was one too many, or closed the server
                return
        self._batch = min(self._batch * 2, _MAX_BATCH)

    def _failed(self, exc: OSError) -> None:
        if exc.errno in _LOST_BEFORE_ACCEPT:
            return
        if exc.errno not in EXHAUSTED:
            self.stop()
            self._loop.call_exception_handler({"message": "accept failed; the listener stops", "exception": exc})
            return
        self.rests += 1
        self._stop_accepting()
        self._rest = self._loop.call_later(REST, self._rested)
        now = self._loop.time()
        if now - self._last_log >= _LOG_INTERVAL:
            self._last_log = now
            logger.error("accept on %s: %s; clients wait in the backlog", self._sock.getsockname(), exc.strerror)

    def _rested(self) -> None:
        self._rest = None
        self.start()
