"""The PROXY protocol: who the original client of a proxied connection is, said in front of its first byte.

Here are the functions for both versions; each version has a file of its own, and proxy_header.py the value that they
share. Source: haproxy's doc/proxy-protocol.txt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from aionet.errors import ProxyProtocolError
from aionet.wire.proxy_v1 import BEGIN_V1, MAX_V1, build_v1, parse_v1
from aionet.wire.proxy_v2 import SIGNATURE_V2, build_v2, parse_v2

if TYPE_CHECKING:
    from aionet.address import Address
    from aionet.wire.proxy_header import ProxyHeader

__all__ = [
    "MAX_HEADER",
    "ProxiedDatagram",
    "ProxyMode",
    "build_proxy_header",
    "max_size_of",
    "parse_proxy_header",
    "split_proxied_datagram",
]

ProxyMode: TypeAlias = Literal["v1", "v2", "either"]

# A header fits into the smallest segment (536 bytes), says the specification, but for a client's certificate.
MAX_HEADER: Final = 4096


def max_size_of(mode: ProxyMode, max_size: int) -> int:
    """Return how many bytes a header of this mode can have."""
    return MAX_V1 if mode == "v1" else max(MAX_V1, max_size)


def parse_proxy_header(
    data: bytes | bytearray | memoryview, *, mode: ProxyMode = "either", max_size: int = MAX_HEADER
) -> tuple[ProxyHeader, int] | None:
    """Parse the header that ``data`` begins with; return it and its size in bytes, or None while more is needed.

    Never looks beyond the header. ``max_size`` bounds one of version 2; version 1 has at most 107 bytes. What is no
    header, or cannot become one, is refused with the first byte that shows it.

    Raises:
        ProxyProtocolError: it is no header, not of this mode, malformed, too long, or its checksum is wrong.

    Source: PROXY protocol, section 2.

    """
    head = bytes(memoryview(data)[: max_size_of(mode, max_size)])
    if not head:
        return None
    if mode != "v2" and BEGIN_V1.startswith(head[:1]):
        return parse_v1(head)
    if mode != "v1" and SIGNATURE_V2.startswith(head[:1]):
        return parse_v2(head, max_size)
    expected = "a PROXY header" if mode == "either" else f"a PROXY header of version {mode[1:]}"
    raise ProxyProtocolError(f"not {expected}: it begins with {head[: len(SIGNATURE_V2)]!r}")


def build_proxy_header(header: ProxyHeader, *, checksum: bool = False) -> bytes:
    """Build the bytes of a header, which are to leave before anything else does, in one piece.

    ``checksum`` adds a CRC32C to version 2; one that is among the TLVs already is computed anew, so that a header that
    came can be changed and passed on.

    Raises:
        ValueError: more than 65551 bytes in all, a Unix path of more than 108, or a checksum in version 1.

    Source: PROXY protocol, section 2.

    """
    if header.version == 1:
        if checksum:
            raise ValueError("checksum=True: version 1 has no checksum")
        return build_v1(header)
    return build_v2(header, checksum=checksum)


@attrs.frozen
class ProxiedDatagram:
    """A datagram without the header that it came with."""

    header: ProxyHeader
    payload: bytes

    @property
    def source(self) -> Address | None:
        """The original sender; None where the proxy speaks for itself or does not say: then it is the peer."""
        return self.header.source

    @property
    def destination(self) -> Address | None:
        """The address that it was sent to; None as ``source``."""
        return self.header.destination


def split_proxied_datagram(datagram: bytes | bytearray | memoryview, *, max_size: int = MAX_HEADER) -> ProxiedDatagram:
    """Take the header off a datagram: each has one of its own, of version 2. The payload may be empty.

    Whether to believe it is a question for ProxyProtocol.trusts.

    Raises:
        ProxyProtocolError: as parse_proxy_header, and for a header that is cut off.

    Source: PROXY protocol, section 2.

    """
    parsed = parse_proxy_header(datagram, mode="v2", max_size=max_size)
    if parsed is None:
        raise ProxyProtocolError(f"a datagram of {len(memoryview(datagram))} bytes ends inside its PROXY header")
    header, size = parsed
    return ProxiedDatagram(header, bytes(memoryview(datagram)[size:]))
