"""The file of a Unix socket: to take a path, and to give it back.

bind(2) makes a file and close(2) leaves it there, so the next start finds the path taken. Whether somebody still
listens is known only by connecting. Who answers is left alone, and so is whatever is no socket; a file that nobody
answers behind is removed.

Two processes that start at once must not remove each other's file: between its bind and its listen a socket answers as
little as an abandoned one, and between the question and the removal the file may have become another's. So whoever
takes a path locks its folder meanwhile, for some microseconds (flock(2)). Where that cannot be done, or where somebody
holds the lock for long, it is done without.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["SocketFile", "bind_at_path", "listen_at_path"]

# How long to wait for a lock that is held for microseconds: whoever holds it longer is not one of us.
_LOCK_TRIES: Final = 50
_LOCK_PAUSE: Final = 0.01  # seconds


class SocketFile:
    """The file that a bind has just made, which is this process's to remove."""

    __slots__ = ("_made", "_path", "_process")

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()  # daemons change their directory
        self._made = self._path.lstat()
        self._process = os.getpid()

    def remove(self) -> None:
        """Remove it, but not one that somebody has put in its place, and not in a child, which only inherited it.

        Call it before the socket is closed: as long as that is open, no other file can be taken for this one.
        """
        with suppress(OSError):
            if self._process == os.getpid() and os.path.samestat(self._made, self._path.lstat()):
                self._path.unlink()


async def listen_at_path(sock: socket.socket, path: str, backlog: int) -> SocketFile:
    """Bind a Unix socket to a path, in place of a file that a process has left behind, and listen.

    Raises OSError, with EADDRINUSE where somebody answers on the path, or where the file is no socket.
    """
    async with _locked(Path(path).parent):
        file = _bind(sock, path)
        try:
            sock.listen(backlog)
        except BaseException:
            file.remove()
            raise
        return file


async def bind_at_path(sock: socket.socket, path: str) -> SocketFile:
    """Bind a Unix datagram socket to a path, in place of a file that a process has left behind.

    Raises OSError as listen_at_path does.
    """
    async with _locked(Path(path).parent):
        return _bind(sock, path)


def _bind(sock: socket.socket, path: str) -> SocketFile:
    try:
        sock.bind(path)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        _remove_abandoned(Path(path), sock.type)
        sock.bind(path)
    return SocketFile(path)


@asynccontextmanager
async def _locked(folder: Path) -> AsyncGenerator[None]:
    """Be the only process that takes a path in the folder."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:  # not ours to read; if it does not exist, bind will say so
        yield
        return
    try:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_PAUSE)
            except OSError:  # some network file systems have no locks
                break
        yield
    finally:
        os.close(lock)


def _remove_abandoned(path: Path, type_: int) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError(errno.EADDRINUSE, "a file that is no socket has this path")
    with socket.socket(socket.AF_UNIX, type_) as probe:
        probe.setblocking(False)
        error = probe.connect_ex(str(path))
    if error != errno.ECONNREFUSED:  # connected, a full backlog, not ours to know: in each case somebody is there
        raise OSError(errno.EADDRINUSE, "somebody answers on this path")
    path.unlink()
