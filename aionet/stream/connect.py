"""connect: a stream to an endpoint."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import attrs

from aionet.address import Endpoint
from aionet.errors import ConnectError, OptionError, TLSError
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.stream.protocol import StreamProtocol
from aionet.stream.secure import secure_client
from aionet.stream.stream import Stream
from aionet.stream.watch import watch
from aionet.system.connect import connect_to, writable
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.system.tls_context import client_tls
from aionet.transport.stream import StreamTransport
from aionet.wire.proxy_protocol import build_proxy_header

if TYPE_CHECKING:
    import socket

    from aionet.address import EndpointLike
    from aionet.system.connect import ConnectedSocket
    from aionet.system.resolver import Resolver
    from aionet.system.sockopts import RefusedOption
    from aionet.system.tls_context import ClientTLS
    from aionet.system.types import SockAddr
    from aionet.tls import TLSLike
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["connect", "open_stream", "stream_of"]


def connect(
    endpoint: EndpointLike,
    *,
    local: EndpointLike | None = None,
    tls: TLSLike | None = None,
    server_hostname: str | None = None,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    proxy_header: ProxyHeader | None = None,
    resolver: Resolver = resolve,
) -> Opening[Stream]:
    """Connect to ``"tcp://host:port"``, ``"tls://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Either ``stream = await connect(...)`` or ``async with connect(...) as stream``, which closes it. The addresses of a
    name are tried as RFC 8305 says, 250 ms apart; ``local`` is the address to connect from. ``tls`` is a TLSConfig, an
    ssl.SSLContext, or True for the defaults, which ``tls://`` has by itself: the certificate must be from whom the
    system trusts, and for the host of the endpoint, or for ``server_hostname``. Timeouts: 30 s in all, and 10 s for the
    TLS handshake. ``proxy_header`` is sent before anything else, for a peer that takes the PROXY protocol.
    Cancelled: every socket that was opened on the way is closed.

    Raises:
        ConnectError: no address could be connected to; ``attempts`` holds each with its own error.
        ConnectTimeoutError: none answered in time.
        ResolveError: the host has no address.
        AddressError: the endpoint cannot be understood, or not connected to.
        TLSCertificateError: the server's certificate is not to be trusted.
        TLSHandshakeError: the TLS handshake failed; TLSHandshakeTimeoutError where it took too long.
        OptionError: ``tls`` cannot be used.
        ValueError: the header cannot be built, as build_proxy_header says.

    """
    parsed = Endpoint.parse(endpoint)
    mine = None if local is None else Endpoint.parse(local)
    first = b"" if proxy_header is None else build_proxy_header(proxy_header)
    chosen = options or SocketOptions(), timeouts or Timeouts(), limits or Limits()
    secure = _client_tls(parsed, tls, server_hostname)
    return Opening(lambda: _connect(parsed, mine, secure, *chosen, first, resolver))


def _client_tls(
    endpoint: Endpoint, tls: TLSLike | None, server_hostname: str | None
) -> tuple[ClientTLS, str | None] | None:
    """Return what TLS needs and the name that the certificate has to be for, or None for a plain connection."""
    if endpoint.scheme == "tls":
        tls = True if tls is None else tls
    elif not tls:
        if server_hostname is not None:
            message = f"connect to {endpoint}: server_hostname={server_hostname!r}: expected only with tls"
            raise OptionError(message)
        return None
    client = client_tls(tls)
    name = server_hostname or (None if endpoint.host is None else endpoint.host.partition("%")[0])
    if client.context.check_hostname and not name:
        message = f"connect to {endpoint} with tls: expected server_hostname, the name in the certificate"
        raise OptionError(message)
    return client, name


async def _connect(
    endpoint: Endpoint,
    local: Endpoint | None,
    tls: tuple[ClientTLS, str | None] | None,
    options: SocketOptions,
    timeouts: Timeouts,
    limits: Limits,
    first: bytes,
    resolver: Resolver,
) -> Stream:
    plain = attrs.evolve(endpoint, scheme="tcp") if endpoint.scheme == "tls" else endpoint
    connected = await connect_to(plain, local=local, options=options, timeouts=timeouts, resolver=resolver)
    try:
        peer = connected.sock.getpeername()  # now: after a reset the system no longer says, and errors have to
    except OSError:
        peer = None
    if first:
        await _send_first(endpoint, connected.sock, first, timeouts)
    try:
        if tls is not None:
            return await _connect_secure(connected, peer, *tls, endpoint, timeouts, limits)
        return open_stream(
            asyncio.get_running_loop(), connected.sock, peer, timeouts, limits, refused=connected.refused
        )
    except TLSError as exc:
        raise type(exc)(exc.errno or errno.EPROTO, f"connect to {endpoint}: {exc}") from exc.__cause__
    except OSError as exc:
        raise ConnectError(exc.errno or errno.EMFILE, f"connect to {endpoint}: {exc.strerror}") from exc


async def _connect_secure(
    connected: ConnectedSocket,
    peer: SockAddr | None,
    tls: ClientTLS,
    name: str | None,
    endpoint: Endpoint,
    timeouts: Timeouts,
    limits: Limits,
) -> Stream:
    """Make a stream of a connected socket, through TLS. Cancelled: the socket is closed.

    Raises:
        TLSHandshakeError: the handshake failed.

    """
    loop = asyncio.get_running_loop()
    protocol = StreamProtocol(loop, limits.receive_buffer)
    transport = secure_client(loop, connected.sock, protocol, tls, name, peer, timeouts, limits, (endpoint, name))
    protocol.transport = transport
    await transport.shaken(timeouts.tls_handshake)
    transport.resume_reading()
    return stream_of(loop, transport, protocol, timeouts, refused=connected.refused)


async def _send_first(endpoint: Endpoint, sock: socket.socket, header: bytes, timeouts: Timeouts) -> None:
    """Send the header before anything else is on the socket: a TLS handshake comes after it."""
    rest = memoryview(header)
    try:
        async with asyncio.timeout(timeouts.connect):
            while rest:
                try:
                    rest = rest[sock.send(rest) :]
                except BlockingIOError:  # more than the socket's buffer, or TCP Fast Open has still to connect
                    await writable(sock)
    except BaseException as exc:
        sock.close()
        if not isinstance(exc, OSError):
            raise
        reason = exc.strerror or f"the peer did not take it within {timeouts.connect} s"
        raise ConnectError(exc.errno or errno.ETIMEDOUT, f"connect to {endpoint}: PROXY header: {reason}") from exc


def open_stream(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    peer: SockAddr | None,
    timeouts: Timeouts,
    limits: Limits,
    draining: asyncio.Event | None = None,
    proxy: ProxyHeader | None = None,
    refused: tuple[RefusedOption, ...] = (),
) -> Stream:
    """Make a stream of a connected, non-blocking socket, which it owns from then on.

    ``proxy`` is the PROXY protocol header that has been taken off the socket.

    Raises OSError, the socket closed, where there is no descriptor for the poller.
    """
    protocol = StreamProtocol(loop, limits.receive_buffer)
    transport = StreamTransport(loop, sock, protocol, peer=peer, limits=limits, close_timeout=timeouts.close)
    protocol.transport = transport
    transport.proxy = proxy
    try:
        transport.resume_reading()
    except OSError:
        transport.abort()
        raise
    return stream_of(loop, transport, protocol, timeouts, draining, refused)


def stream_of(
    loop: asyncio.AbstractEventLoop,
    transport: StreamTransport,
    protocol: StreamProtocol,
    timeouts: Timeouts,
    draining: asyncio.Event | None = None,
    refused: tuple[RefusedOption, ...] = (),
) -> Stream:
    """Make the stream of a transport that is ready, and have its deadlines watched."""
    watch(loop, transport, protocol, timeouts)
    return Stream(transport, protocol, draining=draining, timeouts=timeouts, refused=refused)
