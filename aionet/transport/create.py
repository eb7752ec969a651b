"""create_connection and create_server: the event loop's methods, over aionet's transports.

The signatures are the loop's, and a Protocol written for the loop runs unchanged. What differs, on purpose: the
addresses of a name race by default (RFC 8305), port 0 is one port for all addresses, and closing is aionet's: the peer
can read all that was sent.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from aionet.errors import ConnectError, ResolveError
from aionet.options import SocketOptions
from aionet.system.connect import connect_first
from aionet.system.resolver import resolve
from aionet.system.tls_context import server_tls
from aionet.transport.securing import TLSArguments
from aionet.transport.server import TransportServer, listening_sockets
from aionet.transport.stream import StreamTransport
from aionet.wire.eyeballs import interleave as interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from aionet.address import Address, InetAddress
    from aionet.system.types import SockAddr
    from aionet.tls import TLSLike

__all__ = ["create_connection", "create_server"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_DELAY = 0.25  # seconds; RFC 8305 section 5


async def create_connection(
    protocol_factory: Callable[[], _P],
    host: str | None = None,
    port: int | str | None = None,
    *,
    ssl: TLSLike | None = None,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    sock: socket.socket | None = None,
    local_addr: tuple[str, int] | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    happy_eyeballs_delay: float | None = _DELAY,
    interleave: int | None = None,
    all_errors: bool = False,
) -> tuple[StreamTransport, _P]:
    """Connect to a host, or take a connected socket; return the transport and the protocol.

    With ``ssl``, an ssl.SSLContext, a TLSConfig or True, hands are shaken first, for at most ``ssl_handshake_timeout``
    (10 s); the certificate must be for ``server_hostname``, or for the host. ``ssl_shutdown_timeout`` is how long a
    close may take (5 s).

    ``happy_eyeballs_delay`` (seconds, default 0.25; None: one after the other) and ``interleave`` (0: the resolver's
    order) are RFC 8305's. Cancelled, or where the factory raises: a socket that was opened on the way is closed; a
    ``sock`` that was given is not.

    Raises:
        TLSHandshakeError: the TLS handshake failed; TLSCertificateError for what the server's certificate is.
        ConnectError: no address could be connected to. With ``all_errors`` an ExceptionGroup of their errors instead.
        ResolveError: the host has no address.
        ValueError: arguments that exclude each other.
        OptionError: ``ssl`` cannot be used.

    Source: asyncio's loop.create_connection.

    """
    tls = TLSArguments("create_connection", ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    given = sock
    if sock is None:
        if host is None and port is None:
            message = "create_connection: neither host and port nor sock: expected one of them"
            raise ValueError(message)
        addresses = await _resolve(host, port, family, proto, flags)
        local = [] if local_addr is None else await _resolve(*local_addr, family, proto, flags)
        ordered: list[Address] = [*addresses] if interleave == 0 else interleaved(addresses)
        sock = await _connect(ordered, local, happy_eyeballs_delay, all_errors=all_errors)
    elif host is not None or port is not None:
        message = "create_connection: both host and port and sock: expected one of them"
        raise ValueError(message)
    else:
        _adopt("create_connection", sock)
    context = copy_context()
    try:
        if tls.tls is not None:
            return await _secured(protocol_factory, sock, host, tls, context)
        protocol = protocol_factory()
        transport = StreamTransport(asyncio.get_running_loop(), sock, protocol, peer=_peer_of(sock), context=context)
    except BaseException:
        if given is None:
            sock.close()
        raise
    _start(transport)
    return transport, protocol


async def _secured(
    protocol_factory: Callable[[], _P], sock: socket.socket, host: str | None, tls: TLSArguments, context: Context
) -> tuple[StreamTransport, _P]:
    transport = tls.client(asyncio.get_running_loop(), sock, host, _peer_of(sock), context)
    await transport.shaken(tls.handshake_timeout)
    try:
        protocol = protocol_factory()
    except BaseException:
        transport.abort()
        raise
    transport.set_protocol(protocol)
    _start(transport)
    return transport, protocol


def _start(transport: StreamTransport) -> None:
    try:
        if transport.context is None:
            transport.start()
        else:
            transport.context.run(transport.start)
    except OSError:  # no descriptor for the poller; the protocol has heard of nothing yet
        transport.set_protocol(asyncio.Protocol())
        transport.abort()
        raise


async def _resolve(host: str | None, port: int | str | None, family: int, proto: int, flags: int) -> list[InetAddress]:
    number = port if isinstance(port, int) else _service(port)
    return await resolve(host, number, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)


def _service(port: str | None) -> int:
    """Return a service's port, as getaddrinfo takes it: a number, a name, or nothing."""
    if not port:
        return 0
    if port.isdigit():
        return int(port)
    try:
        return socket.getservbyname(port)
    except OSError as exc:
        raise ResolveError(socket.EAI_SERVICE, f"cannot resolve the service {port!r}: {exc}") from exc


