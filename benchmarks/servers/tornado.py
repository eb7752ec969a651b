"""Tornado's TCPServer and IOStream."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer

from benchmarks.servers import HOST, READ_SIZE, others_ended, spell


class Echo(TCPServer):
    """Sends back what comes."""

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        stream.set_nodelay(True)
        try:
            while True:
                await stream.write(await stream.read_bytes(READ_SIZE, partial=True))
        except StreamClosedError:
            pass


class Lines(TCPServer):
    """Sends back line by line."""

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        stream.set_nodelay(True)
        try:
            while True:
                await stream.write(await stream.read_until(b"\n"))
        except StreamClosedError:
            pass


@asynccontextmanager
async def serve(server: TCPServer) -> AsyncIterator[str]:
    """Listen, and give the address."""
    sockets = bind_sockets(0, HOST, backlog=4096)
    server.add_sockets(sockets)
    try:
        yield spell(sockets[0].getsockname())
    finally:
        server.stop()
        await others_ended()


def echo() -> AbstractAsyncContextManager[str]:
    """Echo what comes."""
    return serve(Echo(read_chunk_size=READ_SIZE))


def lines() -> AbstractAsyncContextManager[str]:
    """Echo line by line."""
    return serve(Lines())
