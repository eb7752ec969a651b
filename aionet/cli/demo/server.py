"""The server that is measured, alone in its process: ``python server.py aionet --loop uvloop``.

It says its address as a line of JSON, answers each line on stdin with the CPU time that it has used so far, and ends
when stdin ends: so it also ends when whoever started it is gone.

It is run as a script, and imports aionet only to serve with it, since what a process has imported decides how fast
asyncio receives. asyncio's transports allocate 256 KiB for each recv. glibc maps and unmaps so much anew each time,
which costs more than all the rest, until something as large has been freed once (man 3 mallopt, M_MMAP_THRESHOLD); from
then on it is kept, and asyncio takes half the time. Importing aionet does that in some runs and not in others, as may
any large import. A program of asyncio alone does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import ssl
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    import aionet

    Serve = Callable[[], AbstractAsyncContextManager[str]]

_HOST: Final = "127.0.0.1"

# What aionet reads at a time by default; asyncio's streams do best with as much.
_READ_SIZE: Final = 256 * 1024
_PATIENCE: Final = 5.0  # seconds for the server to close


async def _echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


@asynccontextmanager
async def _aionet(certificate: str | None = None) -> AsyncGenerator[str]:
    import aionet  # noqa: PLC0415 - not where asyncio alone is measured: see above

    tls = None if certificate is None else aionet.TLSConfig(certificate=certificate)
    async with aionet.serve((_HOST, 0), _echo, tls=tls) as server:
        yield str(server.addresses[0])


async def _streams_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_SIZE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def _streams(certificate: str | None = None) -> AsyncGenerator[str]:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    async with await asyncio.start_server(
        _streams_echo, _HOST, 0, limit=_READ_SIZE, backlog=4096, ssl=context
    ) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


async def _datagram_echo(endpoint: aionet.DatagramEndpoint) -> None:
    async for datagram in endpoint:
        await endpoint.sendto(datagram.data, datagram.peer)


@asynccontextmanager
async def _datagrams() -> AsyncGenerator[str]:
    import aionet  # noqa: PLC0415 - as above

    async with aionet.bind_datagram(f"udp://{_HOST}:0") as endpoint:
        echoing = asyncio.create_task(_datagram_echo(endpoint))
        yield str(endpoint.local)
        echoing.cancel()


class _DatagramEcho(asyncio.DatagramProtocol):
    _transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


@asynccontextmanager
async def _protocol() -> AsyncGenerator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_DatagramEcho, (_HOST, 0))
    try:
        yield "{}:{}".format(*transport.get_extra_info("sockname"))
    finally:
        transport.close()


_SERVERS: Final[dict[str, Serve]] = {
    "aionet": _aionet,
    "streams": _streams,
    "datagrams": _datagrams,
    "protocol": _protocol,
}
_TLS_SERVERS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[str]]]] = {
    "tls": _aionet,
    "streams_tls": _streams,
}


def _new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop  # noqa: PLC0415 - an extra, and not where asyncio is measured

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


def _say(**values: object) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 - for whoever started it


async def _serve(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.fileno()
    ended = asyncio.Event()

    def answer() -> None:
        if os.read(stdin, 4096):
            usage = resource.getrusage(resource.RUSAGE_SELF)
            _say(cpu=usage.ru_utime + usage.ru_stime)
        else:
            loop.remove_reader(stdin)
            ended.set()
            loop.call_later(_PATIENCE, os._exit, 1)  # a server that waits for its clients: nobody else might end it

    async with serve() as address:
        _say(address=address)
        loop.add_reader(stdin, answer)
        await ended.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("server", choices=[*_SERVERS, *_TLS_SERVERS])
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], required=True)
    parser.add_argument("--certificate", help="a file with the certificate and its key, for a server over TLS")
    arguments = parser.parse_args()
    if arguments.server in _TLS_SERVERS:
        if arguments.certificate is None:
            parser.error(f"{arguments.server} needs --certificate")
        serve: Serve = partial(_TLS_SERVERS[arguments.server], arguments.certificate)
    else:
        serve = _SERVERS[arguments.server]
    with asyncio.Runner(loop_factory=lambda: _new_loop(arguments.loop)) as runner:
        runner.run(_serve(serve))


if __name__ == "__main__":
    main()
