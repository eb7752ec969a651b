"""trio's streams: one task for each connection, and trio's own loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from benchmarks.servers import HOST, spell


async def _echo(stream: trio.SocketStream) -> None:
    async with stream:
        async for data in stream:  # 64 KiB at most, trio's own choice; it sets TCP_NODELAY, too
            await stream.send_all(data)


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, _echo, 0, host=HOST, backlog=4096))
        yield spell(listeners[0].socket.getsockname())
        nursery.cancel_scope.cancel()
