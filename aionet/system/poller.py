"""Readiness of many descriptors through one registration with the event loop.

``loop.add_reader`` is the portable way to be told that a socket is ready, and on every loop a dear one: asyncio walks
through selectors, handles and contexts for each event, uvloop makes a libuv handle and six ``epoll_ctl`` calls for each
descriptor. And it says too little: on uvloop an event that carries an error (data and then a reset, in one turn) ends
the registration for good, after one call that looks like any other. A transport that waits for the next would wait for
ever.

So the descriptors are in an epoll set of our own, and the set's descriptor, which is readable while one of its members
is ready (epoll(7)), is all that the loop knows. It costs one system call for each turn of the loop, whatever the number
of events, and every loop gives the same events. Where the system has no epoll, ``add_reader`` and ``add_writer`` serve.

The set belongs to a loop for as long as it has members: an empty one is closed, so that nothing is left when the last
connection has ended.
"""

from __future__ import annotations

import select
import weakref
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["READABLE", "WRITABLE", "EpollPoller", "LoopPoller", "Poller", "poller_of"]

# The values of EPOLLIN and EPOLLOUT on Linux, and names for them elsewhere. An error or a hang-up is an event whatever
# was asked for; it is told to whoever waits for anything, and the next system call says what it was.
READABLE: Final = 0x1
WRITABLE: Final = 0x4

# Events taken from the set at a time. What is left makes the loop come back at once, after its other callbacks.
_BATCH: Final = 64


class Poller(Protocol):
    """What tells of readiness."""

    def watch(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        """Call ``callback(events)`` whenever the descriptor is ready, in place of what was asked for it before.

        ``events`` is READABLE, WRITABLE or both.
        """

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer; call it before the descriptor is closed."""


class EpollPoller:
    """An epoll set, watched by the loop while it has members."""

    __slots__ = ("__weakref__", "_callbacks", "_epoll", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[int], object]] = {}

    def watch(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        """As Poller.watch."""
        epoll = self._epoll or self._open()
        if fd not in self._callbacks:
            epoll.register(fd, events)
        else:
            try:
                epoll.modify(fd, events)
            except FileNotFoundError:  # closed unforgotten, and the number is somebody else's now
                epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """As Poller.forget."""
        if self._callbacks.pop(fd, None) is None or self._epoll is None:
            return
        try:
            self._epoll.unregister(fd)
        except OSError:  # closed already, by somebody who should not have
            pass
        if self._callbacks:
            return
        if self._loop.is_closed():
            self._epoll.close()
            self._epoll = None
        else:
            # In the next turn: a program that opens one connection after another keeps its set.
            self._loop.call_soon(self._close_if_empty)

    def _open(self) -> select.epoll:
        epoll = select.epoll()
        self._loop.add_reader(epoll.fileno(), self._dispatch, epoll.poll)  # a closed loop refuses, and the set is gone
        self._epoll = epoll
        return epoll

    def _close_if_empty(self) -> None:
        if self._epoll is not None and not self._callbacks:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _dispatch(self, poll: Callable[[float, int], list[tuple[int, int]]]) -> None:
        callbacks = self._callbacks
        for fd, events in poll(0, _BATCH):
            # One callback may forget a descriptor whose event comes later; a new owner of the same number is told of
            # readiness that is not its own, and finds nothing.
            callback = callbacks.get(fd)
            if callback is None:
                continue
            try:
                callback(events)
            except Exception as exc:  # noqa: BLE001 - as a callback of the loop's own: the others go on
                self._report(exc, callback)

    def _report(self, exc: Exception, callback: Callable[[int], object]) -> None:
        self._loop.call_exception_handler({"message": f"{callback!r} raised", "exception": exc})


class LoopPoller:
    """The loop's own add_reader and add_writer, for systems without epoll."""

    __slots__ = ("__weakref__", "_loop", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, int] = {}

    def watch(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        """As Poller.watch."""
        loop = self._loop
        former = self._watched.get(fd, 0)
        self._watched[fd] = events
        if events & READABLE:
            loop.add_reader(fd, callback, READABLE)
        elif former & READABLE:
            loop.remove_reader(fd)
        if events & WRITABLE:
            loop.add_writer(fd, callback, WRITABLE)
        elif former & WRITABLE:
            loop.remove_writer(fd)

    def forget(self, fd: int) -> None:
        """As Poller.forget."""
        former = self._watched.pop(fd, 0)
        if former & READABLE:
            self._loop.remove_reader(fd)
        if former & WRITABLE:
            self._loop.remove_writer(fd)


# Weak on both sides: a poller refers to its loop, so one that the registry held would keep the loop alive for ever. It
# needs nobody to hold it but the loop that calls it and those who watch something.
_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Poller]] = weakref.WeakKeyDictionary()
_make: Callable[[asyncio.AbstractEventLoop], Poller] = EpollPoller if hasattr(select, "epoll") else LoopPoller


def poller_of(loop: asyncio.AbstractEventLoop) -> Poller:
    """Return the loop's poller, a new one where it has none. It lives as long as somebody refers to it."""
    reference = _pollers.get(loop)
    poller = None if reference is None else reference()
    if poller is None:
        poller = _make(loop)
        _pollers[loop] = weakref.ref(poller)
    return poller
