"""Typed options onto sockets, and a report of those that the system refused.

On Linux a socket that accept returns inherits every option here from its listener: buffers, TCP_NODELAY, keepalive,
user timeout, linger. They are set once, on the listener, and an accepted connection costs no system call. Elsewhere
that is not promised, and ``prepare_accepted`` sets them.

An option that cannot be set does no harm to the connection, so it is reported and never raised; and so is one that the
system changed silently, such as a buffer size above its cap.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from aionet.system.ancillary import switch_on
from aionet.system.interfaces import interface_index

if TYPE_CHECKING:
    from aionet.options import DatagramOptions, SocketOptions

__all__ = [
    "RefusedOption",
    "prepare_accepted",
    "prepare_adopted",
    "prepare_connecting",
    "prepare_datagrams",
    "prepare_listening",
]

_LINUX = sys.platform == "linux"
# The socket module names it since Python 3.12; linux/tcp.h always did.
_TCP_FASTOPEN_CONNECT = 30 if _LINUX else None
# Connections that have sent data but not finished their handshake, beyond which others do it the ordinary way: the
# bound against forged addresses that RFC 7413 section 5.1 asks for, well below the backlog.
_FAST_OPEN_QUEUE = 256
# Bits of net.ipv4.tcp_fastopen, which holds for IPv6 too.
_FAST_OPEN_CLIENT, _FAST_OPEN_SERVER = 1, 2
# They decide what bind and connect do.
_BEFORE_BIND = ("reuse_address", "reuse_port", "dual_stack", "fast_open")
# linux/in.h, linux/in6.h: the options, and IP_PMTUDISC_DONT and _DO.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = (10, 23) if _LINUX else (None, None)
_PMTUDISC_DONT, _PMTUDISC_DO = 0, 2
# Off: a socket hears only the groups that it has joined itself, not those of everybody on this machine.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
# nodelay is left out: it is on unless somebody turns it off, and Unix sockets never wait to send.
_INET_ONLY = ("reuse_address", "reuse_port", "keepalive", "user_timeout", "dual_stack", "linger", "fast_open")


@attrs.frozen
class RefusedOption:
    """A socket option that is not in force as it was asked for.

    ``name`` is the field of SocketOptions or DatagramOptions, in its units; ``granted`` is what is in force instead,
    None where that is the system's default or nothing.
    """

    name: str
    requested: object
    granted: float | None
    reason: str

    def __str__(self) -> str:
        return f"{self.name}={self.requested}: {self.reason}; granted: {self.granted}"


def prepare_listening(sock: socket.socket, options: SocketOptions) -> tuple[RefusedOption, ...]:
    """Set the options of a socket that will listen; call it before bind. Returns those that were refused."""
    setter = _Setter(sock)
    if sock.family == socket.AF_UNIX:
        _refuse(setter, options, _INET_ONLY, "Unix sockets have no such option")
    else:
        setter.flag("reuse_address", _number("SO_REUSEADDR"), on=options.reuse_address is not False)
        setter.flag("reuse_port", _number("SO_REUSEPORT"), on=options.reuse_port)
        if sock.family == socket.AF_INET6 and options.dual_stack is not None:
            only = int(not options.dual_stack)
            ipv6_only = _number("IPV6_V6ONLY")
            setter.set("dual_stack", socket.IPPROTO_IPV6, ipv6_only, only, requested=options.dual_stack)
        _set_tcp(setter, options)
        _set_fast_open(setter, options, _number("TCP_FASTOPEN"), _FAST_OPEN_QUEUE, _FAST_OPEN_SERVER)
    _set_buffers(setter, options)
    _check_backlog(setter, options.backlog)
    return tuple(setter.refused)


def prepare_connecting(sock: socket.socket, options: SocketOptions) -> tuple[RefusedOption, ...]:
    """Set the options of a socket that will connect; call it before bind and connect. Returns those refused."""
    setter = _Setter(sock)
    if sock.family == socket.AF_UNIX:
        _refuse(setter, options, _INET_ONLY, "Unix sockets have no such option")
    else:
        setter.flag("reuse_address", _number("SO_REUSEADDR"), on=options.reuse_address is True)
        setter.flag("reuse_port", _number("SO_REUSEPORT"), on=options.reuse_port)
        _set_tcp(setter, options)
        _set_fast_open(setter, options, _TCP_FASTOPEN_CONNECT, 1, _FAST_OPEN_CLIENT)
    _set_buffers(setter, options)
    return tuple(setter.refused)


def prepare_adopted(sock: socket.socket, options: SocketOptions) -> tuple[RefusedOption, ...]:
    """Set the options of a socket that another program has bound or connected. Returns those that were refused."""
    setter = _Setter(sock)
    if sock.family == socket.AF_UNIX:
        _refuse(setter, options, _INET_ONLY, "Unix sockets have no such option")
    else:
        _refuse(setter, options, _BEFORE_BIND, "too late: the socket came bound")
        _set_tcp(setter, options)
    _set_buffers(setter, options)
    return tuple(setter.refused)


def prepare_accepted(sock: socket.socket, options: SocketOptions) -> tuple[RefusedOption, ...]:
    """Set what a socket did not inherit from a listener that was prepared above. Returns the options refused."""
    if _LINUX:
        return ()
    setter = _Setter(sock)
    if sock.family != socket.AF_UNIX:
        _set_tcp(setter, options)
    _set_buffers(setter, options)
    return tuple(setter.refused)


def prepare_datagrams(sock: socket.socket, options: DatagramOptions) -> tuple[RefusedOption, ...]:
    """Set the options of a datagram socket; call it before bind and connect. Returns those that were refused.

    Raises:
        AddressError: there is no such interface as ``multicast_interface``.

    """
    setter = _Setter(sock)
    _set_buffers(setter, options)
    if sock.family == socket.AF_UNIX:
        for name in _INET_DATAGRAMS_ONLY:
            value = getattr(options, name)
            if value is not None and value is not False:
                setter.refuse(name, value, None, "Unix sockets have no such option")
    else:
        setter.flag("reuse_address", _number("SO_REUSEADDR"), on=options.reuse_address)
        setter.flag("reuse_port", _number("SO_REUSEPORT"), on=options.reuse_port)
        setter.flag("broadcast", _number("SO_BROADCAST"), on=options.broadcast)
        _set_ip(setter, options)
        _set_multicast(setter, options)
    for name in ("pktinfo", "receive_ecn", "timestamps", "gro"):
        if getattr(options, name) and (reason := switch_on(sock, name)) is not None:
            setter.refuse(name, True, None, reason)
    return tuple(setter.refused)


_INET_DATAGRAMS_ONLY = (
    *("reuse_address", "reuse_port", "broadcast", "dual_stack", "ttl", "dont_fragment", "ecn"),
    *("multicast_interface", "multicast_ttl", "multicast_loopback"),
)


def _set_ip(setter: _Setter, options: DatagramOptions) -> None:
    ipv4 = socket.IPPROTO_IP
    fragment = None if options.dont_fragment is None else _PMTUDISC_DO if options.dont_fragment else _PMTUDISC_DONT
    # An IPv6 socket that takes IPv4 too has the options of both.
    if setter.ipv6:
        ipv6 = socket.IPPROTO_IPV6
        if options.dual_stack is not None:
            only, number = int(not options.dual_stack), _number("IPV6_V6ONLY")
            setter.set("dual_stack", ipv6, number, only, requested=options.dual_stack)
        setter.optional("ttl", options.ttl, ipv6, _number("IPV6_UNICAST_HOPS"))
        setter.optional("ecn", options.ecn, ipv6, _number("IPV6_TCLASS"))
        setter.optional("dont_fragment", fragment, ipv6, _IPV6_MTU_DISCOVER)
    setter.optional("ttl", options.ttl, ipv4, _number("IP_TTL"))
    setter.optional("ecn", options.ecn, ipv4, _number("IP_TOS"))
    setter.optional("dont_fragment", fragment, ipv4, _IP_MTU_DISCOVER)


def _set_multicast(setter: _Setter, options: DatagramOptions) -> None:
    interface = options.multicast_interface
    index = None if interface is None else interface_index(interface)
    loopback = None if options.multicast_loopback is None else int(options.multicast_loopback)
    if setter.ipv6:
        ipv6 = socket.IPPROTO_IPV6
        setter.optional("multicast_interface", index, ipv6, _number("IPV6_MULTICAST_IF"))
        setter.optional("multicast_ttl", options.multicast_ttl, ipv6, _number("IPV6_MULTICAST_HOPS"))
        setter.optional("multicast_loopback", loopback, ipv6, _number("IPV6_MULTICAST_LOOP"))
        if _LINUX:
            setter.optional("multicast", 0, ipv6, _IPV6_MULTICAST_ALL)
        return
    ipv4 = socket.IPPROTO_IP
    if index is not None:
        mreqn = struct.pack("4s4si", bytes(4), bytes(4), index)
        setter.set("multicast_interface", ipv4, _number("IP_MULTICAST_IF"), mreqn, requested=interface)
    setter.optional("multicast_ttl", options.multicast_ttl, ipv4, _number("IP_MULTICAST_TTL"))
    setter.optional("multicast_loopback", loopback, ipv4, _number("IP_MULTICAST_LOOP"))
    if _LINUX:
        setter.optional("multicast", 0, ipv4, _IP_MULTICAST_ALL)


def _set_tcp(setter: _Setter, options: SocketOptions) -> None:
    tcp = socket.IPPROTO_TCP
    setter.set("nodelay", tcp, _number("TCP_NODELAY"), int(options.nodelay), requested=options.nodelay)
    if options.keepalive:
        setter.flag("keepalive", _number("SO_KEEPALIVE"), on=True)
        # macOS has its own name for the first.
        idle = _number("TCP_KEEPIDLE", "TCP_KEEPALIVE")
        setter.optional("keepalive_idle", options.keepalive_idle, tcp, idle)
        setter.optional("keepalive_interval", options.keepalive_interval, tcp, _number("TCP_KEEPINTVL"))
        setter.optional("keepalive_count", options.keepalive_count, tcp, _number("TCP_KEEPCNT"))
    if options.user_timeout is not None:
        milliseconds = max(1, round(options.user_timeout * 1000))
        number = _number("TCP_USER_TIMEOUT")
        setter.set("user_timeout", tcp, number, milliseconds, requested=options.user_timeout)
    if options.linger is not None:
        on_and_seconds = struct.pack("ii", 1, options.linger)
        number = _number("SO_LINGER")
        setter.set("linger", socket.SOL_SOCKET, number, on_and_seconds, requested=options.linger)


def _set_buffers(setter: _Setter, options: SocketOptions | DatagramOptions) -> None:
    setter.buffer("receive_buffer", options.receive_buffer, socket.SO_RCVBUF)
    setter.buffer("send_buffer", options.send_buffer, socket.SO_SNDBUF)


def _set_fast_open(setter: _Setter, options: SocketOptions, number: int | None, value: int, needed: int) -> None:
    if not options.fast_open:
        return
    enabled = _sysctl("net.ipv4.tcp_fastopen")
    # Linux takes the listener's option even where Fast Open is switched off for servers; it then does nothing.
    if enabled is not None and not enabled & needed:
        reason = f"switched off: net.ipv4.tcp_fastopen={enabled} lacks bit {needed}"
        setter.refuse("fast_open", options.fast_open, None, reason)
        return
    setter.set("fast_open", socket.IPPROTO_TCP, number, value, requested=options.fast_open)


def _check_backlog(setter: _Setter, requested: int) -> None:
    cap = _sysctl("net.core.somaxconn")
    if cap is not None and requested > cap:
        setter.refuse("backlog", requested, cap, "capped by net.core.somaxconn")


def _refuse(setter: _Setter, options: SocketOptions, names: tuple[str, ...], reason: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and value is not False:
            setter.refuse(name, value, None, reason)


def _number(*names: str) -> int | None:
    return next((getattr(socket, name) for name in names if hasattr(socket, name)), None)


def _sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class _Setter:
    """Sets options on one socket and keeps the list of those that were refused."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.ipv6 = sock.family == socket.AF_INET6
        self.refused: list[RefusedOption] = []

    def set(self, name: str, level: int, number: int | None, value: int | bytes, *, requested: object) -> bool:
        if number is None:
            self.refuse(name, requested, None, "this system has no such option")
            return False
        try:
            self._sock.setsockopt(level, number, value)
        except OSError as error:
            self.refuse(name, requested, None, error.strerror or str(error))
            return False
        return True

    def flag(self, name: str, number: int | None, *, on: bool) -> None:
        if on:
            self.set(name, socket.SOL_SOCKET, number, 1, requested=on)

    def optional(self, name: str, value: int | None, level: int, number: int | None) -> None:
        if value is not None:
            self.set(name, level, number, value, requested=value)

    def buffer(self, name: str, requested: int | None, number: int) -> None:
        if requested is None or not self.set(name, socket.SOL_SOCKET, number, requested, requested=requested):
            return
        granted = self._sock.getsockopt(socket.SOL_SOCKET, number)
        # Linux doubles what it is given, for its own overhead, and reads back the double (man 7 socket).
        granted = granted // 2 if _LINUX else granted
        if granted < requested:
            self.refuse(name, requested, granted, "capped by the system (Linux: net.core.rmem_max and wmem_max)")
        elif granted > requested:
            self.refuse(name, requested, granted, "raised to the system's minimum")

    def refuse(self, name: str, requested: object, granted: float | None, reason: str) -> None:
        self.refused.append(RefusedOption(name, requested, granted, reason))
