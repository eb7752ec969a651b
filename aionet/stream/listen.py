"""listen: accept streams one by one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from aionet.address import Endpoint
from aionet.errors import AddressError, ClosedError
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.stream.connect import open_stream
from aionet.system.listen import ListeningSocket, listen_on
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_accepted
from aionet.system.wakeup import WaitQueue
from aionet.transport.acceptor import Acceptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection
    from types import TracebackType

    from aionet.address import Address, EndpointLike
    from aionet.stream.stream import Stream
    from aionet.system.resolver import Resolver
    from aionet.system.sockopts import RefusedOption
    from aionet.system.types import SockAddr

__all__ = ["Listener", "listen", "open_listening"]


async def open_listening(
    endpoints: EndpointLike | Collection[EndpointLike], options: SocketOptions, resolver: Resolver
) -> list[ListeningSocket]:
    """Listen on each of one or several endpoints, or on none of them."""
    listening: list[ListeningSocket] = []
    try:
        for endpoint in parse_endpoints(endpoints):
            listening += await listen_on(endpoint, options, resolver)
    except BaseException:
        for opened in listening:
            opened.close()
        raise
    return listening


def parse_endpoints(endpoints: EndpointLike | Collection[EndpointLike]) -> list[Endpoint]:
    """Parse one endpoint or several; a pair of host and port is one."""
    if isinstance(endpoints, list | set | frozenset):
        if not endpoints:
            message = f"bad endpoints {endpoints!r}: expected at least one"
            raise AddressError(message)
        several: Collection[EndpointLike] = endpoints
    else:
        several = [endpoints]  # type: ignore[list-item]
    return [Endpoint.parse(endpoint) for endpoint in several]


def listen(
    endpoints: EndpointLike | Collection[EndpointLike],
    *,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    resolver: Resolver = resolve,
) -> Opening[Listener]:
    """Listen on ``"tcp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``, or on several.

    Either ``listener = await listen(...)`` or ``async with listen(...) as listener``, which closes it. An empty host or
    ``*`` is every interface, IPv4 and IPv6; port 0 is one free port for all addresses of its endpoint. ``options``,
    ``timeouts`` and ``limits`` are those of the streams that are accepted.

    Raises:
        ListenError: an address is taken or not allowed.
        ResolveError: a host has no address.
        AddressError: an endpoint cannot be understood, or not listened on.

    """
    parsed = parse_endpoints(endpoints)
    chosen = options or SocketOptions()

    async def open_listener() -> Listener:
        listening = await open_listening(parsed, chosen, resolver)
        return Listener(listening, chosen, timeouts or Timeouts(), limits or Limits())

    return Opening(open_listener)


class Listener:
    """Accepts connections, one for each ``accept``; those nobody accepts wait in the kernel's backlog."""

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_acceptors",
        "_closed",
        "_limits",
        "_listening",
        "_loop",
        "_options",
        "_timeouts",
        "_waiting",
    )

    def __init__(
        self, listening: list[ListeningSocket], options: SocketOptions, timeouts: Timeouts, limits: Limits
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._acceptors = [Acceptor(self._loop, each.sock, self._on_accepted) for each in listening]
        self._accepted: deque[tuple[socket.socket, SockAddr]] = deque()
        self._waiting = WaitQueue(self._loop)
        self._options = options
        self._timeouts = timeouts
        self._limits = limits
        self._closed = False

    def __repr__(self) -> str:
        return f"<Listener {', '.join(map(str, self.addresses))}{' CLOSED' if self._closed else ''}>"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that are listened on."""
        return tuple(each.address for each in self._listening)

    @property
    def refused_options(self) -> tuple[RefusedOption, ...]:
        """The options that the system refused or capped."""
        return tuple(refused for each in self._listening for refused in each.refused)

    async def accept(self) -> Stream:
        """Accept the next connection. Any number of tasks may wait; they are served in order.

        Cancelled: no connection is lost, the next accept gets it.

        Raises:
            ClosedError: you closed the listener.

        Source: accept(2).

        """
        while not self._accepted:
            if self._closed:
                raise ClosedError.of("accept", self._name())
            for acceptor in self._acceptors:
                acceptor.start()
            await self._waiting.wait()
        sock, peer = self._accepted.popleft()
        prepare_accepted(sock, self._options)
        return open_stream(self._loop, sock, peer, self._timeouts, self._limits)

    def _on_accepted(self, sock: socket.socket, peer: SockAddr) -> None:
        self._accepted.append((sock, peer))
        if not self._waiting.wake_first():
            # One too many: it waits here, the others in the backlog.
            for acceptor in self._acceptors:
                acceptor.pause()

    async def aclose(self) -> None:
        """Stop listening; connections that nobody has accepted are refused. Idempotent."""
        self._closed = True
        for acceptor in self._acceptors:
            acceptor.stop()
        for each in self._listening:
            each.close()
        while self._accepted:
            self._accepted.popleft()[0].close()
        self._waiting.wake_all_soon()

    def _name(self) -> str:
        return ", ".join(map(str, self.addresses))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