async def _connect(
    ordered: list[Address], local: list[InetAddress], delay: float | None, *, all_errors: bool
) -> socket.socket:
    attempts: list[tuple[Address, OSError]] = []
    connected = await connect_first(ordered, local, SocketOptions(), delay, attempts)
    if connected is not None:
        return connected.sock
    if all_errors:
        group = "create_connection failed"
        raise ExceptionGroup(group, [error for _, error in attempts])
    raise ConnectError.of("create_connection", attempts)


def _peer_of(sock: socket.socket) -> SockAddr | None:
    """Return the peer's address now: after a reset the system no longer knows it."""
    try:
        return sock.getpeername()
    except OSError:
        return None


def _adopt(function: str, sock: socket.socket) -> None:
    """Take over a stream socket that connects, or that listens: what is accepted inherits its options."""
    if sock.type != socket.SOCK_STREAM:
        message = f"{function}: sock={sock!r}: expected a stream socket"
        raise ValueError(message)
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # it may be dead already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def create_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: str | Iterable[str] | None = None,
    port: int | str | None = None,
    *,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    sock: socket.socket | None = None,
    backlog: int = 100,
    ssl: TLSLike | None = None,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
) -> TransportServer:
    """Listen on a host, several, or a listening socket; make a protocol for each connection.

    With ``ssl``, an ssl.SSLContext or a TLSConfig with a certificate, for each connection that has shaken hands.

    Raises:
        ListenError: an address is taken or not allowed.
        ResolveError: a host has no address.
        ValueError: arguments that exclude each other.
        OptionError: ``ssl`` cannot be used.

    Source: asyncio's loop.create_server.

    """
    tls = TLSArguments("create_server", ssl, None, ssl_handshake_timeout, ssl_shutdown_timeout)
    if tls.tls is not None:
        server_tls(tls.tls)  # what is wrong with the certificate is said here, and not to the first client
    if sock is not None:
        if host is not None or port is not None:
            message = "create_server: both host and port and sock: expected one of them"
            raise ValueError(message)
        _adopt("create_server", sock)
        sockets = [sock]
    elif host is None and port is None:
        message = "create_server: neither host and port nor sock: expected one of them"
        raise ValueError(message)
    else:
        hosts = [host or None] if host is None or isinstance(host, str) else list(host)
        options = SocketOptions(
            reuse_address=reuse_address,
            reuse_port=bool(reuse_port),
            keepalive=bool(keep_alive),
            backlog=backlog,
        )
        sockets = await listening_sockets(
            hosts, _service(port) if not isinstance(port, int) else port, family, flags, options
        )
    server = TransportServer(protocol_factory, sockets, backlog, tls)
    if start_serving:
        try:
            await server.start_serving()
        except BaseException:
            if sock is None:
                server.close()
            raise
    return server
