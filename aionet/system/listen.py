"""Listening sockets: bound, ready to accept.

Port 0 on several addresses: the kernel chooses a port for the first, and the others have to get the same, or a client
that knows one address and the port meets nobody on the other. Somebody else may own that port there, so all of them
are given back and the kernel is asked again, a bounded number of times.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from aionet.address import InetAddress, UnixAddress, from_sockaddr
from aionet.errors import AddressError, ListenError
from aionet.system.resolver import resolve
from aionet.system.socket_file import SocketFile, listen_at_path
from aionet.system.sockopts import RefusedOption, prepare_adopted, prepare_listening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.address import Address, Endpoint
    from aionet.options import SocketOptions
    from aionet.system.resolver import Resolver

__all__ = ["ListeningSocket", "listen_on", "listen_on_addresses"]

# With thousands of ports free, two in a row being taken on the second address is already rare.
_PORT_TRIES: Final = 16
# An address family that this machine lacks, or an address that it does not have (yet).
_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class ListeningSocket:
    """A listening socket, its address, and the options that the system refused.

    It owns the descriptor, and the file of a Unix socket that it made itself.
    """

    __slots__ = ("_file", "address", "refused", "sock")

    def __init__(
        self, sock: socket.socket, refused: tuple[RefusedOption, ...] = (), *, file: SocketFile | None = None
    ) -> None:
        self.sock = sock
        self.refused = refused
        self.address: Address = from_sockaddr(sock.family, sock.getsockname())
        self._file = file

    def close(self) -> None:
        """Close the socket, and remove its file if it is still ours. Idempotent."""
        if self._file is not None:
            self._file.remove()
            self._file = None
        self.sock.close()


async def listen_on(endpoint: Endpoint, options: SocketOptions, resolver: Resolver = resolve) -> list[ListeningSocket]:
    """Listen on every address of an endpoint; port 0 is one port for all of them.

    An address that this machine does not have is left out as long as another one remains.

    Raises:
        ListenError: an address is taken or not allowed; a Unix socket's path is taken; a descriptor does not listen.
        ResolveError: the host has no address.
        AddressError: a scheme that nobody can listen on.

    """
    if endpoint.scheme == "unix":
        return [await _listen_unix(UnixAddress(endpoint.path or ""), options)]
    if endpoint.scheme == "fd":
        return [_adopt(endpoint.fd or 0, options)]
    if endpoint.scheme != "tcp":
        message = f"listen on {endpoint}: expected tcp://host:port, unix:/path or fd://number"
        raise AddressError(message)
    addresses = await resolver(endpoint.host, endpoint.port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return listen_on_addresses(addresses, options)


def listen_on_addresses(addresses: Sequence[InetAddress], options: SocketOptions) -> list[ListeningSocket]:
    """Listen on each of the addresses, on one port where theirs is 0.

    Raises:
        ListenError: as listen_on.

    """
    for _ in range(_PORT_TRIES):
        try:
            return _listen_once(addresses, options)
        except _PortTaken:
            continue
    message = f"listen on {addresses[0]}: no port that is free on all of {len(addresses)} addresses"
    raise ListenError(errno.EADDRINUSE, message)


class _PortTaken(Exception):  # noqa: N818 - not an error: a reason to try again, seen by nobody else
    """The port that the kernel chose for the first address is taken on another."""


def _listen_once(addresses: Sequence[InetAddress], options: SocketOptions) -> list[ListeningSocket]:
    listening: list[ListeningSocket] = []
    missing: OSError | None = None
    try:
        for address in addresses:
            port = address.port or (listening[0].sock.getsockname()[1] if listening else 0)
            try:
                listening.append(_listen_inet(InetAddress(address.host, port, 0, address.scope_id), options))
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE and not address.port:
                    raise _PortTaken from None
                if exc.errno not in _NOT_HERE:
                    raise
                missing = exc
        if not listening and missing is not None:
            raise missing
    except BaseException:
        for opened in listening:
            opened.close()
        raise
    return listening


def _listen_inet(address: InetAddress, options: SocketOptions) -> ListeningSocket:
    sock = None
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        refused = prepare_listening(sock, options)
        if address.family == socket.AF_INET6 and options.dual_stack is None:
            # Beside an IPv4 socket on the same port, an IPv6 one that takes IPv4 too could not be bound. Alone, the
            # system's own default (net.ipv6.bindv6only) would make the same program differ from machine to machine.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address.sockaddr)
        sock.listen(options.backlog)
        sock.setblocking(False)
        return ListeningSocket(sock, refused)
    except OSError as exc:
        if sock is not None:
            sock.close()
        raise _cannot_listen(str(address), exc) from exc


async def _listen_unix(address: UnixAddress, options: SocketOptions) -> ListeningSocket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        refused = prepare_listening(sock, options)
        sock.setblocking(False)
        if address.abstract:
            sock.bind(address.sockaddr)
            sock.listen(options.backlog)
            return ListeningSocket(sock, refused)
        file = await listen_at_path(sock, address.path, options.backlog)
        return ListeningSocket(sock, refused, file=file)
    except OSError as exc:
        sock.close()
        raise _cannot_listen(f"unix:{address}", exc) from exc
    except BaseException:
        sock.close()
        raise


def _adopt(descriptor: int, options: SocketOptions) -> ListeningSocket:
    """Take over a listening socket that another program made, such as systemd. Its file is not ours to remove."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as exc:
        raise _cannot_listen(f"fd://{descriptor}", exc) from exc
    try:
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, "not a listening stream socket")
        sock.setblocking(False)
        return ListeningSocket(sock, prepare_adopted(sock, options))
    except OSError as exc:
        sock.detach()  # it stays with whoever passed it
        raise _cannot_listen(f"fd://{descriptor}", exc) from exc


def _cannot_listen(where: str, exc: OSError) -> ListenError:
    return ListenError(exc.errno, f"listen on {where}: {exc.strerror or exc}")
