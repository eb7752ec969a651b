"""Network interfaces: the index of the one that a name, an index or one of its addresses stands for."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from pathlib import Path
from typing import Final

from aionet.address import InetAddress
from aionet.errors import AddressError

__all__ = ["interface_index"]

_SIOCGIFCONF: Final = 0x8912  # linux/sockios.h
_IFREQ: Final = struct.Struct("16sH2x4s16x" if struct.calcsize("P") == 8 else "16sH2x4s8x")  # noqa: PLR2004 - bytes
_ROOM: Final = 1024  # interface addresses
_IF_INET6: Final = Path("/proc/net/if_inet6")


def interface_index(interface: str | int | InetAddress) -> int:
    """Return the index of an interface, given by name, index, or address (its port does not matter).

    Raises:
        AddressError: there is none; the message names those that there are.

    """
    match interface:
        case InetAddress():
            index = interface.scope_id or _of_address(interface)
        case int():
            index = interface if interface in {index for index, _ in socket.if_nameindex()} else None
        case _:
            index = _of_name(interface)
    if index is None:
        names = ", ".join(f"{name} ({index})" for index, name in socket.if_nameindex())
        shown = repr(interface) if isinstance(interface, str | int) else str(interface.host)
        message = f"no interface {shown} on this machine: expected the name, the index or an address of {names}"
        raise AddressError(message)
    return index


def _of_name(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):
        pass
    try:
        return _of_address(InetAddress(name, 0))
    except AddressError:
        return None


def _of_address(address: InetAddress) -> int | None:
    names = _ipv4_names() if address.family == socket.AF_INET else _ipv6_names()
    name = names.get(socket.inet_pton(address.family, address.host))
    return None if name is None else socket.if_nametoindex(name)


def _ipv4_names() -> dict[bytes, str]:
    """Return the interface of each IPv4 address of this machine. Source: netdevice(7)."""
    room = array.array("B", bytes(_ROOM * _IFREQ.size))
    at, size = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iP", size, at))
    used = struct.unpack("iP", answer)[0]
    entries = _IFREQ.iter_unpack(room[:used].tobytes())
    return {packed: name.rstrip(b"\0").decode() for name, _, packed in entries}


def _ipv6_names() -> dict[bytes, str]:
    """Return the interface of each IPv6 address of this machine. Source: proc_net(5)."""
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:  # no IPv6 here
        return {}
    fields = (line.split() for line in lines)
    return {bytes.fromhex(packed): name for packed, *_, name in fields}
