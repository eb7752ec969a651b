"""Datagram sockets: bound or connected, ready to send and to receive."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import attrs

from aionet.address import InetAddress, UnixAddress
from aionet.errors import AddressError, ConnectError, ListenError
from aionet.system.resolver import resolve
from aionet.system.socket_file import SocketFile, bind_at_path
from aionet.system.sockopts import RefusedOption, prepare_datagrams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.address import Address, Endpoint
    from aionet.options import DatagramOptions
    from aionet.system.resolver import Resolver

__all__ = ["DatagramSocket", "bind_to", "connect_datagrams_to"]

_FORMS = "udp://host:port, unix:/path, unix:@name or fd://number"


class DatagramSocket:
    """A datagram socket, the options that the system refused, and the file of a Unix socket that it made itself."""

    __slots__ = ("_file", "refused", "sock")

    def __init__(
        self, sock: socket.socket, refused: tuple[RefusedOption, ...] = (), file: SocketFile | None = None
    ) -> None:
        self.sock = sock
        self.refused = refused
        self._file = file

    def close(self) -> None:
        """Close the socket, and remove its file if it is still ours. Idempotent."""
        if self._file is not None:
            self._file.remove()
            self._file = None
        self.sock.close()


async def bind_to(endpoint: Endpoint, options: DatagramOptions, resolver: Resolver = resolve) -> DatagramSocket:
    """Bind a datagram socket to the first address of an endpoint that this machine has.

    Raises:
        ListenError: the address is taken, not allowed, or not here; a descriptor is no datagram socket.
        ResolveError: the host has no address.
        AddressError: a scheme without datagrams.

    """
    if endpoint.scheme == "unix":
        return await _bind_unix(UnixAddress(endpoint.path or ""), options)
    if endpoint.scheme == "fd":
        try:
            return _adopt(endpoint.fd or 0, options)
        except OSError as exc:
            raise ListenError(exc.errno, f"bind_datagram on {endpoint}: {exc.strerror or exc}") from exc
    if endpoint.scheme != "udp":
        message = f"bind_datagram on {endpoint}: expected {_FORMS}"
        raise AddressError(message)
    if endpoint.host is None and options.dual_stack is not False:
        # Every interface, IPv4 and IPv6, on one socket; where there is no IPv6, the second is left.
        options = attrs.evolve(options, dual_stack=True)
        addresses = [InetAddress("::", endpoint.port or 0), InetAddress("0.0.0.0", endpoint.port or 0)]  # noqa: S104
    else:
        addresses = await resolver(endpoint.host, endpoint.port or 0, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    failures: list[OSError] = []
    for address in addresses:
        try:
            return _bind_inet(address, options)
        except OSError as exc:
            failures.append(exc)
            if exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                break
    last = failures[-1]
    raise ListenError(last.errno, f"bind_datagram on {endpoint}: {last.strerror or last}") from last


def _bind_inet(address: InetAddress, options: DatagramOptions) -> DatagramSocket:
    sock = socket.socket(address.family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if address.family == socket.AF_INET6 and options.dual_stack is None:
            # The system's own default (net.ipv6.bindv6only) would make one program differ from machine to machine.
            options = attrs.evolve(options, dual_stack=False)
        refused = prepare_datagrams(sock, options)
        sock.bind(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return DatagramSocket(sock, refused)


async def _bind_unix(address: UnixAddress, options: DatagramOptions) -> DatagramSocket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        refused = prepare_datagrams(sock, options)
        if address.abstract:
            sock.bind(address.sockaddr)
            return DatagramSocket(sock, refused)
        return DatagramSocket(sock, refused, await bind_at_path(sock, address.path))
    except OSError as exc:
        sock.close()
        raise ListenError(exc.errno, f"bind_datagram on unix:{address}: {exc.strerror or exc}") from exc
    except BaseException:
        sock.close()
        raise


def _adopt(descriptor: int, options: DatagramOptions) -> DatagramSocket:
    """Take over a datagram socket that another program made. Its file is not ours to remove."""
    sock = socket.socket(fileno=descriptor)
    try:
        if sock.type != socket.SOCK_DGRAM:
            raise OSError(errno.EPROTOTYPE, "not a datagram socket")
        sock.setblocking(False)
        return DatagramSocket(sock, prepare_datagrams(sock, options))
    except BaseException:
        sock.detach()  # it stays with whoever passed it
        raise


async def connect_datagrams_to(
    endpoint: Endpoint, local: Endpoint | None, options: DatagramOptions, resolver: Resolver = resolve
) -> DatagramSocket:
    """Connect a datagram socket to the first address of an endpoint that there is a way to.

    Nobody is asked whether it is there: UDP has no handshake. A Unix socket is bound to a name of the kernel's choice
    (Linux), so that the peer can answer.

    Raises:
        ConnectError: there is no way to any address; ``attempts`` holds each with its error.
        ResolveError: a host has no address.
        AddressError: a scheme without datagrams, or a local end of another scheme.

    """
    if endpoint.scheme not in ("udp", "unix", "fd") or (local is not None and local.scheme != endpoint.scheme):
        from_ = "" if local is None else f" from {local}"
        message = f"connect_datagram to {endpoint}{from_}: expected {_FORMS}, and the local end of the same scheme"
        raise AddressError(message)
    if endpoint.scheme == "fd":
        try:
            return _adopt(endpoint.fd or 0, options)
        except OSError as exc:
            message = f"connect_datagram to {endpoint}: {exc.strerror or exc}"
            raise ConnectError(exc.errno or errno.EBADF, message) from exc
    if endpoint.scheme == "unix":
        peer = UnixAddress(endpoint.path or "")
        mine = None if local is None else UnixAddress(local.path or "")
        return await _connect_unix(peer, mine, options)
    addresses = await resolver(endpoint.host, endpoint.port or 0, type=socket.SOCK_DGRAM)
    bound = [] if local is None else await _resolve_local(local, resolver)
    return _connect_inet(endpoint, addresses, bound, options)


async def _resolve_local(local: Endpoint, resolver: Resolver) -> list[InetAddress]:
    return await resolver(local.host, local.port or 0, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)


def _connect_inet(
    endpoint: Endpoint, addresses: Sequence[InetAddress], bound: Sequence[InetAddress], options: DatagramOptions
) -> DatagramSocket:
    attempts: list[tuple[Address, OSError]] = []
    for address in addresses:
        try:
            sock = socket.socket(address.family, socket.SOCK_DGRAM)
        except OSError as exc:
            attempts.append((address, exc))
            continue
        try:
            sock.setblocking(False)
            refused = prepare_datagrams(sock, options)
            if bound:
                mine = next((mine for mine in bound if mine.family == address.family), None)
                if mine is None:
                    raise OSError(errno.EAFNOSUPPORT, f"the local address {bound[0]} is of another family")
                sock.bind(mine.sockaddr)
            sock.connect(address.sockaddr)
            return DatagramSocket(sock, refused)
        except OSError as exc:
            sock.close()
            attempts.append((address, exc))
        except BaseException:
            sock.close()
            raise
    raise ConnectError.of(f"connect_datagram to {endpoint}", attempts)


async def _connect_unix(peer: UnixAddress, mine: UnixAddress | None, options: DatagramOptions) -> DatagramSocket:
    if mine is None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound = DatagramSocket(sock)
    else:
        bound = await _bind_unix(mine, options)
    sock = bound.sock
    try:
        sock.setblocking(False)
        if mine is None:
            bound.refused = prepare_datagrams(sock, options)
            sock.bind("")  # autobind (man 7 unix)
        sock.connect(peer.sockaddr)
    except OSError as exc:
        bound.close()
        raise ConnectError.of(f"connect_datagram to unix:{peer}", [(peer, exc)]) from exc
    except BaseException:
        bound.close()
        raise
    return bound
