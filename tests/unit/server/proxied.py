"""A server that takes the PROXY protocol, plain clients that send it headers, and what it has seen."""

from __future__ import annotations

import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from aionet import InetAddress, ProxyHeader, ProxyProtocol, build_proxy_header
from tests.faults.peers import endpoint, receive
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = [
    "CLIENT",
    "HEADER",
    "LOCALHOST",
    "SHORT",
    "TARGET",
    "V1",
    "V2",
    "Scene",
    "both_versions",
    "is_reset",
    "refusals",
    "serving",
]

CLIENT = InetAddress("192.0.2.1", 56324)
TARGET = InetAddress("192.0.2.11", 443)
HEADER = ProxyHeader(source=CLIENT, destination=TARGET)
V1 = build_proxy_header(attrs.evolve(HEADER, version=1))
V2 = build_proxy_header(HEADER, checksum=True)
LOCALHOST = ("127.0.0.0/8", "unix:")
SHORT = 0.05

both_versions = pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])


@attrs.define
class Scene:
    """A server that echoes, and the streams that its handler saw."""

    server: aionet.Server
    streams: list[aionet.Stream] = attrs.field(factory=list)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[socket.socket]:
        address = self.server.addresses[0]
        with socket.socket(address.family) as client:
            client.connect(address.sockaddr)  # it blocks for no time, and nobody resets it meanwhile
            client.setblocking(False)
            yield client

    async def refused(self) -> int:
        """Wait until a connection has been refused; return how many are still open."""
        await until(lambda: self.statistics.refused_headers or self.statistics.refused_proxies)
        return self.statistics.active

    @property
    def statistics(self) -> aionet.ServerStatistics:
        return self.server.statistics()


@asynccontextmanager
async def serving(kind: str = "tcp", *, limit: int | None = None, **options: Any) -> AsyncGenerator[Scene]:
    async def echo(stream: aionet.Stream) -> None:
        scene.streams.append(stream)
        async for data in stream:
            await stream.send(data)

    proxy = ProxyProtocol(**({"mode": "either", "trusted": LOCALHOST} | options))
    limits = aionet.Limits(max_connections=limit)
    async with aionet.serve(endpoint(kind), echo, proxy=proxy, limits=limits) as server:
        scene = Scene(server)
        yield scene


async def is_reset(client: socket.socket) -> None:
    if client.family == socket.AF_UNIX:
        try:
            assert await receive(client, 1) == b""
        except ConnectionResetError:  # what it had sent was not read
            pass
        return
    with pytest.raises(ConnectionResetError):
        await receive(client, 1)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, which must be single lines without tracebacks."""
    assert all(record.levelno == logging.WARNING and not record.exc_info for record in caplog.records)
    return [record.getMessage() for record in caplog.records]
