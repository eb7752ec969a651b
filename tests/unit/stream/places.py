"""Places to connect to: that answer, that refuse, that are silent."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import aionet
from aionet import InetAddress, Timeouts

if TYPE_CHECKING:
    from collections.abc import Generator

    from aionet.address import EndpointLike

__all__ = ["AT_ONCE", "listening", "listening_unix", "peer_of", "refusing", "resolver_of", "silent"]

AT_ONCE = Timeouts(close=0)


@contextmanager
def listening(host: str = "127.0.0.1", backlog: int = 16) -> Generator[tuple[socket.socket, InetAddress]]:
    """Listen on a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen(backlog)
        sock.setblocking(False)
        yield sock, InetAddress(*sock.getsockname())


@contextmanager
def refusing(host: str = "127.0.0.1") -> Generator[InetAddress]:
    """Hold a port on which nobody listens, so that nobody else does either."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        yield InetAddress(*sock.getsockname())


@contextmanager
def silent() -> Generator[InetAddress]:
    """Hold a port that answers no further connection: its backlog is full, and the kernel drops what asks to get in."""
    with ExitStack() as stack:
        _, address = stack.enter_context(listening(backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address.sockaddr)
        yield address


def resolver_of(*addresses: InetAddress) -> Any:
    """Make a resolver for which every name has these addresses."""

    async def resolve(host: str | None, port: int, **options: Any) -> list[InetAddress]:
        await asyncio.sleep(0)
        return await aionet.resolve(host, port, **options) if host != "example" else list(addresses)

    return resolve


async def peer_of(endpoint: EndpointLike, **options: Any) -> aionet.Address:
    """Connect, and say to whom."""
    async with aionet.connect(endpoint, timeouts=options.pop("timeouts", AT_ONCE), **options) as stream:
        return stream.peer


@contextmanager
def listening_unix(path: str | bytes, backlog: int = 16) -> Generator[socket.socket]:
    """Listen on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(backlog)
        sock.setblocking(False)
        yield sock
