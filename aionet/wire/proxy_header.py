"""ProxyHeader: what the PROXY protocol says of a connection, in either version."""

from __future__ import annotations

import socket
from typing import Final

import attrs

from aionet.address import Address, InetAddress
from aionet.wire.proxy_tlv import ProxySSL, ProxyTLV, ProxyTLVType, find_value, text_of

__all__ = ["ProxyHeader"]

_VERSIONS: Final = (1, 2)
_TYPES: Final = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


@attrs.frozen(kw_only=True)
class ProxyHeader:
    """Who the original client is, and what it connected to.

    | field | default | meaning |
    |---|---|---|
    | ``version`` | 2 | 1 is a line of text, for TCP alone; 2 is binary |
    | ``source`` | None | the original client; None: the proxy does not say (UNKNOWN, UNSPEC, LOCAL) |
    | ``destination`` | None | the address that the client connected to; None as ``source`` |
    | ``type`` | SOCK_STREAM | or SOCK_DGRAM, of the original connection |
    | ``local`` | False | LOCAL: the proxy speaks for itself, as in a health check |
    | ``tlvs`` | () | what version 2 says beside the addresses, in the order in which it came |

    Scope ids and flow labels of IPv6 are not sent: the protocol has no place for them.

    Raises ValueError for what the version cannot say, and for addresses of different families.
    Source: PROXY protocol, sections 2.1 and 2.2 (haproxy's doc/proxy-protocol.txt).
    """

    version: int = 2
    source: Address | None = None
    destination: Address | None = None
    type: int = socket.SOCK_STREAM
    local: bool = False
    tlvs: tuple[ProxyTLV, ...] = ()

    def __attrs_post_init__(self) -> None:
        source, destination = self.source, self.destination
        if self.version not in _VERSIONS or self.type not in _TYPES:
            raise ValueError(f"bad version={self.version!r} or type={self.type!r}: expected 1 or 2, stream or datagram")
        if source is None or destination is None:
            if source is not destination:
                raise ValueError(f"source={source} and destination={destination}: expected both addresses, or neither")
        elif source.family != destination.family:
            raise ValueError(f"source={source} and destination={destination} are of different families")
        elif self.local:
            raise ValueError(f"source={source} in a LOCAL header, which has no addresses")
        if self.version == 1:
            self._check_version_1()

    def _check_version_1(self) -> None:
        if self.local or self.tlvs or self.type != socket.SOCK_STREAM:
            raise ValueError("version 1 has no LOCAL, no TLVs and no datagrams: expected version=2")
        if self.source is not None and not isinstance(self.source, InetAddress):
            raise ValueError(f"source={self.source}: version 1 is for TCP: expected an InetAddress, or version=2")

    @property
    def alpn(self) -> bytes | None:
        """The protocol that the client and the proxy agreed on, such as ``b"h2"``."""
        return find_value(self.tlvs, ProxyTLVType.ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for: with TLS, its SNI."""
        return text_of(self.tlvs, ProxyTLVType.AUTHORITY)

    @property
    def unique_id(self) -> bytes | None:
        """The proxy's name for the connection, at most 128 bytes."""
        return find_value(self.tlvs, ProxyTLVType.UNIQUE_ID)

    @property
    def ssl(self) -> ProxySSL | None:
        """How the client spoke TLS with the proxy. A header that came has been checked, and this raises nothing."""
        value = find_value(self.tlvs, ProxyTLVType.SSL)
        return None if value is None else ProxySSL.parse(value)

    @property
    def netns(self) -> str | None:
        """The proxy's network namespace."""
        return text_of(self.tlvs, ProxyTLVType.NETNS)
