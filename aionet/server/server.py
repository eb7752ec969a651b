"""Server: accepts on one or several endpoints and runs a handler for each connection.

serving -> draining -> closed. Draining loses nothing that it need not: what waits in the backlog is accepted, then the
listening sockets close, the handlers are told (``stream.draining``) and have until the deadline.
"""

from __future__ import annotations

import asyncio
import signal
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Self

import attrs

from aionet.options import Limits, SocketOptions, Timeouts
from aionet.server.admission import default_max_connections
from aionet.server.connections import Connections, logger
from aionet.server.hooks import Hooks, ServerStatistics
from aionet.server.proxied import ProxiedArrivals
from aionet.server.signals import handled
from aionet.stream.connect import open_stream
from aionet.stream.handshakes import Handshakes
from aionet.stream.listen import open_listening, parse_endpoints, tls_of
from aionet.stream.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_accepted
from aionet.transport.acceptor import Acceptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from types import TracebackType

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

__all__ = ["DrainResult", "Server", "ServerState", "serve"]

# A handler that was cancelled needs some turns of the loop; one that ignores it is not waited for.
_CANCEL_TIMEOUT: Final = 1.0  # seconds


class ServerState(Enum):
    """Where a server stands."""

    SERVING = auto()
    DRAINING = auto()
    CLOSED = auto()


@attrs.frozen
class DrainResult:
    """What became of the connections that were open when draining began: how many finished, how many were cut off."""

    finished: int
    aborted: int


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


class Server:
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
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._options = options
        self._timeouts = timeouts
        self._limits = limits
        self._max_connections = limits.max_connections or default_max_connections()
        self._draining = asyncio.Event()
        self._closed = asyncio.Event()
        self._state = ServerState.SERVING
        self._connections = Connections(self._loop, handler, hooks, self._connection_ended)
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
    def state(self) -> ServerState:
        """Serving, draining or closed."""
        return self._state

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

    def _connection_ended(self) -> None:
        if self._state is not ServerState.SERVING:
            self._close_if_empty()
        elif self._has_room():
            for acceptor in self._acceptors:
                acceptor.start()

    async def serve_forever(self, signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        """Return when the server is closed.

        The first of ``signals`` drains, for at most ``timeouts.drain`` seconds; a second one aborts. Cancelled: the
        server goes on, for whoever cancelled to close it.
        """
        drains: list[asyncio.Task[DrainResult]] = []

        def on_signal() -> None:
            if drains:
                self._abort()
            else:
                drains.append(self._loop.create_task(self.drain()))

        with handled(signals, on_signal):
            await self._closed.wait()

    async def drain(self, deadline: float | None = None) -> DrainResult:
        """Stop accepting, tell the handlers, wait ``deadline`` seconds (default: timeouts.drain), abort what is left.

        Returns how many of the connections finished and how many were aborted. Cancelled: what is left is aborted. From
        inside a handler its own connection is left out: it ends when the handler returns, and the server with it.
        """
        if self._state is ServerState.SERVING:
            for acceptor in self._acceptors:
                acceptor.accept_waiting(self._has_room)
        self._stop_listening()
        timeout = self._timeouts.drain if deadline is None else deadline
        until = None if timeout is None else self._loop.time() + timeout
        others, before = set(self._connections.others()), self._connections.aborted
        try:
            if self._arrivals is not None:
                await self._arrivals.finish(timeout)
            if self._handshakes is not None:
                await self._handshakes.finish(None if until is None else max(0, until - self._loop.time()))
            others.update(self._connections.others())
            if others:
                await asyncio.wait(others, timeout=None if until is None else max(0, until - self._loop.time()))
        finally:
            self._abort()
        await self._others_ended()
        aborted = self._connections.aborted - before
        return DrainResult(finished=len(others) - aborted, aborted=aborted)

    async def aclose(self) -> None:
        """Stop listening and abort every connection; ``drain`` is the gentle way. Idempotent.

        Cancelled: it is closed all the same. From inside a handler its own connection is left out, as in ``drain``.
        """
        self._stop_listening()
        self._abort()
        await self._others_ended()

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
        if self._state is ServerState.SERVING:
            self._state = ServerState.DRAINING
            self._draining.set()
            self._close_if_empty()

    def _close_if_empty(self) -> None:
        # Not where drain and aclose end: they may be cancelled, and whoever waits for the server is to be told.
        if not self._connections and not self._arriving():
            self._closed_now()

    def _closed_now(self) -> None:
        self._state = ServerState.CLOSED
        self._closed.set()

    async def _others_ended(self) -> None:
        others = self._connections.others()
        if not others:
            return
        _, running = await asyncio.wait(others, timeout=_CANCEL_TIMEOUT)
        for task in running:
            logger.error("a handler goes on although it was cancelled: %r", task)
        if running:
            self._closed_now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
