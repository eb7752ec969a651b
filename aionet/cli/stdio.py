"""stdin and stdout for tasks, whatever they are: a file, a pipe, a terminal, a socket.

No way of watching a descriptor serves all of these: epoll refuses files, and to write to a pipe without ever blocking
takes O_NONBLOCK, which is no property of our descriptor but of what it refers to: the shell, and whoever else shares
the terminal, would find their own writes failing. So each is read or written by a thread of its own with ordinary
blocking calls, one at a time, which hold nothing but a chunk in memory.

The threads are daemons: one that waits for a key press must not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from aionet.errors import AionetError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StandardInput", "StandardOutput", "StandardStreamError", "occupy_standard_descriptors"]

_T = TypeVar("_T")

# What a pipe holds by default (pipe(7)), and what malloc takes from the heap without asking the system.
_CHUNK: Final = 64 * 1024

_STDERR: Final = 2


class StandardStreamError(AionetError, OSError):
    """stdin cannot be read, or stdout not be written to; ``errno`` and ``__cause__`` are the system's."""

    @classmethod
    def of(cls, name: str, error: OSError) -> StandardStreamError:
        """Build the error for the stream of that name."""
        made = cls(error.errno, f"{name}: {error.strerror}")
        made.__cause__ = error
        return made


def occupy_standard_descriptors() -> None:
    """Open what of stdin, stdout and stderr whoever started us has closed, to read nothing and to refuse all writing.

    Else the first sockets would have these numbers, which libuv, for one, does not survive. Call it before the loop.
    """
    while (fd := os.open(os.devnull, os.O_RDONLY)) <= _STDERR:
        pass
    os.close(fd)


class StandardInput:
    """Reads a descriptor, stdin unless it is told another. One task may read at a time."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._ended = False
        self._thread = _Thread[bytes]("stdin")
        self._reading: asyncio.Future[bytes] | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether somebody types it."""
        return os.isatty(self._fd)

    async def read(self) -> bytes:
        """Return what has come, b"" at the end. Cancelled: what comes then is what the next call returns.

        Raises StandardStreamError.
        """
        if self._ended:
            return b""
        if self._reading is None:
            self._reading = self._thread.start(partial(_read, self._fd))
        try:
            data = await asyncio.shield(self._reading)
        except OSError as error:
            self._ended = True
            raise StandardStreamError.of("stdin", error) from error
        self._reading = None
        self._ended = not data
        return data

    def close(self) -> None:
        """End the thread; the descriptor stays open. A read that waits goes on waiting, for nobody."""
        self._thread.end()


class StandardOutput:
    """Writes to a descriptor, stdout unless it is told another."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._thread = _Thread[None]("stdout")

    async def write(self, data: bytes) -> None:
        """Write all of it. Cancelled: it is written all the same.

        Raises StandardStreamError.
        """
        try:
            await self._thread.start(partial(_write, self._fd, data))
        except OSError as error:
            raise StandardStreamError.of("stdout", error) from error

    def close(self) -> None:
        """End the thread; the descriptor stays open."""
        self._thread.end()


class _Thread(Generic[_T]):
    """A thread that makes calls, one after the other, from the first one on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[_T], Callable[[], _T]] | None] = queue.SimpleQueue()
        self._started = False

    def start(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        """Have a call made, and return the future of its result."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, call))
        if not self._started:
            self._started = True
            threading.Thread(target=_work, args=(self._calls,), name=self._name, daemon=True).start()
        return future

    def end(self) -> None:
        """End after the calls that are asked for."""
        self._calls.put(None)


def _work(calls: queue.SimpleQueue[tuple[asyncio.Future[_T], Callable[[], _T]] | None]) -> None:
    while asked := calls.get():
        future, call = asked
        tell: partial[None]
        try:
            tell = partial(_settle, future, future.set_result, call())
        except OSError as error:
            tell = partial(_settle, future, future.set_exception, error)
        try:
            future.get_loop().call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed, and nobody waits any more
            return


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], result: object) -> None:
    if not future.done():
        settle(result)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:  # somebody who shares it has made it non-blocking
            select.select([fd], [], [])


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])
