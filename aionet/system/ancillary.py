"""Control messages of datagrams: what recvmsg tells beside the data, and what sendmsg is told.

The socket module lacks the names of most of them; the numbers are Linux's, which are the same on every architecture
that Python runs on but for SO_TIMESTAMPNS. Elsewhere nothing is asked for: ``available`` says so, and what a caller
asked for is reported as a refused option.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from aionet.address import InetAddress
from aionet.errors import AddressError
from aionet.options import ECN

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "SO_MEMINFO",
    "UDP_GRO",
    "UDP_SEGMENT",
    "Control",
    "control_size",
    "ecn_message",
    "local_message",
    "parse",
    "segment_message",
    "segment_size",
    "switch_on",
]

_LINUX: Final = sys.platform == "linux"

# linux/udp.h
UDP_SEGMENT: Final = 103 if _LINUX else None
UDP_GRO: Final = 104 if _LINUX else None
# asm-generic/socket.h; parisc and sparc have numbers of their own, which we do not know.
SO_MEMINFO: Final = 55 if _LINUX else None
SO_TIMESTAMPNS: Final = 35 if _LINUX and struct.calcsize("l") == 8 else None  # noqa: PLR2004 - bytes
# linux/in.h, linux/in6.h
_IP_PKTINFO: Final = 8
_IP_TOS: Final = socket.IP_TOS
_IPV6_PKTINFO: Final = 50
_IPV6_TCLASS: Final = 67
_RECEIVE_PKTINFO: Final = ((socket.AF_INET, socket.IPPROTO_IP, 8), (socket.AF_INET6, socket.IPPROTO_IPV6, 49))
# An IPv6 socket that takes IPv4 too is told the type of service of what came by IPv4.
_RECEIVE_TOS: Final = (
    (socket.AF_INET, socket.IPPROTO_IP, 13),
    (socket.AF_INET6, socket.IPPROTO_IPV6, 66),
    (socket.AF_INET6, socket.IPPROTO_IP, 13),
)

_INT: Final = struct.Struct("i")
_TIMESPEC: Final = struct.Struct("ll")
# The interface, our address there (to answer from, though the datagram was sent to a group), the one in the header.
_IN_PKTINFO: Final = struct.Struct("I4s4s")
_IN6_PKTINFO: Final = struct.Struct("16sI")
_ECN_BITS: Final = 0b11
_SECOND: Final = 1_000_000_000  # nanoseconds
_LINK_LOCAL: Final = ipaddress.IPv6Network("fe80::/10")
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # RFC 4291 section 2.5.5.2

ControlMessage = tuple[int, int, bytes]


class Control(NamedTuple):
    """What the control messages of one read said: nothing, unless it was asked for."""

    local: InetAddress | None
    ecn: ECN | None
    timestamp: int | None  # nanoseconds since the epoch


_ECN_OF: Final = (ECN.NOT_ECT, ECN.ECT_1, ECN.ECT_0, ECN.CE)


def switch_on(sock: socket.socket, what: str) -> str | None:
    """Ask for the control messages of ``pktinfo``, ``receive_ecn``, ``timestamps`` or ``gro``; say why not, if not."""
    options: Iterable[tuple[int, int, int | None]]
    match what:
        case "pktinfo":
            options = _RECEIVE_PKTINFO
        case "receive_ecn":
            options = _RECEIVE_TOS
        case "timestamps":
            options = ((sock.family, socket.SOL_SOCKET, SO_TIMESTAMPNS),)
        case _:
            options = ((socket.AF_INET, socket.IPPROTO_UDP, UDP_GRO), (socket.AF_INET6, socket.IPPROTO_UDP, UDP_GRO))
    reason: str | None = "this kind of socket has no such option"
    for family, level, number in options:
        if family != sock.family or number is None or not _LINUX:
            continue
        try:
            sock.setsockopt(level, number, 1)
        except OSError as exc:
            return exc.strerror or str(exc)
        reason = None
    return reason


def control_size() -> int:
    """Return the room that all control messages together need: of both families, and the option of each."""
    sizes = (_INT.size, _INT.size, _INT.size, _TIMESPEC.size, _IN_PKTINFO.size, _IN6_PKTINFO.size)
    return sum(map(socket.CMSG_SPACE, sizes))


def segment_size(messages: Iterable[ControlMessage]) -> int:
    """Return the size of each datagram in a run of them; 0: there is one."""
    for level, type_, value in messages:
        if type_ == UDP_GRO and level == socket.IPPROTO_UDP:
            size: int = _INT.unpack_from(value)[0]
            return size
    return 0


def parse(messages: Iterable[ControlMessage], port: int) -> Control:
    """Make sense of the control messages; ``port`` is ours. Those of other kinds, and short ones, are left aside."""
    local: InetAddress | None = None
    ecn: ECN | None = None
    timestamp: int | None = None
    for level, type_, value in messages:
        if level == socket.IPPROTO_IP and type_ == _IP_PKTINFO and len(value) >= _IN_PKTINFO.size:
            local = InetAddress(socket.inet_ntop(socket.AF_INET, _IN_PKTINFO.unpack_from(value)[1]), port)
        elif level == socket.IPPROTO_IPV6 and type_ == _IPV6_PKTINFO and len(value) >= _IN6_PKTINFO.size:
            local = _local6(_IN6_PKTINFO.unpack_from(value), port)
        elif level == socket.IPPROTO_IP and type_ == _IP_TOS and value:
            ecn = _ECN_OF[value[0] & _ECN_BITS]
        elif level == socket.IPPROTO_IPV6 and type_ == _IPV6_TCLASS and len(value) >= _INT.size:
            (traffic_class,) = _INT.unpack_from(value)
            ecn = _ECN_OF[int(traffic_class) & _ECN_BITS]
        elif level == socket.SOL_SOCKET and type_ == SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            timestamp = seconds * _SECOND + nanoseconds
    return Control(local, ecn, timestamp)


def _local6(pktinfo: tuple[bytes, int], port: int) -> InetAddress:
    packed, interface = pktinfo
    # Link-local addresses alone mean something else on each interface.
    scope = interface if ipaddress.IPv6Address(packed) in _LINK_LOCAL else 0
    return InetAddress(socket.inet_ntop(socket.AF_INET6, packed), port, 0, scope)


def segment_message(size: int) -> ControlMessage:
    """Tell the kernel to cut the data into datagrams of ``size`` bytes, the last one perhaps shorter."""
    return (socket.IPPROTO_UDP, UDP_SEGMENT or 0, struct.pack("H", size))


def local_message(local: InetAddress, family: int) -> ControlMessage:
    """Tell the kernel the local address that a datagram leaves from; ``family`` is the socket's.

    Raises:
        AddressError: an IPv6 address on an IPv4 socket.

    """
    packed = socket.inet_pton(local.family, local.host)
    if family == socket.AF_INET:
        if local.family != socket.AF_INET:
            message = f"local={local}: an IPv6 address, and the endpoint is IPv4"
            raise AddressError(message)
        return (socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(0, packed, bytes(4)))
    if local.family == socket.AF_INET:
        packed = _MAPPED + packed
    return (socket.IPPROTO_IPV6, _IPV6_PKTINFO, _IN6_PKTINFO.pack(packed, local.scope_id))


def ecn_message(ecn: int, *, ipv6: bool) -> ControlMessage:
    """Tell the kernel the ECN bits of a datagram; ``ipv6`` says how it travels."""
    if ipv6:
        return (socket.IPPROTO_IPV6, _IPV6_TCLASS, _INT.pack(ecn))
    return (socket.IPPROTO_IP, _IP_TOS, _INT.pack(ecn))
