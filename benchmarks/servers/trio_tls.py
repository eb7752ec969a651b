"""trio's streams behind TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from benchmarks.servers import HOST, spell
from benchmarks.servers._certificate import server_context


async def _echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    # Whoever measures closes the connection without a word of TLS, which https_compatible allows.
    serve = partial(trio.serve_ssl_over_tcp, _echo, 0, server_context(), host=HOST, backlog=4096, https_compatible=True)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve)
        yield spell(listeners[0].transport_listener.socket.getsockname())
        nursery.cancel_scope.cancel()
