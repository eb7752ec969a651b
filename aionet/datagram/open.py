"""bind_datagram, connect_datagram: an endpoint of a datagram socket."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from aionet.address import Endpoint, InetAddress
from aionet.datagram.endpoint import DatagramEndpoint
from aionet.errors import AddressError, ConnectError, ListenError, OptionError
from aionet.options import DatagramOptions
from aionet.system.datagram_socket import DatagramSocket, bind_to, connect_datagrams_to
from aionet.system.opening import Opening
from aionet.system.resolver import resolve
from aionet.transport.datagram_queue import DatagramQueue

if TYPE_CHECKING:
    from aionet.address import EndpointLike
    from aionet.system.resolver import Resolver
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["bind_datagram", "connect_datagram"]


def bind_datagram(
    endpoint: EndpointLike,
    *,
    options: DatagramOptions | None = None,
    proxy: ProxyProtocol | None = None,
    resolver: Resolver = resolve,
) -> Opening[DatagramEndpoint]:
    """Receive datagrams at ``"udp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Either ``endpoint = await bind_datagram(...)`` or ``async with bind_datagram(...) as endpoint``, which closes it. An
    empty host or ``*`` is every interface, IPv4 and IPv6 on one socket: an IPv4 peer is then ``::ffff:192.0.2.1``. Of
    a name, the first address that this machine has is taken. Port 0 is a free port. Addresses and pairs are UDP here.

    With ``proxy``, every datagram has to begin with a PROXY protocol header of version 2 from a trusted proxy. The
    header is taken off: ``datagram.proxy``, and ``datagram.source`` for the sender that it names; ``datagram.peer``,
    who is answered, stays the proxy. What comes from others or with a bad header is dropped and counted in
    ``statistics()``; the first of each is logged.

    Raises:
        ListenError: the address is taken, not allowed, or not here.
        ResolveError: the host has no address.
        AddressError: the endpoint cannot be understood, has no datagrams, or there is no such interface.
        OptionError: ``proxy`` takes version 1 only, which is not for datagrams.

    """
    parsed = _parse(endpoint)
    if proxy is not None and proxy.mode == "v1":
        raise OptionError(f"bind_datagram on {parsed}: proxy.mode='v1': expected v2 or either: v1 is not for datagrams")
    chosen = options or DatagramOptions()

    async def bind() -> DatagramEndpoint:
        opened = await bind_to(parsed, chosen, resolver)
        try:
            return _open(opened, chosen, proxy)
        except OSError as exc:
            raise ListenError(exc.errno, f"bind_datagram on {parsed}: {exc.strerror}") from exc

    return Opening(bind)


def connect_datagram(
    endpoint: EndpointLike,
    *,
    local: EndpointLike | None = None,
    options: DatagramOptions | None = None,
    resolver: Resolver = resolve,
) -> Opening[DatagramEndpoint]:
    """Exchange datagrams with one peer: ``"udp://host:port"``, ``"unix:/path"``, ``"unix:@name"`` or ``"fd://number"``.

    Either ``endpoint = await connect_datagram(...)`` or ``async with connect_datagram(...) as endpoint``, which closes
    it. Nobody is asked whether the peer is there: that shows, if at all, when a datagram is sent. Of a name, the first
    address that there is a way to is taken. ``local`` is the address to send from. Without it a Unix socket gets an
    abstract name, so that the peer can answer.

    Raises:
        ConnectError: there is no way to any address; ``attempts`` holds each with its own error.
        ResolveError: the host has no address.
        AddressError: an endpoint cannot be understood, has no datagrams, or there is no such interface.

    """
    parsed = _parse(endpoint)
    if parsed.scheme == "udp" and not parsed.port:
        raise AddressError(f"connect_datagram to {parsed}: expected a port from 1 to 65535, that of the peer")
    mine = None if local is None else _parse(local)
    chosen = options or DatagramOptions()

    async def connect() -> DatagramEndpoint:
        opened = await connect_datagrams_to(parsed, mine, chosen, resolver)
        try:
            return _open(opened, chosen)
        except OSError as exc:
            raise ConnectError(exc.errno or errno.EMFILE, f"connect_datagram to {parsed}: {exc.strerror}") from exc

    return Opening(connect)


def _parse(value: EndpointLike) -> Endpoint:
    parsed = Endpoint.parse(value)
    if isinstance(value, (InetAddress, tuple)):  # which name no scheme
        return Endpoint("udp", host=parsed.host, port=parsed.port)
    return parsed


def _open(opened: DatagramSocket, options: DatagramOptions, proxy: ProxyProtocol | None = None) -> DatagramEndpoint:
    """Make an endpoint of a socket, which it owns from then on; closed where there is no descriptor for the poller."""
    transport = DatagramQueue(asyncio.get_running_loop(), opened, options, proxy)
    try:
        transport.start()
    except BaseException:
        transport.close()
        raise
    return DatagramEndpoint(transport, options, opened.refused)
