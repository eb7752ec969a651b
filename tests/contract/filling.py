"""More than a connection takes while nobody reads, how to read it all, and options that go with it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from aionet import Limits, SocketOptions, Timeouts
from tests.turns import turns

if TYPE_CHECKING:
    from aionet import Stream

__all__ = ["MUCH", "PATIENT", "QUEUE_ALL", "SMALL_BUFFERS", "SOON", "echo", "receive_all", "receive_all_slowly"]

# Kernel buffers that are soon full, and more than they and the other end's receive buffer (256 KiB) take together.
# Random, so that a piece in the wrong place shows.
SMALL_BUFFERS: Final = SocketOptions(send_buffer=128 * 1024, receive_buffer=128 * 1024)
MUCH: Final = random.Random(1).randbytes(3 << 20)
# No send waits: what the kernel does not take is queued.
QUEUE_ALL: Final = Limits(high_water=1 << 30)
# Only the peer ends a close, or an abort does.
PATIENT: Final = Timeouts(close=None)
# Nothing else ends a close to which the peer does nothing.
SOON: Final = Timeouts(close=0.02)


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


async def echo(stream: Stream) -> None:
    """Send back whatever comes."""
    async for data in stream:
        await stream.send(data)
