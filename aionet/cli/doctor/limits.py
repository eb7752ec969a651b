"""The limits that the system sets: read where it tells them, tried where it does not."""

from __future__ import annotations

import resource
import socket
import sys
from pathlib import Path
from typing import Final

from aionet.cli.doctor.finding import Finding, Verdict
from aionet.options import SocketOptions
from aionet.server.admission import default_max_connections

__all__ = ["limits"]

# A burst of 8 ms at 1 Gbit/s: as long as an event loop may be busy with something else, now and then.
_BURST: Final = 1024 * 1024
_BYTES_A_MILLISECOND: Final = 125_000  # 1 Gbit/s
_ASKED: Final = 2**30  # more than any system grants
_WANTED_BUFFER: Final = 4 * 1024 * 1024

# What Server takes at most by itself, and the descriptors of which that is 80 %.
_CONNECTIONS: Final = 10_000
_DESCRIPTORS: Final = 12_500

_FAST_OPEN_CLIENT, _FAST_OPEN_SERVER = 1, 2  # bits of net.ipv4.tcp_fastopen


def limits() -> list[Finding]:
    """Return a finding for each limit."""
    return [
        _descriptors(),
        _backlog(),
        _buffer("rmem_max", socket.SO_RCVBUF, "receive", "bursts beyond it are dropped"),
        _buffer("wmem_max", socket.SO_SNDBUF, "send", "a sender that is ahead of the network waits"),
        _fast_open(),
        _ports(),
    ]


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = default_max_connections()
    means = f"a server takes {connections} connections at a time by itself; others wait in its backlog"
    if connections >= _CONNECTIONS:
        return Finding("RLIMIT_NOFILE", soft, str(soft), Verdict.OK, means)
    if hard == resource.RLIM_INFINITY or hard >= _DESCRIPTORS:
        advice = f"ulimit -n {_DESCRIPTORS}"
    else:
        advice = f"LimitNOFILE={_DESCRIPTORS} in the systemd unit, or nofile in /etc/security/limits.conf"
    return Finding("RLIMIT_NOFILE", soft, f"{soft} of {hard}", Verdict.LIMITED, means, advice)


def _backlog() -> Finding:
    wanted, found = SocketOptions().backlog, _sysctl("net.core.somaxconn")
    if found is None:
        return _unknown("somaxconn", "caps the backlog: connections that wait to be accepted")
    granted = min(int(found), wanted)
    means = f"{granted} connections can wait to be accepted; servers ask for {wanted}"
    if granted < wanted:
        return _limited("somaxconn", int(found), f"{means}, more are dropped", f"net.core.somaxconn={wanted}")
    return Finding("somaxconn", int(found), found, Verdict.OK, means)


def _buffer(name: str, option: int, which: str, beyond: str) -> Finding:
    """Ask for a large buffer and see what is granted: that also answers where /proc/sys does not show the limit."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, _ASKED)
        except OSError as error:  # where a system refuses what it does not grant
            return _unknown(name, f"caps SocketOptions.{which}_buffer ({error.strerror})")
        granted = sock.getsockopt(socket.SOL_SOCKET, option)
    if sys.platform == "linux":
        granted //= 2  # it doubles what it grants, for its own overhead (socket(7))
    milliseconds = granted / _BYTES_A_MILLISECOND
    means = f"a UDP socket's {which} buffer holds {milliseconds:.1f} ms of 1 Gbit/s at most; {beyond}"
    if granted < _BURST:
        return _limited(name, granted, means, f"net.core.{name}={_WANTED_BUFFER}", _size(granted))
    return Finding(name, granted, _size(granted), Verdict.OK, means)


def _fast_open() -> Finding:
    found = _sysctl("net.ipv4.tcp_fastopen")
    if found is None:
        return _unknown("tcp_fastopen", "whether SocketOptions.fast_open works")
    bits = int(found)
    wanted = {"clients": _FAST_OPEN_CLIENT, "servers": _FAST_OPEN_SERVER}
    without = [who for who, bit in wanted.items() if not bits & bit]
    if not without:
        means = "SocketOptions.fast_open saves a round trip where it is asked for"
        return Finding("tcp_fastopen", bits, found, Verdict.OK, means)
    means = f"SocketOptions.fast_open is refused to {' and '.join(without)}: data waits for the handshake"
    return _limited("tcp_fastopen", bits, means, "net.ipv4.tcp_fastopen=3")


def _ports() -> Finding:
    name, found = "ip_local_port_range", _sysctl("net.ipv4.ip_local_port_range")
    if found is None:
        return _unknown(name, "caps connections from one address to one endpoint")
    first, last = map(int, found.split())
    means = f"{last - first + 1} connections from one address to one endpoint at a time"
    if last - first + 1 < _CONNECTIONS:
        return _limited(name, f"{first}-{last}", means, 'net.ipv4.ip_local_port_range="32768 60999"')
    return Finding(name, f"{first}-{last}", f"{first}-{last}", Verdict.OK, means)


def _limited(name: str, found: int | str, means: str, setting: str, shown: str | None = None) -> Finding:
    return Finding(name, found, shown or str(found), Verdict.LIMITED, means, f"sysctl -w {setting}")


def _unknown(name: str, means: str) -> Finding:
    return Finding(name, None, "unknown", Verdict.UNKNOWN, f"{means}; this system does not tell")


def _size(count: int) -> str:
    return f"{count / 2**20:.3g} MiB" if count >= 2**20 else f"{count / 2**10:.3g} KiB"


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text(encoding="ascii").strip()
    except OSError:
        return None
