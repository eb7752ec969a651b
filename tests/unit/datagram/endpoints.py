"""Pairs of datagram endpoints of every family."""

from __future__ import annotations

import itertools
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

import aionet

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aionet import DatagramEndpoint, DatagramOptions

__all__ = ["KINDS", "connected", "each_ip", "each_kind", "pair", "place"]

KINDS: Final = ("ipv4", "ipv6", "unix")
each_kind: Final = pytest.mark.parametrize("kind", KINDS)
each_ip: Final = pytest.mark.parametrize("kind", KINDS[:2])
_names: Final = itertools.count()


def place(kind: str) -> str:
    """Return where an endpoint of that kind can be bound that nobody else has."""
    unix = f"unix:@aionet-datagrams-{os.getpid()}-{next(_names)}"
    return {"ipv4": "udp://127.0.0.1:0", "ipv6": "udp://[::1]:0"}.get(kind, unix)


@asynccontextmanager
async def pair(
    kind: str, options: DatagramOptions | None = None
) -> AsyncGenerator[tuple[DatagramEndpoint, DatagramEndpoint]]:
    """Bind two endpoints; the first has the options."""
    async with aionet.bind_datagram(place(kind), options=options) as ours, aionet.bind_datagram(place(kind)) as theirs:
        yield ours, theirs


@asynccontextmanager
async def connected(
    kind: str, options: DatagramOptions | None = None
) -> AsyncGenerator[tuple[DatagramEndpoint, DatagramEndpoint]]:
    """Bind an endpoint, with the options, and connect another to it."""
    async with (
        aionet.bind_datagram(place(kind), options=options) as ours,
        aionet.connect_datagram(ours.local) as theirs,
    ):
        yield ours, theirs
