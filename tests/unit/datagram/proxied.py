"""Endpoints behind a proxy, and what a proxy sends them."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aionet
from aionet import InetAddress, ProxyHeader, ProxyProtocol, build_proxy_header
from tests.unit.datagram.endpoints import place

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aionet import Address, DatagramEndpoint, DatagramOptions

__all__ = ["CLIENT", "HEADER", "TARGET", "TRUSTED", "behind_a_proxy", "proxied", "refusals"]

CLIENT = InetAddress("192.0.2.1", 5353)
TARGET = InetAddress("192.0.2.11", 53)
HEADER = ProxyHeader(source=CLIENT, destination=TARGET, type=socket.SOCK_DGRAM)
TRUSTED = ("127.0.0.1", "::1", "unix:")


def proxied(payload: bytes, client: Address = CLIENT, **fields: Any) -> bytes:
    """Return the datagram that a proxy sends for a client."""
    target = TARGET if client.family == socket.AF_INET else client
    header = ProxyHeader(**({"source": client, "destination": target, "type": socket.SOCK_DGRAM} | fields))
    return build_proxy_header(header) + payload


def refusals(caplog: Any) -> list[str]:
    """Return what was logged, which must be lines without tracebacks."""
    assert not any(record.exc_info or "\n" in record.getMessage() for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


@asynccontextmanager
async def behind_a_proxy(
    kind: str = "ipv4", options: DatagramOptions | None = None, **proxy: Any
) -> AsyncGenerator[tuple[DatagramEndpoint, DatagramEndpoint]]:
    """Bind an endpoint that takes headers, and connect the proxy's to it."""
    takes = ProxyProtocol(**({"mode": "v2", "trusted": TRUSTED} | proxy))
    async with (
        aionet.bind_datagram(place(kind), options=options, proxy=takes) as ours,
        aionet.connect_datagram(ours.local) as proxy_s,
    ):
        yield ours, proxy_s
