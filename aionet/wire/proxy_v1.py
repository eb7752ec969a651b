"""Version 1 of the PROXY protocol: one line of text (section 2.1)."""

from __future__ import annotations

import socket
from typing import Final

from aionet.address import InetAddress
from aionet.errors import AddressError, ProxyProtocolError
from aionet.wire.proxy_header import ProxyHeader

__all__ = ["BEGIN_V1", "MAX_V1", "build_v1", "parse_v1"]

BEGIN_V1: Final = b"PROXY "
# "PROXY UNKNOWN", two IPv6 addresses and two ports of the greatest length, and CRLF.
MAX_V1: Final = 107

_FAMILIES: Final = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_FIELDS: Final = 5
_MAX_PORT: Final = 0xFFFF


def parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Parse the header that ``data`` begins with; None while its CRLF has not come. As parse_proxy_header."""
    if not data.startswith(BEGIN_V1[: len(data)]):
        raise ProxyProtocolError(f"not a PROXY header of version 1: it begins with {data[: len(BEGIN_V1)]!r}")
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise ProxyProtocolError(f"a PROXY header of version 1 with no CRLF within {MAX_V1} bytes")
        return None
    return _parse_line(data[:end]), end + 2


def _parse_line(line: bytes) -> ProxyHeader:
    family, *fields = line[len(BEGIN_V1) :].split(b" ")
    if family == b"UNKNOWN":
        return ProxyHeader(version=1)  # whatever follows is to be ignored
    if family not in _FAMILIES or len(fields) != _FIELDS - 1:
        raise ProxyProtocolError(f"bad PROXY header {line!r}: expected PROXY TCP4|TCP6 source destination port port")
    try:
        source, destination, source_port, destination_port = (field.decode("ascii") for field in fields)
        return ProxyHeader(
            version=1,
            source=InetAddress(_host(source, _FAMILIES[family]), _port(source_port)),
            destination=InetAddress(_host(destination, _FAMILIES[family]), _port(destination_port)),
        )
    except (AddressError, UnicodeDecodeError) as exc:
        raise ProxyProtocolError(f"bad PROXY header {line!r}: {exc}") from None


def _host(text: str, family: socket.AddressFamily) -> str:
    address = InetAddress(text, 0)
    # A leading zero could be meant as octal, and some systems' inet_pton takes it.
    canonical = address.family == socket.AF_INET6 or socket.inet_ntoa(socket.inet_aton(text)) == text
    if address.family != family or not canonical:
        raise AddressError(f"bad host {text!r}: expected an address of the family that is named, without leading zeros")
    return address.host


def _port(text: str) -> int:
    # isdigit takes digits of other scripts, but the line is ASCII by now.
    if text.isdigit() and len(text) <= len(str(_MAX_PORT)) and str(int(text)) == text and int(text) <= _MAX_PORT:
        return int(text)
    raise AddressError(f"bad port {text!r}: expected 0 to {_MAX_PORT}, without leading zeros")


def build_v1(header: ProxyHeader) -> bytes:
    """Build the line, with its CRLF."""
    source, destination = header.source, header.destination
    if not isinstance(source, InetAddress) or not isinstance(destination, InetAddress):
        return b"PROXY UNKNOWN\r\n"
    family = "TCP4" if source.family == socket.AF_INET else "TCP6"
    return f"PROXY {family} {source.host} {destination.host} {source.port} {destination.port}\r\n".encode("ascii")
