"""More than a connection takes while nobody reads, and how to read it all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from aionet import SocketOptions
from tests.turns import turns

if TYPE_CHECKING:
    from aionet import Stream

__all__ = ["MUCH", "SMALL_BUFFERS", "receive_all", "receive_all_slowly"]

# Kernel buffers that are soon full, and more than they and the other end's receive buffer (256 KiB) take together.
# Random, so that a piece in the wrong place shows.
SMALL_BUFFERS: Final = SocketOptions(send_buffer=128 * 1024, receive_buffer=128 * 1024)
MUCH: Final = random.Random(1).randbytes(3 << 20)


async def receive_all(stream: Stream) -> bytes:
    """Receive until the end."""
    return b"".join([data async for data in stream])


async def receive_all_slowly(stream: Stream) -> bytes:
    """Receive until the end, giving the sender time to be blocked again and again."""
    received = []
    while data := await stream.recv(60_000):
        received.append(data)
        await turns(2)
    return b"".join(received)
