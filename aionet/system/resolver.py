"""Names to addresses and back: getaddrinfo and getnameinfo, awaitable.

Numeric hosts are answered at once and never touch a thread. Names go to the C library in a pool of threads of
aionet's own: asyncio would put them into the loop's default executor, where a few lookups that hang take every thread
from work that has nothing to do with names.
"""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Protocol

import attrs

from aionet.address import InetAddress, from_sockaddr
from aionet.errors import AddressError, ResolveError

__all__ = ["Resolver", "resolve", "reverse"]

# Lookups mostly wait, so there may be more than cores; a name server that is down holds each for some 10 s.
_THREADS = 16
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(Protocol):
    """What turns a host into addresses: ``resolve`` below, or anything that is called the same way."""

    async def __call__(
        self,
        host: str | None,
        port: int,
        *,
        family: int = 0,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        flags: int = 0,
    ) -> list[InetAddress]:
        """Return the addresses of a host, the preferred one first; raise ResolveError where there are none."""
        ...


async def resolve(
    host: str | None,
    port: int,
    *,
    family: int = 0,
    type: int = socket.SOCK_STREAM,
    proto: int = 0,
    flags: int = 0,
) -> list[InetAddress]:
    """Return the addresses of a host, without duplicates, in the order that the system prefers (RFC 6724).

    ``host`` is a name, an IPv4 address, or an IPv6 address without brackets, perhaps with a scope by name or number
    (``fe80::1%eth0``). None is all interfaces with AI_PASSIVE in ``flags``, and loopback without. ``port`` is 0 to
    65535. ``family`` is AF_INET, AF_INET6 or 0 for both; ``type``, ``proto`` and ``flags`` are getaddrinfo's.

    Cancelling returns at once; a lookup that has begun ends in its thread, unheeded. There is no timeout here but the
    C library's own: asyncio.timeout() sets one.

    Raises ResolveError, with the name and getaddrinfo's error number; AddressError for a port or scope out of range.
    Source: RFC 3493 section 6.1, man 3 getaddrinfo.
    """
    # The C library would take a port that is too large modulo 65536: an address refuses it.
    anywhere = InetAddress("::", port)
    if host is None:
        return _of_family(_every_or_loopback(anywhere, flags), host, family, flags)
    numeric = _parse_numeric(host, port)
    if numeric is not None:
        return _of_family([numeric], host, family, flags)
    lookup = partial(_getaddrinfo, host, port, family, type, proto, flags)
    return await asyncio.get_running_loop().run_in_executor(_pool(), lookup)


async def reverse(address: InetAddress, *, flags: int = 0) -> tuple[str, str]:
    """Return the name of an address's host and of its port's service; numbers where they have no names.

    ``flags`` are getnameinfo's: NI_NAMEREQD makes a host without a name an error, NI_DGRAM asks for the UDP service;
    NI_NUMERICHOST and NI_NUMERICSERV ask for the number, and with both no thread is used. A UDP or TCP peer may choose
    the name that its address resolves to: it proves nothing.

    Cancelling returns at once; a lookup that has begun ends in its thread, unheeded.

    Raises ResolveError, with the address and getnameinfo's error number.
    Source: RFC 3493 section 6.2, man 3 getnameinfo.
    """
    if flags & _NUMERIC == _NUMERIC:
        return _getnameinfo(address, flags)
    return await asyncio.get_running_loop().run_in_executor(_pool(), _getnameinfo, address, flags)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="aionet-resolver")


# A forked child has the pool but none of its threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _every_or_loopback(anywhere: InetAddress, flags: int) -> list[InetAddress]:
    # The order of the families is glibc's.
    if flags & socket.AI_PASSIVE:
        return [InetAddress("0.0.0.0", anywhere.port), anywhere]  # noqa: S104 - what AI_PASSIVE asks for
    return [InetAddress("::1", anywhere.port), InetAddress("127.0.0.1", anywhere.port)]


def _parse_numeric(host: str, port: int) -> InetAddress | None:
    text, percent, scope = host.partition("%")
    try:
        address = InetAddress(text, port)
    except AddressError:
        return None
    if not percent:
        return address
    if address.family != socket.AF_INET6:
        return None
    return attrs.evolve(address, scope_id=_scope_id(host, scope))


def _scope_id(host: str, scope: str) -> int:
    if scope.isascii() and scope.isdigit() and len(scope) <= len(str(2**32)):
        return int(scope)
    try:
        return socket.if_nametoindex(scope)
    except (OSError, ValueError) as error:
        raise _cannot(host, socket.EAI_NONAME, f"no interface is called {scope!r}") from error


def _of_family(addresses: list[InetAddress], host: str | None, family: int, flags: int) -> list[InetAddress]:
    found = [address for address in addresses if family in (0, address.family)]
    if not found and family == socket.AF_INET6 and flags & socket.AI_V4MAPPED:
        found = [InetAddress(f"::ffff:{address.host}", address.port) for address in addresses]
    if not found:
        raise _cannot(host, socket.EAI_ADDRFAMILY, "it is an address of another family")
    return found


def _getaddrinfo(host: str, port: int, family: int, type_: int, proto: int, flags: int) -> list[InetAddress]:
    try:
        answers = socket.getaddrinfo(host, port, family, type_, proto, flags)
    except OSError as error:
        raise _of_the_library(host, error) from error
    except UnicodeError as error:
        # From the IDNA codec: an empty label, or one of more than 63 characters.
        raise _cannot(host, socket.EAI_NONAME, str(error)) from error
    addresses = [from_sockaddr(answer[0], answer[4]) for answer in answers]
    # One address comes once for each socket type and protocol that was asked for.
    return list(dict.fromkeys(address for address in addresses if isinstance(address, InetAddress)))


def _getnameinfo(address: InetAddress, flags: int) -> tuple[str, str]:
    try:
        return socket.getnameinfo(address.sockaddr, flags)
    except OSError as error:
        raise _of_the_library(str(address), error) from error


def _of_the_library(what: str, error: OSError) -> ResolveError:
    # With EAI_SYSTEM the socket module raises a plain OSError, whose errno is of another numbering.
    number = error.errno if isinstance(error, socket.gaierror) else None
    return _cannot(what, socket.EAI_SYSTEM if number is None else number, error.strerror or str(error))


def _cannot(what: str | None, number: int, reason: str) -> ResolveError:
    return ResolveError(number, f"cannot resolve {what!r}: {reason}")
