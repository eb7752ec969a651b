"""Connecting: one attempt, and the race between the addresses of a name (happy eyeballs, RFC 8305).

The order and the schedule are wire/eyeballs.py's; here are the sockets and the clock. A socket that does not become the
connection is closed, whatever happens: a loser, a failure, a cancelled attempt.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Final

import attrs

from aionet.address import UnixAddress
from aionet.errors import AddressError, ConnectError, ConnectTimeoutError
from aionet.system.poller import WRITABLE, poller_of
from aionet.system.resolver import resolve
from aionet.system.sockopts import RefusedOption, prepare_adopted, prepare_connecting
from aionet.system.wakeup import Wakeup
from aionet.wire.eyeballs import Schedule, interleave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.address import Address, Endpoint, InetAddress
    from aionet.options import SocketOptions, Timeouts
    from aionet.system.resolver import Resolver
    from aionet.system.types import SockAddr

__all__ = ["ConnectedSocket", "begin_to_connect", "connect_first", "connect_one", "connect_to", "writable"]

_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EINTR})
# A Unix socket whose backlog is full answers EAGAIN, and nothing tells when there is room: ask again, ever less often.
_FIRST_RETRY: Final = 0.001  # seconds
_LAST_RETRY: Final = 0.05  # seconds


@attrs.frozen
class ConnectedSocket:
    """A connected socket, which whoever gets it closes, and the options that the system refused."""

    sock: socket.socket
    refused: tuple[RefusedOption, ...] = ()


async def connect_to(
    endpoint: Endpoint,
    *,
    local: Endpoint | None,
    options: SocketOptions,
    timeouts: Timeouts,
    resolver: Resolver = resolve,
) -> ConnectedSocket:
    """Connect a stream socket to the first address of an endpoint that answers.

    Cancelled: every socket that was opened on the way is closed.

    Raises:
        ConnectError: no address could be connected to; ``attempts`` holds each with its error.
        ConnectTimeoutError: none answered within ``timeouts.connect``.
        ResolveError: the host has no address.
        AddressError: a scheme that cannot be connected to, or a local end that is no Inet address for one that is.

    """
    if local is not None and (local.scheme != "tcp" or endpoint.scheme != "tcp"):
        message = (
            f"connect to {endpoint} from {local}: a local end is for TCP: expected (host, port) or tcp://host:port"
        )
        raise AddressError(message)
    attempts: list[tuple[Address, OSError]] = []
    timeout = asyncio.timeout(timeouts.connect)
    try:
        async with timeout:
            if endpoint.scheme == "unix":
                address = UnixAddress(endpoint.path or "")
                connected = await connect_first([address], [], options, None, attempts)
            elif endpoint.scheme == "fd":
                connected = _adopt(endpoint.fd or 0, options)
            elif endpoint.scheme == "tcp":
                addresses = await resolver(endpoint.host, endpoint.port or 0, type=socket.SOCK_STREAM)
                bound = [] if local is None else await _resolve_local(local, resolver)
                delay = timeouts.happy_eyeballs_delay
                connected = await connect_first(interleave(addresses), bound, options, delay, attempts)
            else:
                message = f"connect to {endpoint}: expected tcp://host:port, unix:/path or fd://number"
                raise AddressError(message)
    except TimeoutError:
        if timeouts.connect is None or not timeout.expired():  # the resolver's own
            raise
        raise ConnectTimeoutError.after(f"connect to {endpoint}", timeouts.connect, attempts) from None
    if connected is None:
        raise ConnectError.of(f"connect to {endpoint}", attempts)
    return connected


async def _resolve_local(local: Endpoint, resolver: Resolver) -> list[InetAddress]:
    # AI_PASSIVE: no host is any address of ours, and not loopback.
    return await resolver(local.host, local.port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


async def connect_first(
    addresses: Sequence[Address],
    local: Sequence[InetAddress],
    options: SocketOptions,
    delay: float | None,
    attempts: list[tuple[Address, OSError]],
) -> ConnectedSocket | None:
    """Connect to the first of the addresses that answers, each tried ``delay`` seconds after the one before it.

    ``delay`` None tries each only when the one before it has failed. The failures are added to ``attempts``; None when
    all have failed.
    """
    schedule = Schedule(addresses)
    running: dict[asyncio.Task[ConnectedSocket], Address] = {}
    starting = [schedule.next_attempt()]
    try:
        while True:
            for address in starting:
                if address is not None:
                    attempt = connect_one(address, local, options)
                    running[asyncio.create_task(attempt, name=f"connect to {address}")] = address
            if not running:
                return None
            timeout = delay if schedule.has_next else None
            done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            starting = [] if done else [schedule.next_attempt()]
            for task in done:
                error = task.exception()
                if error is None:
                    del running[task]
                    return task.result()
                address = running.pop(task)
                if not isinstance(error, OSError):
                    raise error
                attempts.append((address, error))
                starting.append(schedule.attempt_failed(address, error))
    finally:
        # Not awaited: whoever was cancelled here would lose the socket that has connected.
        for task in running:
            task.cancel()
            task.add_done_callback(_close_connected)


def _close_connected(task: asyncio.Task[ConnectedSocket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().sock.close()


async def connect_one(address: Address, local: Sequence[InetAddress], options: SocketOptions) -> ConnectedSocket:
    """Connect a new socket to one address, from the local address of its family if any are given."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        refused = prepare_connecting(sock, options)
        if local:
            mine = next((mine for mine in local if mine.family == address.family), None)
            if mine is None:
                raise OSError(errno.EAFNOSUPPORT, f"the local address {local[0]} is of another family")
            sock.bind(mine.sockaddr)
        await _connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return ConnectedSocket(sock, refused)


