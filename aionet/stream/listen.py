"""listen: accept streams one by one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import attrs

from aionet.address import Endpoint
from aionet.errors import AddressError, ClosedError, OptionError
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.stream.connect import open_stream
from aionet.stream.handshakes import Handshakes
from aionet.system.listen import ListeningSocket, listen_on
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_accepted
from aionet.system.tls_context import server_tls
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
    from aionet.system.tls_context import ServerTLS
    from aionet.system.types import SockAddr
    from aionet.tls import TLSLike

__all__ = ["Listener", "listen", "open_listening", "parse_endpoints", "tls_of"]

# Handshakes of a Listener at a time: a client that never ends its own must not keep the next one waiting, and a crowd
# of them must not take every descriptor. The others wait in the backlog.
_HANDSHAKES: Final = 1024


async def open_listening(
    endpoints: EndpointLike | Collection[EndpointLike], options: SocketOptions, resolver: Resolver
) -> list[ListeningSocket]:
    """Listen on each of one or several endpoints, or on none of them."""
    listening: list[ListeningSocket] = []
    try:
        for endpoint in parse_endpoints(endpoints):
            plain = attrs.evolve(endpoint, scheme="tcp") if endpoint.scheme == "tls" else endpoint
            listening += await listen_on(plain, options, resolver)
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


def tls_of(endpoints: list[Endpoint], tls: TLSLike | None) -> ServerTLS | None:
    """Return what a server needs for TLS, or None where it speaks none.

    Raises:
        OptionError: an endpoint asks for TLS and there is no certificate, or not all of them ask for it.

    """
    secure = [endpoint for endpoint in endpoints if endpoint.scheme == "tls"]
    if not tls:
        if secure:
            message = f"listen on {secure[0]}: tls={tls!r}: expected a TLSConfig with a certificate"
            raise OptionError(message)
        return None
    if secure and len(secure) < len(endpoints):
        plain = next(endpoint for endpoint in endpoints if endpoint.scheme != "tls")
        message = f"listen on {secure[0]} and {plain}: expected tls:// in all of them or in none, since tls is for all"
        raise OptionError(message)
    return server_tls(tls)


def listen(
    endpoints: EndpointLike | Collection[EndpointLike],
    *,
    tls: TLSLike | None = None,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    resolver: Resolver = resolve,
) -> Opening[Listener]:
    """Listen on ``"tcp://host:port"``, ``"tls://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Or on several of them.
    Either ``listener = await listen(...)`` or ``async with listen(...) as listener``, which closes it. An empty host or
    ``*`` is every interface, IPv4 and IPv6; port 0 is one free port for all addresses of its endpoint. ``options``,
    ``timeouts`` and ``limits`` are those of the streams that are accepted. With ``tls``, a TLSConfig with a certificate
    or an ssl.SSLContext, they all speak TLS, and ``accept`` returns those whose handshake is done.

    Raises:
        ListenError: an address is taken or not allowed.
        ResolveError: a host has no address.
        AddressError: an endpoint cannot be understood, or not listened on.
        OptionError: ``tls`` cannot be used.

    """
    parsed = parse_endpoints(endpoints)
    secure = tls_of(parsed, tls)
    chosen = options or SocketOptions()

    async def open_listener() -> Listener:
        listening = await open_listening(parsed, chosen, resolver)
        return Listener(listening, chosen, timeouts or Timeouts(), limits or Limits(), secure)

    return Opening(open_listener)


class Listener:
    """Accepts connections, one for each ``accept``; those nobody accepts wait in the kernel's backlog."""

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_acceptors",
        "_closed",
        "_handshakes",
        "_limits",
        "_listening",
        "_loop",
        "_options",
        "_ready",
        "_timeouts",
        "_waiting",
    )

    def __init__(
        self,
        listening: list[ListeningSocket],
        options: SocketOptions,
        timeouts: Timeouts,
        limits: Limits,
        tls: ServerTLS | None = None,
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
        self._ready: deque[Stream] = deque()  # their handshakes are done
        self._handshakes: Handshakes | None = None
        if tls is not None:
            self._handshakes = Handshakes(self._loop, tls, timeouts, limits, None, self._on_ready, self._on_failed)

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

    @property
    def handshake_failures(self) -> int:
        """How many clients have not got through their TLS handshake."""
        return 0 if self._handshakes is None else self._handshakes.failures

    async def accept(self) -> Stream:
        """Accept the next connection. Any number of tasks may wait; they are served in order.

        Cancelled: no connection is lost, the next accept gets it.

        Raises:
            ClosedError: you closed the listener.

        Source: accept(2).

        """
        while not self._accepted and not self._ready:
            if self._closed:
                raise ClosedError.of("accept", self._name())
            for acceptor in self._acceptors:
                acceptor.start()
            await self._waiting.wait()
        if self._ready:
            return self._ready.popleft()
        sock, peer = self._accepted.popleft()
        prepare_accepted(sock, self._options)
        return open_stream(self._loop, sock, peer, self._timeouts, self._limits)

    def _on_accepted(self, sock: socket.socket, peer: SockAddr) -> None:
        if self._handshakes is not None:
            prepare_accepted(sock, self._options)
            self._handshakes.start(sock, peer)
            if len(self._handshakes) >= _HANDSHAKES:
                self._pause()
            return
        self._accepted.append((sock, peer))
        if not self._waiting.wake_first():
            # One too many: it waits here, the others in the backlog.
            self._pause()

    def _pause(self) -> None:
        for acceptor in self._acceptors:
            acceptor.pause()

    def _on_ready(self, stream: Stream) -> None:
        self._ready.append(stream)
        if not self._waiting.wake_first():
            self._pause()

    def _on_failed(self) -> None:
        if self._waiting and not self._closed:
            for acceptor in self._acceptors:
                acceptor.start()

    async def aclose(self) -> None:
        """Stop listening; connections that nobody has accepted are refused. Idempotent."""
        self._closed = True
        for acceptor in self._acceptors:
            acceptor.stop()
        for each in self._listening:
            each.close()
        while self._accepted:
            self._accepted.popleft()[0].close()
        while self._ready:
            self._ready.popleft().abort()
        if self._handshakes is not None:
            self._handshakes.abort()
        self._waiting.wake_all_soon()

    def _name(self) -> str:
        return ", ".join(map(str, self.addresses))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
