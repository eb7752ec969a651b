"""Groups: joined and left, from any source or from one, over IPv4 and IPv6 with the same calls (RFC 3678 section 5)."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from typing import Final

from aionet.address import InetAddress
from aionet.datagram.sending import SendingEndpoint
from aionet.errors import AddressError, ClosedError, DatagramError
from aionet.system.interfaces import interface_index

__all__ = ["MulticastEndpoint"]

# linux/in.h: MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, and the two for one source.
_JOIN, _LEAVE, _JOIN_SOURCE, _LEAVE_SOURCE = 42, 45, 46, 47
# struct sockaddr_in and sockaddr_in6, as long as a sockaddr_storage; struct group_req begins with the interface.
_SOCKADDR: Final = struct.Struct("H2x4s120x")
_SOCKADDR6: Final = struct.Struct("H2x4x16sI100x")
_GROUP_REQ: Final = struct.Struct("I0P" if struct.calcsize("P") > struct.calcsize("I") else "I")


class MulticastEndpoint(SendingEndpoint):
    """Joins and leaves groups. Each is left when the endpoint is closed."""

    __slots__ = ()

    def join_group(
        self,
        group: str | InetAddress,
        *,
        source: str | InetAddress | None = None,
        interface: str | int | InetAddress | None = None,
    ) -> None:
        """Receive what is sent to a group, on one interface; with ``source``, only what that host sends.

        ``group`` and ``source`` are numeric hosts. ``interface`` is a name, an index, or one of its addresses; None
        leaves it to the routes. An endpoint receives only the groups that it has joined itself; it has to be bound to
        the port, and to the group or to every address.

        Raises:
            AddressError: no group, of another family than the endpoint, or no such interface.
            DatagramError: the system refuses: joined already, or too many groups.
            ClosedError: you closed the endpoint.

        Source: RFC 3678 section 5, ip(7).

        """
        self._change("join_group", _JOIN, _JOIN_SOURCE, group, source, interface)

    def leave_group(
        self,
        group: str | InetAddress,
        *,
        source: str | InetAddress | None = None,
        interface: str | int | InetAddress | None = None,
    ) -> None:
        """Receive no longer what is sent to a group. As join_group; DatagramError where it was not joined."""
        self._change("leave_group", _LEAVE, _LEAVE_SOURCE, group, source, interface)

    def _change(
        self,
        operation: str,
        any_source: int,
        one_source: int,
        group: str | InetAddress,
        source: str | InetAddress | None,
        interface: str | int | InetAddress | None,
    ) -> None:
        if self._transport.is_closing():
            raise ClosedError.of(operation, str(self._local))
        group = group if isinstance(group, InetAddress) else InetAddress(group, 0)
        if group.family != self._family or not ipaddress.ip_address(group.host).is_multicast:
            raise AddressError(f"{operation} {group.host} on {self._local}: expected a multicast address of its family")
        index = group.scope_id if interface is None else interface_index(interface)
        request = _GROUP_REQ.pack(index) + _storage(group)
        if source is not None:
            source = source if isinstance(source, InetAddress) else InetAddress(source, 0)
            if source.family != self._family:
                raise AddressError(f"{operation} {group.host} from {source.host}: the source is of another family")
            request += _storage(source)
        sock: socket.socket = self._transport.get_extra_info("socket")
        level = socket.IPPROTO_IPV6 if self._family == socket.AF_INET6 else socket.IPPROTO_IP
        try:
            if sys.platform != "linux":
                message = "this system's numbers are not known here"
                raise OSError(errno.ENOPROTOOPT, message)
            sock.setsockopt(level, any_source if source is None else one_source, request)
        except OSError as exc:
            raise DatagramError(exc.errno, f"{operation} {group.host} on {self._local}: {exc.strerror}") from exc


def _storage(address: InetAddress) -> bytes:
    packed = socket.inet_pton(address.family, address.host)
    if address.family == socket.AF_INET:
        return _SOCKADDR.pack(address.family, packed)
    return _SOCKADDR6.pack(address.family, packed, address.scope_id)
