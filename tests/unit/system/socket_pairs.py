"""AsyncSockets of every family, unconnected and connected, for the tests of every function."""

from __future__ import annotations

import itertools
import os
import socket
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
    """Send until the kernel takes no more; return how much it took."""
    taken = 0
    while True:
        try:
            taken += sock._sock.send(bytes(65536))
        except BlockingIOError:
            return taken


async def take_all(sock: AsyncSocket) -> bytes:
    """Receive until the end of stream."""
    received = bytearray()
    while data := await sock.recv(65536):
        received += data
    return bytes(received)
