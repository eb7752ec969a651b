"""serve_datagram: a handler task for each peer of a datagram endpoint. The server's life is in life.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs

from aionet.datagram.arrivals import Arrivals
from aionet.datagram.endpoint import DatagramEndpoint
from aionet.datagram.guard import Guard
from aionet.datagram.open import bind_datagram
from aionet.datagram.sessions import DatagramSession, SessionQueues
from aionet.errors import OptionError, SessionTimeoutError
from aionet.options import SessionOptions
from aionet.server.connections import Connections
from aionet.server.hooks import Hooks
from aionet.server.life import ServerBase, ServerState
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionet.address import Address, EndpointLike
    from aionet.options import DatagramOptions
    from aionet.system.resolver import Resolver
    from aionet.transport.received import Datagram
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["DatagramServer", "DatagramServerStatistics", "serve_datagram"]

# How often the silent are looked for, as a part of the time that they have: how late one may be found.
_LOOKS: Final = 4


def serve_datagram(
    endpoint: DatagramEndpoint | EndpointLike,
    handler: Callable[[DatagramSession], Awaitable[object]],
    *,
    sessions: SessionOptions | None = None,
    options: DatagramOptions | None = None,
    proxy: ProxyProtocol | None = None,
    hooks: Hooks | None = None,
    resolver: Resolver = resolve,
) -> Opening[DatagramServer]:
    """Serve ``"udp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``, a handler for each peer.

    Either ``server = await serve_datagram(...)`` or ``async with serve_datagram(...) as server``, which closes it. The
    first datagram of a peer starts ``handler(session)`` in a task; when it returns, or the peer has been silent for
    long, the session is over, and the next datagram begins a new one. An endpoint that is already open may be given
    instead: the server takes it over, and closes it in the end.

    With ``proxy``, every datagram has to begin with a PROXY protocol header of version 2 from a trusted proxy, as in
    bind_datagram. Each client that a proxy names has a session: ``session.peer`` is the client, ``session.proxy`` the
    header, and what is sent goes to the proxy, without a header.

    Raises:
        ListenError: the address is taken, not allowed, or not here.
        ResolveError: the host has no address.
        AddressError: the endpoint cannot be understood, or has no datagrams.
        OptionError: ``options`` or ``proxy`` for an endpoint that is already open; ``proxy`` of version 1.
        BusyError: a task is receiving from the endpoint that was given.
        ClosedError: it is closed.

    """
    chosen = sessions or SessionOptions()
    called = hooks or Hooks()
    if isinstance(endpoint, DatagramEndpoint):
        for name, given in (("options", options), ("proxy", proxy)):
            if given is not None:
                message = f"serve_datagram on {endpoint.local}: {name}={given!r}: expected None with an open endpoint"
                raise OptionError(message)
        opened = endpoint

        async def take_over() -> DatagramServer:
            return DatagramServer(opened, handler, chosen, called)

        return Opening(take_over)
    binding = bind_datagram(endpoint, options=options, proxy=proxy, resolver=resolver)

    async def bind() -> DatagramServer:
        bound = await binding
        try:
            return DatagramServer(bound, handler, chosen, called)
        except BaseException:
            await bound.aclose()
            raise

    return Opening(bind)


@attrs.frozen(kw_only=True)
class DatagramServerStatistics:
    """What a datagram server has done so far, in datagrams where it does not say sessions.

    At every moment ``received`` is ``delivered``, ``waiting`` and all that was dropped, together. What never came
    as far as the server is in the endpoint's own statistics.
    """

    sessions: int
    """Sessions so far."""
    active: int
    """Sessions whose handler runs now."""
    handler_errors: int
    """Sessions whose handler raised."""
    aborted: int
    """Sessions that a drain or a close cut off."""
    timed_out: int
    """Sessions whose peer was silent for too long."""
    received: int
    delivered: int
    """Handed to a handler."""
    waiting: int
    """In the queues of the sessions."""
    dropped_queue: int
    """The session's queue was full."""
    dropped_unread: int
    """Still in the queue of a session when it ended."""
    dropped_max_sessions: int
    """Of a new peer, with ``max_sessions`` there already."""
    dropped_prefix: int
    """Of a new peer, with ``max_sessions_per_prefix`` of its network there already."""
    dropped_source: int
    """From a privileged port, or from a sender that nobody could answer."""
    dropped_draining: int
    """Of a new peer, while the server drained."""
    refused_sends: int
    """Not sent, since that would have been too much for a peer that was not validated."""


