"""The server that create_server returns: asyncio.AbstractServer over aionet's accept loop and transports."""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio.trsock import TransportSocket
from contextvars import copy_context
from typing import TYPE_CHECKING

from aionet.address import from_sockaddr
from aionet.errors import TLSError
from aionet.options import SocketOptions
from aionet.system.listen import listen_on_addresses
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_accepted
from aionet.transport.acceptor import Acceptor
from aionet.transport.stream import StreamTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from aionet.system.types import SockAddr
    from aionet.transport.securing import TLSArguments
    from aionet.transport.stream import Keeper
    from aionet.transport.tls import TLSTransport

__all__ = ["TransportServer", "listening_sockets"]

logger = logging.getLogger("aionet")


async def listening_sockets(
    hosts: Iterable[str | None], port: int, family: int, flags: int, options: SocketOptions
) -> list[socket.socket]:
    """Listen on every address of the hosts; port 0 is one port for all of them."""
    addresses = dict.fromkeys(
        [
            address
            for host in hosts
            for address in await resolve(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
        ]
    )
    return [each.sock for each in listen_on_addresses(list(addresses), options)]


class _ServedTransport(StreamTransport):
    """A transport that says when it has ended."""

    __slots__ = ("_keeper",)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        peer: SockAddr,
        protocol: asyncio.BaseProtocol,
        context: Context,
        keeper: Keeper,
    ) -> None:
        self._keeper = keeper
        super().__init__(loop, sock, protocol, peer=peer, context=context)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        super()._call_connection_lost(exc)
        self._keeper.transport_ended(self)

    @property
    def keeper(self) -> Keeper:
        """The server."""
        return self._keeper


class _Transports(set[asyncio.Transport]):
    """The transports of a server, who keep themselves up to date."""

    def __init__(self, ended: Callable[[], None]) -> None:
        super().__init__()
        self._ended = ended

    def transport_ended(self, transport: asyncio.Transport) -> None:
        """As Keeper.transport_ended."""
        self.discard(transport)
        self._ended()

    def transport_replaced(self, former: asyncio.Transport, latter: asyncio.Transport) -> None:
        """As Keeper.transport_replaced."""
        self.discard(former)
        self.add(latter)


class TransportServer(asyncio.AbstractServer):
    """Makes a transport and a protocol for each connection.

    ``close`` stops listening; connections go on. ``wait_closed`` returns when it is closed and the last connection has
    ended, on every Python version: ``close_clients`` and ``abort_clients`` end those that do not end by themselves.
    """

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sockets: list[socket.socket],
        backlog: int,
        tls: TLSArguments,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol_factory = protocol_factory
        self._sockets = sockets
        self._backlog = backlog
        self._tls = tls
        self._handshakes: set[TLSTransport] = set()
        self._acceptors: list[Acceptor] = []
        self._transports = _Transports(self._check_ended)
        self._closed = False
        self._ended = asyncio.Event()
        self._forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<TransportServer sockets={self.sockets!r}>"

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        """The listening sockets; none after close."""
        return () if self._closed else tuple(TransportSocket(sock) for sock in self._sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the server's event loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether connections are being accepted."""
        return bool(self._acceptors)

    async def start_serving(self) -> None:
        """Accept connections. Idempotent."""
        if self._acceptors or self._closed:
            return
        for sock in self._sockets:
            sock.setblocking(False)
            sock.listen(self._backlog)
            acceptor = Acceptor(self._loop, sock, self._accepted)
            acceptor.start()
            self._acceptors.append(acceptor)

    def _accepted(self, sock: socket.socket, peer: SockAddr) -> None:
        prepare_accepted(sock, SocketOptions())
        context = copy_context()  # its own: what one connection's protocol sets, the next one's does not see
        if self._tls.tls is not None:
            self._begin_handshake(sock, peer, context)
            return
        try:
            protocol = context.run(self._protocol_factory)
            transport = _ServedTransport(self._loop, sock, peer, protocol, context, self._transports)
        except Exception as exc:  # noqa: BLE001 - a factory's mistake ends its connection, not the server
            sock.close()
            self._loop.call_exception_handler({"message": "the protocol factory raised", "exception": exc})
            return
        self._transports.add(transport)
        context.run(transport.start)

    def _begin_handshake(self, sock: socket.socket, peer: SockAddr, context: Context) -> None:
        family = sock.family

        def failed(error: OSError) -> None:
            if isinstance(error, TLSError):  # and not cut off by us
                logger.warning("connection from %s: %s", from_sockaddr(family, peer), error)

        def done(error: OSError | None) -> None:
            self._handshakes.discard(transport)
            if error is not None:
                failed(error)
                return
            try:
                transport.set_protocol(context.run(self._protocol_factory))
            except Exception as exc:  # noqa: BLE001 - as above
                transport.abort()
                self._loop.call_exception_handler({"message": "the protocol factory raised", "exception": exc})
                return
            context.run(transport.start)

        try:
            transport = self._tls.server(self._loop, sock, peer, context)
        except TLSError as exc:
            failed(exc)
            return
        transport.kept_by(self._transports)
        self._handshakes.add(transport)
        self._transports.add(transport)
        transport.handshake(self._tls.handshake_timeout, done)

    def _check_ended(self) -> None:
        if self._closed and not self._transports:
            self._ended.set()

    async def serve_forever(self) -> None:
        """Accept connections until cancelled, or until somebody closes the server; then close it and its connections.

        Raises:
            RuntimeError: it is closed already, or serves forever already.

        """
        if self._closed or self._forever is not None:
            message = f"serve_forever: {self!r} is {'closed' if self._closed else 'served by another task'}"
            raise RuntimeError(message)
        await self.start_serving()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()
            self.close_clients()  # or an idle one could hold up the end for ever (cpython#123720)
            await self.wait_closed()

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for acceptor in self._acceptors:
            acceptor.stop()
        self._acceptors.clear()
        for sock in self._sockets:
            sock.close()
        for transport in tuple(self._handshakes):
            transport.abort()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._check_ended()

    def close_clients(self) -> None:
        """Close every connection gracefully."""
        for transport in tuple(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        """Abort every connection."""
        for transport in tuple(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        """Return when the server is closed and its last connection has ended."""
        await self._ended.wait()

    async def __aexit__(self, *exc: object) -> None:
        self.close()
        await self.wait_closed()
