"""Server: accepts on one or several endpoints and runs a handler for each connection. Its life is in life.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aionet.options import Limits, SocketOptions, Timeouts
from aionet.server.admission import default_max_connections
from aionet.server.connections import Connections
from aionet.server.hooks import Hooks, ServerStatistics
from aionet.server.life import ServerBase, ServerState
from aionet.server.proxied import ProxiedArrivals
from aionet.stream.connect import open_stream
from aionet.stream.handshakes import Handshakes
from aionet.stream.listen import open_listening, parse_endpoints, tls_of
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_accepted
from aionet.transport.acceptor import Acceptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection

    from aionet.address import Address, EndpointLike
    from aionet.stream.stream import Stream
    from aionet.system.listen import ListeningSocket
    from aionet.system.resolver import Resolver
    from aionet.system.sockopts import RefusedOption
    from aionet.system.tls_context import ServerTLS
    from aionet.system.types import SockAddr
    from aionet.tls import TLSLike
    from aionet.wire.proxy_header import ProxyHeader
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["Server", "serve"]


def serve(
    endpoints: EndpointLike | Collection[EndpointLike],
    handler: Callable[[Stream], Awaitable[object]],
    *,
    tls: TLSLike | None = None,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    hooks: Hooks | None = None,
    proxy: ProxyProtocol | None = None,
    resolver: Resolver = resolve,
) -> Opening[Server]:
    """Serve ``"tcp://host:port"``, ``"tls://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Or several of them. With ``tls``, a TLSConfig with a certificate or an ssl.SSLContext, all of them speak TLS; a
    handshake that fails, or takes more than 10 s, is counted and logged in one line, and no handler hears of it.

    Either ``server = await serve(...)`` or ``async with serve(...) as server``, which closes it. ``handler(stream)``
    runs in a task for each connection; when it returns, its stream is closed gracefully; when it raises, that is logged
    and the stream aborted. Port 0 is one free port for all addresses of its endpoint. With ``proxy``, each connection
    begins with a PROXY protocol header, from a trusted network; ``stream.peer`` is the client that it names.

    Raises:
        ListenError: an address is taken or not allowed.
        ResolveError: a host has no address.
        AddressError: an endpoint cannot be understood, or not listened on.
        OptionError: ``tls`` cannot be used.
        TypeError: the handler is nothing that can be called.

    """
    if not callable(handler):
        message = f"serve: handler={handler!r}: expected an async function of a stream"
        raise TypeError(message)
    parsed = parse_endpoints(endpoints)
    secure = tls_of(parsed, tls)
    chosen = options or SocketOptions()

    async def open_server() -> Server:
        listening = await open_listening(parsed, chosen, resolver)
        try:
            chosen_limits = timeouts or Timeouts(), limits or Limits()
            return Server(listening, handler, chosen, *chosen_limits, hooks or Hooks(), proxy, secure)
        except BaseException:
            for each in listening:
                each.close()
            raise

    return Opening(open_server)


class Server(ServerBase["Stream"]):
    """A running server. It owns its listening sockets and, until each ends, its connections."""

    def __init__(
        self,
        listening: list[ListeningSocket],
        handler: Callable[[Stream], Awaitable[object]],
        options: SocketOptions,
        timeouts: Timeouts,
        limits: Limits,
        hooks: Hooks,
        proxy: ProxyProtocol | None = None,
        tls: ServerTLS | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(Connections(loop, handler, hooks, self._connection_ended), timeouts.drain)
        self._listening = listening
        self._options = options
        self._timeouts = timeouts
        self._limits = limits
        self._max_connections = limits.max_connections or default_max_connections()
        self._arrivals = (
            None if proxy is None else ProxiedArrivals(self._loop, proxy, self._admit, self._connection_ended)
        )
        self._handshakes: Handshakes | None = None
        if tls is not None:
            self._handshakes = Handshakes(
                self._loop, tls, timeouts, limits, self._draining, self._connections.start, self._connection_ended
            )
        self._acceptors = [Acceptor(self._loop, each.sock, self._accepted) for each in listening]
        for acceptor in self._acceptors:
            acceptor.start()

    def __repr__(self) -> str:
        addresses = ", ".join(map(str, self.addresses))
        return f"<Server {addresses} {self._state.name} connections={len(self._connections)}>"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that are listened on; the ports are those that the system chose."""
        return tuple(each.address for each in self._listening)

    @property
    def refused_options(self) -> tuple[RefusedOption, ...]:
        """The options that the system refused or capped."""
        return tuple(refused for each in self._listening for refused in each.refused)

    @property
    def connections(self) -> tuple[Stream, ...]:
        """The streams that are open now."""
        return self._connections.streams

    def statistics(self) -> ServerStatistics:
        """Return the counts so far."""
        return ServerStatistics(
            accepted=self._connections.accepted,
            active=len(self._connections),
            handler_errors=self._connections.errors,
            aborted=self._connections.aborted,
            accept_rests=sum(acceptor.rests for acceptor in self._acceptors),
            max_connections=self._max_connections,
            refused_proxies=self._arrivals.refused_proxies if self._arrivals is not None else 0,
            refused_headers=self._arrivals.refused_headers if self._arrivals is not None else 0,
            handshaking=len(self._handshakes) if self._handshakes is not None else 0,
            handshake_failures=self._handshakes.failures if self._handshakes is not None else 0,
        )

    def _accepted(self, sock: socket.socket, peer: SockAddr) -> None:
        prepare_accepted(sock, self._options)
        if self._arrivals is None:
            self._admit(sock, peer)
        else:
            self._arrivals.start(sock, peer)
        if not self._has_room():
            for acceptor in self._acceptors:
                acceptor.pause()

    def _admit(self, sock: socket.socket, peer: SockAddr, proxy: ProxyHeader | None = None) -> None:
        # What is on the socket is the client's from its first byte: a header has been taken off it.
        if self._handshakes is not None:
            self._handshakes.start(sock, peer, proxy)
            return
        stream = open_stream(self._loop, sock, peer, self._timeouts, self._limits, self._draining, proxy)
        self._connections.start(stream)

    def _has_room(self) -> bool:
        return len(self._connections) + self._arriving() < self._max_connections

    def _arriving(self) -> int:
        waiting = 0 if self._arrivals is None else len(self._arrivals)
        return waiting if self._handshakes is None else waiting + len(self._handshakes)

    def _connection_ended(self, _: Stream | None = None) -> None:
        if self._state is not ServerState.SERVING:
            self._close_if_empty()
        elif self._has_room():
            for acceptor in self._acceptors:
                acceptor.start()

    def _accept_waiting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.accept_waiting(self._has_room)

    async def _accepted_all(self, deadline: float | None) -> None:
        until = None if deadline is None else self._loop.time() + deadline
        if self._arrivals is not None:
            await self._arrivals.finish(deadline)
        if self._handshakes is not None:
            await self._handshakes.finish(None if until is None else max(0, until - self._loop.time()))

    def _abort(self) -> None:
        if self._arrivals is not None:
            self._arrivals.abort()
        if self._handshakes is not None:
            self._handshakes.abort()
        self._connections.abort()

    def _stop_listening(self) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
        for each in self._listening:
            each.close()

    def _is_empty(self) -> bool:
        return not self._connections and not self._arriving()