class DatagramServer(ServerBase[DatagramSession]):
    """A running datagram server. It owns its endpoint and, until each ends, its sessions."""

    def __init__(
        self,
        endpoint: DatagramEndpoint,
        handler: Callable[[DatagramSession], Awaitable[object]],
        options: SessionOptions,
        hooks: Hooks,
    ) -> None:
        loop = asyncio.get_running_loop()
        connections = Connections(
            loop, handler, hooks, self._session_ended, kind="session with", expected=(SessionTimeoutError,)
        )
        super().__init__(connections, options.drain)
        self._endpoint = endpoint
        self._options = options
        self._guard = Guard(options)
        self._queues = SessionQueues(options)
        self._dropped_draining = self._timed_out = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._arrivals = Arrivals(loop, endpoint, self._begin, self._endpoint_closed)

    def __repr__(self) -> str:
        return f"<DatagramServer {self._endpoint.local} {self._state.name} sessions={len(self._connections)}>"

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The address that is received at; the port is the one that the system chose."""
        return (self._endpoint.local,)

    @property
    def endpoint(self) -> DatagramEndpoint:
        """The endpoint: for its statistics, its groups, and to send from. The server alone receives."""
        return self._endpoint

    @property
    def sessions(self) -> tuple[DatagramSession, ...]:
        """The sessions whose handlers run now."""
        return self._connections.streams

    def statistics(self) -> DatagramServerStatistics:
        """Return the counts so far."""
        guard, queues = self._guard, self._queues
        dropped = (
            queues.dropped_queue
            + queues.dropped_unread
            + guard.dropped_max_sessions
            + guard.dropped_prefix
            + guard.dropped_source
            + self._dropped_draining
        )
        return DatagramServerStatistics(
            sessions=self._connections.accepted,
            active=len(self._connections),
            handler_errors=self._connections.errors,
            aborted=self._connections.aborted,
            timed_out=self._timed_out,
            received=self._arrivals.received,
            delivered=self._arrivals.received - queues.waiting - dropped,
            waiting=queues.waiting,
            dropped_queue=queues.dropped_queue,
            dropped_unread=queues.dropped_unread,
            dropped_max_sessions=guard.dropped_max_sessions,
            dropped_prefix=guard.dropped_prefix,
            dropped_source=guard.dropped_source,
            dropped_draining=self._dropped_draining,
            refused_sends=queues.refused_sends,
        )

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _begin(self, first: Datagram, key: object) -> DatagramSession | None:
        """Begin the session of a new peer, if it may have one."""
        if self._state is not ServerState.SERVING:
            self._dropped_draining += 1
            return None
        if not self._guard.admit(first.source, first.peer):
            return None
        wakeup = Wakeup(self._loop)
        session = DatagramSession(
            self._endpoint, first, self._queues, self._draining, wakeup, key, self._arrivals.forget
        )
        self._connections.start(session)
        if self._sweeper is None and self._options.idle is not None:
            self._sweeper = self._loop.call_later(self._options.idle / _LOOKS, self._sweep, self._options.idle)
        return session

    def _sweep(self, idle: float) -> None:
        """End the sessions of silent peers."""
        silent_since = self._loop.time() - idle
        for session in self._connections.streams:
            if session._expire(silent_since):  # noqa: SLF001 - not for handlers  # pyright: ignore[reportPrivateUsage]
                self._timed_out += 1
        self._sweeper = self._loop.call_later(idle / _LOOKS, self._sweep, idle) if self._connections else None

    def _session_ended(self, session: DatagramSession) -> None:
        self._guard.leave(session.peer)
        if self._state is not ServerState.SERVING:
            self._close_if_empty()

    # --- the end ------------------------------------------------------------------------------------------------------

    def _stop_listening(self) -> None:
        """Begin no more sessions: ``_begin`` looks at the state."""

    def _endpoint_closed(self) -> None:
        """End, since somebody has closed the endpoint: no session can go on."""
        self._stop()
        self._connections.abort()

    def _closed_now(self) -> None:
        super()._closed_now()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._arrivals.close()
