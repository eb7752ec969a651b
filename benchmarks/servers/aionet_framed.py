"""aionet's framed streams: messages, whatever bytes they arrive in."""

from contextlib import AbstractAsyncContextManager

import aionet
from benchmarks.servers.aionet_streams import serve

LINES = aionet.Lines()
PREFIXED = aionet.LengthPrefixed(4)


async def _lines(stream: aionet.Stream) -> None:
    framed = stream.framed(LINES)
    async for line in framed:
        await framed.send(line)


async def _prefixed(stream: aionet.Stream) -> None:
    framed = stream.framed(PREFIXED)
    async for message in framed:
        await framed.send(message)


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return serve(_lines)


def prefixed() -> AbstractAsyncContextManager[str]:
    """Echo message by message, each with four bytes of length in front."""
    return serve(_prefixed)
