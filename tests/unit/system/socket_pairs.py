"""AsyncSockets of every family, unconnected and connected, for the tests of every function."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import socket
import sys
import termios
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from aionet import AsyncSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["bound", "connected", "each_family", "fill", "listening", "take_all"]

FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6, "unix": socket.AF_UNIX}
each_family: Final = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)

_names: Final = itertools.count()
_SIOCOUTQNSD: Final = 0x894B  # linux/sockios.h; Python has no name for it


def _free_name(family: int) -> Any:
    if family == socket.AF_UNIX:
        return f"\0aionet-{os.getpid()}-{next(_names)}"
    return ("127.0.0.1", 0) if family == socket.AF_INET else ("::1", 0)


def bound(family: int, type_: int = socket.SOCK_DGRAM) -> AsyncSocket:
    """Return a socket with an address that nobody else has."""
    sock = AsyncSocket(family, type_)
    sock.bind(_free_name(family))
    return sock


def listening(family: int, backlog: int = 16) -> AsyncSocket:
    """Return a stream socket that listens."""
    sock = bound(family, socket.SOCK_STREAM)
    sock.listen(backlog)
    return sock


@asynccontextmanager
async def connected(family: int) -> AsyncGenerator[tuple[AsyncSocket, AsyncSocket]]:
    """Connect two stream sockets, with small buffers, and close them at the end of the block."""
    with listening(family) as listener:
        ours = AsyncSocket(family)
        for sock in (ours, listener):  # what is accepted inherits them
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        await ours.connect(listener.getsockname())
        theirs, _ = await listener.accept()
    with ours, theirs:
        yield ours, theirs


async def fill(sock: AsyncSocket) -> int:
    """Send until the kernel takes no more, and never will while the peer does not read; return how much it took.

    TCP has room once more when the peer's kernel acknowledges what has left, which takes it up to 40 ms.
    """
    taken = 0
    while more := _fill_once(sock):
        taken += more
        while _on_its_way(sock):  # noqa: ASYNC110 - no event tells of an acknowledgement
            await asyncio.sleep(0.001)
    return taken


def _fill_once(sock: AsyncSocket) -> int:
    taken = 0
    while True:
        try:
            taken += sock._sock.send(bytes(65536))
        except BlockingIOError:
            return taken


def _on_its_way(sock: AsyncSocket) -> int:
    """Return how many bytes have left and are not acknowledged: tcp(7), SIOCOUTQ, and without what has not left."""
    if sock.family == socket.AF_UNIX:
        return 0
    unacknowledged = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    unsent = fcntl.ioctl(sock, _SIOCOUTQNSD, bytes(4))
    return int.from_bytes(unacknowledged, sys.byteorder) - int.from_bytes(unsent, sys.byteorder)


async def take_all(sock: AsyncSocket) -> bytes:
    """Receive until the end of stream."""
    received = bytearray()
    while data := await sock.recv(65536):
        received += data
    return bytes(received)
