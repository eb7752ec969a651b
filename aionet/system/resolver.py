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

from aionet.address import InetAddress
from aionet.errors import AddressError, ResolveError

__all__ = ["Resolver", "resolve", "reverse"]

# Lookups mostly wait, so there may be more than cores; a name server that is down holds each for some 10 s.
_THREADS = 16
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(Protocol):
    """What turns a host into addresses: ``resolve`` below, or anything that is called the same way."""

    async def __call__(
        self, host: str | None, port: int, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[InetAddress]:
        """Return the addresses of a host, the preferred one first; raise ResolveError where there are none."""


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
    (``fe80::1%eth0``). None is all interfaces with AI_PASSIVE in ``flags``, and loopback without. ``port`` is 0 to 65535.
    ``family`` is AF_INET, AF_INET6 or 0 for both; ``type``, ``proto`` and ``flags`` are as getaddrinfo takes them.

    Cancelling returns at once; a lookup that has begun ends in its thread, unheeded. There is no timeout here but the
    C library's own: asyncio.timeout() sets one.

    Raises ResolveError, with the name and getaddrinfo's error number; AddressError for a port out of range.
    Source: RFC 3493 section 6.1, man 3 getaddrinfo.
    """
    numeric = _wildcards(flags) if host is None else _parse_numeric(host)
    if numeric:
        return _of_family(numeric, host, port, family, flags)
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
