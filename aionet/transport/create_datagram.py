"""create_datagram_endpoint: the event loop's method, over aionet's DatagramTransport.

The signature is the loop's, and a DatagramProtocol written for the loop runs unchanged.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from aionet.address import Endpoint
from aionet.errors import ConnectError, ListenError
from aionet.options import DatagramOptions
from aionet.system.datagram_socket import DatagramSocket, bind_to, connect_datagrams_to
from aionet.system.resolver import resolve
from aionet.system.sockopts import prepare_datagrams
from aionet.transport.datagram import DatagramTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aionet.address import Address

__all__ = ["create_datagram_endpoint"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_Given = tuple[str, int] | str | None


async def create_datagram_endpoint(
    protocol_factory: Callable[[], _P],
    local_addr: tuple[str, int] | str | None = None,
    remote_addr: tuple[str, int] | str | None = None,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    reuse_port: bool | None = None,
    allow_broadcast: bool | None = None,
    sock: socket.socket | None = None,
) -> tuple[DatagramTransport, _P]:
    """Bind, connect, or take over a datagram socket; return the transport and the protocol.

    Addresses are (host, port), or paths with ``family`` AF_UNIX. Cancelled, or where the factory raises: a socket that
    was opened on the way is closed; a ``sock`` that was given is not.

    Raises:
        ListenError: the local address is taken, not allowed, or not here.
        ConnectError: there is no way to the remote address.
        ResolveError: a host has no address.
        ValueError: arguments that exclude each other.

    Source: asyncio's loop.create_datagram_endpoint.

    """
    if sock is not None:
        others = (local_addr, remote_addr, family, proto, flags, reuse_port, allow_broadcast)
        if any(others) or sock.type != socket.SOCK_DGRAM:
            message = f"create_datagram_endpoint: sock={sock!r}: expected a datagram socket and no other argument"
            raise ValueError(message)
        sock.setblocking(False)
        opened = DatagramSocket(sock)
    else:
        options = DatagramOptions(reuse_port=bool(reuse_port), broadcast=bool(allow_broadcast))
        opened = await _open(local_addr, remote_addr, family, proto, flags, options)
    context = copy_context()
    try:
        protocol = protocol_factory()
        transport = DatagramTransport(asyncio.get_running_loop(), opened, protocol, context)
    except BaseException:
        if sock is None:
            opened.close()
        raise
    try:
        context.run(transport.start)
    except OSError:  # no descriptor for the poller; the protocol has heard of nothing yet
        transport.set_protocol(asyncio.DatagramProtocol())
        transport.abort()
        raise
    return transport, protocol


async def _open(
    local: _Given, remote: _Given, family: int, proto: int, flags: int, options: DatagramOptions
) -> DatagramSocket:
    if family == socket.AF_UNIX:
        if not all(isinstance(path, str) for path in (local, remote) if path is not None):
            message = f"create_datagram_endpoint: {local!r}, {remote!r}: expected paths with AF_UNIX"
            raise TypeError(message)
        return await _unix(local, remote, options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if local is None and remote is None and family == 0:
        message = "create_datagram_endpoint: no address and no family: expected one of them"
        raise ValueError(message)
    mine = await _resolve(local, family, proto, flags | socket.AI_PASSIVE)
    theirs = await _resolve(remote, family, proto, flags)
    families = [each.family for each in theirs or mine] or [socket.AddressFamily(family)]
    failure: OSError | None = None
    for one in dict.fromkeys(families):
        try:
            return _inet(one, mine, theirs, options)
        except OSError as exc:
            failure = failure or exc
    assert failure is not None  # noqa: S101 - there is at least one family
    raise failure


async def _resolve(given: _Given, family: int, proto: int, flags: int) -> Sequence[Address]:
    if given is None:
        return ()
    if not isinstance(given, tuple) or len(given) != 2:  # noqa: PLR2004 - host and port
        message = f"create_datagram_endpoint: {given!r}: expected (host, port)"
        raise TypeError(message)
    host, port = given
    return await resolve(host or None, port, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags)


def _inet(
    family: socket.AddressFamily, mine: Sequence[Address], theirs: Sequence[Address], options: DatagramOptions
) -> DatagramSocket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        refused = prepare_datagrams(sock, options)
        if mine:
            _try_each("bind", sock.bind, [each for each in mine if each.family == family], ListenError)
        if theirs:
            _try_each("connect", sock.connect, [each for each in theirs if each.family == family], _connect_error)
    except BaseException:
        sock.close()
        raise
    return DatagramSocket(sock, refused)


def _connect_error(number: int, message: str) -> ConnectError:
    return ConnectError(number, message)


def _try_each(
    what: str,
    function: Callable[..., None],
    addresses: Sequence[Address],
    error: Callable[[int, str], OSError],
) -> None:
    failure = OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    for address in addresses:
        try:
            function(address.sockaddr)
        except OSError as exc:
            failure = exc
        else:
            return
    where = ", ".join(map(str, addresses)) or "an address of another family"
    message = f"create_datagram_endpoint: {what} to {where}: {failure.strerror}"
    raise error(failure.errno or errno.EINVAL, message) from failure


async def _unix(local: str | None, remote: str | None, options: DatagramOptions) -> DatagramSocket:
    mine = None if local is None else Endpoint("unix", path=local)
    if remote is not None:
        return await connect_datagrams_to(Endpoint("unix", path=remote), mine, options)
    if mine is None:
        message = "create_datagram_endpoint: AF_UNIX and no path: expected a local or a remote one"
        raise ValueError(message)
    return await bind_to(mine, options)