async def begin_to_connect(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Call connect(2), for a Unix socket once the backlog has room; return the error number, mostly EINPROGRESS."""
    error = sock.connect_ex(sockaddr)
    pause = _FIRST_RETRY
    while error == errno.EAGAIN and sock.family == socket.AF_UNIX:
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LAST_RETRY)
        error = sock.connect_ex(sockaddr)
    return error


async def _connect(sock: socket.socket, address: Address) -> None:
    error = await begin_to_connect(sock, address.sockaddr)
    if error in _IN_PROGRESS:
        await writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    if sock.family != socket.AF_UNIX and _met_itself(sock):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens: the socket met itself")


def _met_itself(sock: socket.socket) -> bool:
    # TCP lets a socket connect to itself when the kernel gives it the very port that it asks for (RFC 9293 3.5).
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:  # reset already; or TCP Fast Open waits for data to send before it asks the peer
        return False


async def writable(sock: socket.socket) -> None:
    """Wait until the socket can be written to, or has failed."""
    loop = asyncio.get_running_loop()
    poller = poller_of(loop)
    connected = Wakeup(loop)
    poller.watch(sock.fileno(), WRITABLE, lambda _events: connected.wake())
    try:
        await connected
    finally:
        poller.forget(sock.fileno())


def _adopt(descriptor: int, options: SocketOptions) -> ConnectedSocket:
    """Take over a connected socket that another program passed on."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as exc:
        raise ConnectError(exc.errno or errno.EBADF, f"connect to fd://{descriptor}: {exc.strerror}") from exc
    try:
        if sock.type != socket.SOCK_STREAM:
            raise OSError(errno.EPROTOTYPE, "not a stream socket")
        sock.getpeername()
        sock.setblocking(False)
        return ConnectedSocket(sock, prepare_adopted(sock, options))
    except OSError as exc:
        sock.detach()  # it stays with whoever passed it
        raise ConnectError(exc.errno or errno.ENOTCONN, f"connect to fd://{descriptor}: {exc.strerror}") from exc
