"""anyio's streams behind TLS, on its asyncio backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener, TLSStream

from benchmarks.servers import HOST, READ_SIZE, spell
from benchmarks.servers._certificate import server_context


async def _echo(stream: TLSStream) -> None:
    async with stream:
        try:
            while True:
                await stream.send(await stream.receive(READ_SIZE))
        except anyio.EndOfStream:
            pass


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Echo what comes."""
    async with (
        await anyio.create_tcp_listener(local_host=HOST, local_port=0, backlog=4096) as plain,
        anyio.create_task_group() as tasks,
    ):
        # Whoever measures closes the connection without a word of TLS.
        listener = TLSListener(plain, server_context(), standard_compatible=False)
        tasks.start_soon(listener.serve, _echo)
        address = plain.listeners[0].extra(SocketAttribute.local_address)  # noqa: S610  not Django's
        yield spell((str(address[0]), int(address[1])))
        tasks.cancel_scope.cancel()
