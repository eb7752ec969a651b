"""What the kernel can do, found out by having it done: over sockets of our own, on the loopback interface."""

from __future__ import annotations

import select
import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aionet.cli.doctor.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["features"]

# linux/udp.h; the socket module has no names for them.
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104

_SEGMENT: Final = 100  # bytes of each of the two datagrams that are tried
_PATIENCE: Final = 1.0  # seconds for a datagram on the loopback interface, which takes microseconds


def features() -> list[Finding]:
    """Return a finding for each feature."""
    return [
        _feature(
            "epoll", _has_epoll, "one set for all connections of a loop", "each connection is the loop's to watch"
        ),
        _feature(
            "GSO",
            _segments_sent,
            "runs of UDP datagrams are sent in one call",
            "each UDP datagram is sent in a call of its own",
            "Linux 4.18 or later",
        ),
        _feature(
            "GRO",
            _segments_received,
            "runs of UDP datagrams are received in one call",
            "each UDP datagram is received in a call of its own",
            "Linux 5.0 or later",
        ),
        _ktls(),
        _feature(
            "SO_REUSEPORT",
            _shares_port,
            "several processes can listen on one port",
            "SocketOptions.reuse_port is refused: one process a port",
        ),
        _feature(
            "IPv6",
            _has_ipv6,
            "tcp://[::1]:80 and its like work",
            "endpoints with IPv6 addresses fail; names and * mean IPv4 alone",
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0",
        ),
    ]


def _feature(name: str, works: Callable[[], bool], means: str, without: str, advice: str | None = None) -> Finding:
    if works():
        return Finding(name, True, "yes", Verdict.OK, means)
    return Finding(name, False, "no", Verdict.LIMITED, without, advice)


def _has_epoll() -> bool:
    try:
        select.epoll().close()
    except (AttributeError, OSError):
        return False
    return True


def _segments_sent() -> bool:
    return _run_of_datagrams(merged=False) == _SEGMENT


def _segments_received() -> bool:
    return _run_of_datagrams(merged=True) == 2 * _SEGMENT


def _run_of_datagrams(*, merged: bool) -> int | None:
    """Send two datagrams in one call and return how many bytes the first receive brings, None where it fails."""
    with ExitStack() as stack:
        try:
            receiver, sender = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(_PATIENCE)
            if merged:
                receiver.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
            sender.connect(receiver.getsockname())
            control = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("H", _SEGMENT))]
            sender.sendmsg([bytes(2 * _SEGMENT)], control)
            return len(receiver.recv(4 * _SEGMENT))
        except OSError:
            return None


def _ktls() -> Finding:
    """Whether the kernel encrypts TLS. To set it on a socket would load the module, so the kernel's list is read."""
    means = "nothing follows yet: aionet has TLS encrypted by OpenSSL, in the process"
    try:
        protocols = Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text(encoding="ascii").split()
    except OSError:
        return Finding("kTLS", None, "unknown", Verdict.UNKNOWN, means)
    loaded = "tls" in protocols
    return Finding("kTLS", loaded, "yes" if loaded else "no", Verdict.OK, means)


def _shares_port() -> bool:
    with socket.socket() as first, socket.socket() as second:
        try:
            for each in (first, second):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.bind(("127.0.0.1", 0))
            second.bind(first.getsockname())
        except (AttributeError, OSError):
            return False
    return True


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
