"""connect: a stream to an endpoint."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from aionet.address import Endpoint
from aionet.errors import ConnectError
from aionet.options import Limits, SocketOptions, Timeouts
from aionet.stream.opening import Opening
from aionet.stream.protocol import StreamProtocol
from aionet.stream.stream import Stream
from aionet.stream.watch import watch
from aionet.system.connect import connect_to
from aionet.system.resolver import resolve
from aionet.transport.stream import StreamTransport

if TYPE_CHECKING:
    import socket

    from aionet.address import EndpointLike
    from aionet.system.resolver import Resolver
    from aionet.system.sockopts import RefusedOption
    from aionet.system.types import SockAddr

__all__ = ["connect", "open_stream"]


def connect(
    endpoint: EndpointLike,
    *,
    local: EndpointLike | None = None,
    options: SocketOptions | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    resolver: Resolver = resolve,
) -> Opening[Stream]:
    """Connect to ``"tcp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Either ``stream = await connect(...)`` or ``async with connect(...) as stream``, which closes it. The addresses of a
    name are tried as RFC 8305 says, 250 ms apart; ``local`` is the address to connect from. Timeouts: 30 s in all.
    Cancelled: every socket that was opened on the way is closed.

    Raises:
        ConnectError: no address could be connected to; ``attempts`` holds each with its own error.
        ConnectTimeoutError: none answered in time.
        ResolveError: the host has no address.
        AddressError: the endpoint cannot be understood, or not connected to.

    """
    parsed = Endpoint.parse(endpoint)
    mine = None if local is None else Endpoint.parse(local)
    return Opening(
        lambda: _connect(parsed, mine, options or SocketOptions(), timeouts or Timeouts(), limits or Limits(), resolver)
    )


async def _connect(
    endpoint: Endpoint,
    local: Endpoint | None,
    options: SocketOptions,
    timeouts: Timeouts,
    limits: Limits,
    resolver: Resolver,
) -> Stream:
    connected = await connect_to(endpoint, local=local, options=options, timeouts=timeouts, resolver=resolver)
    try:
        peer = connected.sock.getpeername()  # now: after a reset the system no longer says, and errors have to
    except OSError:
        peer = None
    try:
        return open_stream(
            asyncio.get_running_loop(), connected.sock, peer, timeouts, limits, refused=connected.refused
        )
    except OSError as exc:
        raise ConnectError(exc.errno or errno.EMFILE, f"connect to {endpoint}: {exc.strerror}") from exc


def open_stream(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    peer: SockAddr | None,
    timeouts: Timeouts,
    limits: Limits,
    draining: asyncio.Event | None = None,
    refused: tuple[RefusedOption, ...] = (),
) -> Stream:
    """Make a stream of a connected, non-blocking socket, which it owns from then on.

    Raises OSError, the socket closed, where there is no descriptor for the poller.
    """
    protocol = StreamProtocol(loop, limits.receive_buffer)
    transport = StreamTransport(loop, sock, protocol, peer=peer, limits=limits, close_timeout=timeouts.close)
    protocol.transport = transport
    try:
        transport.resume_reading()
    except OSError:
        transport.abort()
        raise
    watch(loop, transport, protocol, timeouts)
    return Stream(transport, protocol, draining=draining, message_timeout=timeouts.message, refused=refused)
