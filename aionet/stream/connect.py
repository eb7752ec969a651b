"""connect: a stream to an endpoint."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from aionet.address import Endpoint
from aionet.errors import ConnectError
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.stream.protocol import StreamProtocol
from aionet.stream.stream import Stream
from aionet.stream.watch import watch
from aionet.system.connect import connect_to, writable
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.transport.stream import StreamTransport
from aionet.wire.proxy_protocol import build_proxy_header

if TYPE_CHECKING:
    import socket

    from aionet.address import EndpointLike
    from aionet.system.resolver import Resolver
    from aionet.system.sockopts import RefusedOption
    from aionet.system.types import SockAddr
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["connect", "open_stream"]


def connect(
    endpoint: EndpointLike,
    *,
    local: EndpointLike | None = None,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    proxy_header: ProxyHeader | None = None,
    resolver: Resolver = resolve,
) -> Opening[Stream]:
    """Connect to ``"tcp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Either ``stream = await connect(...)`` or ``async with connect(...) as stream``, which closes it. The addresses of a
    name are tried as RFC 8305 says, 250 ms apart; ``local`` is the address to connect from. Timeouts: 30 s in all.
    ``proxy_header`` is sent before anything else, for a peer that takes the PROXY protocol.
    Cancelled: every socket that was opened on the way is closed.

    Raises:
        ConnectError: no address could be connected to; ``attempts`` holds each with its own error.
        ConnectTimeoutError: none answered in time.
        ResolveError: the host has no address.
        AddressError: the endpoint cannot be understood, or not connected to.
        ValueError: the header cannot be built, as build_proxy_header says.

    """
    parsed = Endpoint.parse(endpoint)
    mine = None if local is None else Endpoint.parse(local)
    first = b"" if proxy_header is None else build_proxy_header(proxy_header)
    chosen = options or SocketOptions(), timeouts or Timeouts(), limits or Limits()
    return Opening(lambda: _connect(parsed, mine, *chosen, first, resolver))


async def _connect(
    endpoint: Endpoint,
    local: Endpoint | None,
    options: SocketOptions,
    timeouts: Timeouts,
    limits: Limits,
    first: bytes,
    resolver: Resolver,
) -> Stream:
    connected = await connect_to(endpoint, local=local, options=options, timeouts=timeouts, resolver=resolver)
    try:
        peer = connected.sock.getpeername()  # now: after a reset the system no longer says, and errors have to
    except OSError:
        peer = None
    if first:
        await _send_first(endpoint, connected.sock, first, timeouts)
    try:
        return open_stream(
            asyncio.get_running_loop(), connected.sock, peer, timeouts, limits, refused=connected.refused
        )
    except OSError as exc:
        raise ConnectError(exc.errno or errno.EMFILE, f"connect to {endpoint}: {exc.strerror}") from exc


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
    watch(loop, transport, protocol, timeouts)
    return Stream(transport, protocol, draining=draining, message_timeout=timeouts.message, refused=refused)
