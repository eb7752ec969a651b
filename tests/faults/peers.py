"""Plain sockets at the other end of an aionet stream, on the test's own event loop.

They are moved by asyncio's ``sock_`` functions, or by hand, and do only what they are told: a peer that does not read
does not read.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

import aionet

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = [
    "KINDS",
    "address_of",
    "connected",
    "endpoint",
    "every_kind",
    "listening_socket",
    "read_what_is_there",
    "receive",
    "receive_to_end",
    "reset",
]

KINDS: Final = ("tcp", "unix")
every_kind: Final = pytest.mark.parametrize("kind", KINDS)

_names: Final = itertools.count()
_RESET: Final = b"\x01\0\0\0\0\0\0\0"  # struct linger: on, 0 seconds


def listening_socket(kind: str, *, backlog: int = 16, receive_buffer: int | None = None) -> socket.socket:
    """Return a plain non-blocking socket that listens; ``receive_buffer`` bytes for those that it accepts."""
    sock = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    # Without a file: an abstract name ends with its socket.
    sock.bind(("127.0.0.1", 0) if kind == "tcp" else f"\0aionet-{os.getpid()}-{next(_names)}")
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> aionet.Address:
    """Return what to connect to."""
    name: Any = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return aionet.UnixAddress(name)
    return aionet.InetAddress(*name)


def endpoint(kind: str) -> str:
    """Return where to listen: a free port, or a name that nobody has."""
    return "tcp://127.0.0.1:0" if kind == "tcp" else f"unix:@aionet-{os.getpid()}-{next(_names)}"


@asynccontextmanager
async def connected(
    kind: str, *, receive_buffer: int | None = None, **settings: Any
) -> AsyncGenerator[tuple[aionet.Stream, socket.socket]]:
    """Connect a stream, with ``settings`` for aionet.connect, to a plain socket; abort and close at the end."""
    with listening_socket(kind, receive_buffer=receive_buffer) as listening:
        stream = await aionet.connect(address_of(listening), **settings)
        peer, _ = await asyncio.get_running_loop().sock_accept(listening)
    try:
        with peer:
            yield stream, peer
    finally:
        stream.abort()


async def receive(peer: socket.socket, count: int) -> bytes:
    """Receive ``count`` bytes; fewer only where the end comes first."""
    received = bytearray()
    while len(received) < count:
        data = await asyncio.get_running_loop().sock_recv(peer, count - len(received))
        if not data:
            break
        received += data
    return bytes(received)


async def receive_to_end(peer: socket.socket) -> bytes:
    """Receive until the end of stream; a reset raises ConnectionResetError."""
    received = bytearray()
    while data := await asyncio.get_running_loop().sock_recv(peer, 1 << 20):
        received += data
    return bytes(received)


def read_what_is_there(peer: socket.socket) -> bytes:
    """Read until the kernel has no more, without waiting."""
    received = bytearray()
    while True:
        try:
            data = peer.recv(1 << 20)
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.ECONNRESET):
                raise
            return bytes(received)
        if not data:
            return bytes(received)
        received += data


def reset(peer: socket.socket) -> None:
    """Close with a reset, where the kind has one."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    peer.close()
