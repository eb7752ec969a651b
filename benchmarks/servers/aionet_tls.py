"""aionet's streams behind TLS: the same handler as in aionet_streams.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aionet
from benchmarks.servers import HOST
from benchmarks.servers._certificate import CHAIN


async def _echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    tls = aionet.TLSConfig(certificate=CHAIN.bytes())
    async with aionet.serve(f"tls://{HOST}:0", _echo, tls=tls) as server:
        yield str(server.addresses[0])
