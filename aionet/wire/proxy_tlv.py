r"""What a PROXY protocol header of version 2 says beside the addresses: type, length, value (section 2.2).

A TLV of a type that nobody here knows is kept as it came. Text is shown with bytes that are no UTF-8 as ``\xNN``: it
comes from the proxy's client (a host name, a certificate), and no client may turn it into an error. The bytes
themselves are in the TLV.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

import attrs

from aionet.errors import ProxyProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ProxySSL", "ProxyTLV", "ProxyTLVType", "build_tlvs", "find_value", "parse_tlvs", "text_of"]

_HEAD: Final = struct.Struct("!BH")
_SSL_HEAD: Final = struct.Struct("!BI")
_MAX_TYPE: Final = 0xFF
_MAX_LENGTH: Final = 0xFFFF
_MAX_VERIFY: Final = 0xFFFFFFFF

# The bits of PP2_TYPE_SSL's first byte.
_CLIENT_SSL: Final = 0x01
_CLIENT_CERTIFICATE: Final = 0x02 | 0x04  # on this connection, or earlier in its TLS session


class ProxyTLVType(IntEnum):
    """The types that the specification gives a meaning; those that begin with SSL_ stand inside SSL."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    SSL_GROUP = 0x26
    SSL_SIG_SCHEME = 0x27
    SSL_CLIENT_CERT = 0x28
    NETNS = 0x30


@attrs.frozen
class ProxyTLV:
    """A type (0 to 255; ProxyTLVType names those that are known) and a value of at most 65535 bytes.

    Raises ValueError for a type or a value out of range.
    Source: PROXY protocol, section 2.2.
    """

    type: int
    value: bytes

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.type <= _MAX_TYPE:
            raise ValueError(f"bad TLV type {self.type!r}: expected 0 to {_MAX_TYPE}")
        if len(self.value) > _MAX_LENGTH:
            raise ValueError(f"the value of TLV {self.type:#04x} has {len(self.value)} bytes: at most {_MAX_LENGTH}")


def parse_tlvs(data: bytes, where: str) -> tuple[ProxyTLV, ...]:
    """Parse what has to be TLVs to its last byte; ``where`` they stand is for the message.

    Raises:
        ProxyProtocolError: one is longer than what is left.

    """
    tlvs: list[ProxyTLV] = []
    position = 0
    while position < len(data):
        value = position + _HEAD.size
        if value > len(data):
            raise ProxyProtocolError(f"{where} ends inside a TLV's type and length")
        type_, length = _HEAD.unpack_from(data, position)
        position = value + length
        if position > len(data):
            left = len(data) - value
            raise ProxyProtocolError(f"TLV {type_:#04x} of {length} bytes reaches beyond {where}: {left} are left")
        tlvs.append(ProxyTLV(type_, data[value:position]))
    return tuple(tlvs)


def build_tlvs(tlvs: Iterable[ProxyTLV]) -> bytes:
    """Build what parse_tlvs parses."""
    return b"".join(_HEAD.pack(tlv.type, len(tlv.value)) + tlv.value for tlv in tlvs)


def find_value(tlvs: tuple[ProxyTLV, ...], type_: ProxyTLVType) -> bytes | None:
    """Return the value of the first TLV of a type, or None."""
    return next((tlv.value for tlv in tlvs if tlv.type == type_), None)


def text_of(tlvs: tuple[ProxyTLV, ...], type_: ProxyTLVType) -> str | None:
    """Return such a value as text."""
    value = find_value(tlvs, type_)
    return None if value is None else value.decode("utf-8", "backslashreplace")


@attrs.frozen(kw_only=True)
class ProxySSL:
    """How the client spoke TLS with the proxy.

    ``client`` holds the bits PP2_CLIENT_SSL (1), PP2_CLIENT_CERT_CONN (2) and PP2_CLIENT_CERT_SESS (4); ``verify`` is
    0 where the client's certificate was found good; ``tlvs`` says the rest.

    Raises ValueError for numbers out of range.
    Source: PROXY protocol, section 2.2.6.
    """

    client: int = _CLIENT_SSL
    verify: int = 0
    tlvs: tuple[ProxyTLV, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.client <= _MAX_TYPE or not 0 <= self.verify <= _MAX_VERIFY:
            raise ValueError(f"bad client={self.client!r} or verify={self.verify!r}: expected 8 and 32 bits")

    @classmethod
    def parse(cls, value: bytes) -> Self:
        """Parse the value of a TLV of type SSL.

        Raises:
            ProxyProtocolError: it is too short, or a TLV in it is too long.

        """
        if len(value) < _SSL_HEAD.size:
            raise ProxyProtocolError(f"the SSL TLV has {len(value)} bytes: expected at least {_SSL_HEAD.size}")
        client, verify = _SSL_HEAD.unpack_from(value)
        return cls(client=client, verify=verify, tlvs=parse_tlvs(value[_SSL_HEAD.size :], "the SSL TLV"))

    def to_tlv(self) -> ProxyTLV:
        """Return the TLV that says this. Raises ValueError where it would be longer than 65535 bytes."""
        return ProxyTLV(ProxyTLVType.SSL, _SSL_HEAD.pack(self.client, self.verify) + build_tlvs(self.tlvs))

    @property
    def over_tls(self) -> bool:
        """Whether the client spoke TLS at all."""
        return bool(self.client & _CLIENT_SSL)

    @property
    def verified(self) -> bool:
        """Whether the client had a certificate and it was found good; ``verify`` alone is 0 also without one."""
        return bool(self.client & _CLIENT_CERTIFICATE) and self.verify == 0

    @property
    def version(self) -> str | None:
        """The TLS version, such as ``TLSv1.3``."""
        return text_of(self.tlvs, ProxyTLVType.SSL_VERSION)

    @property
    def common_name(self) -> str | None:
        """The common name in the client's certificate. Look at ``verified`` before you believe it."""
        return text_of(self.tlvs, ProxyTLVType.SSL_CN)

    @property
    def cipher(self) -> str | None:
        """The cipher's name."""
        return text_of(self.tlvs, ProxyTLVType.SSL_CIPHER)

    @property
    def signature_algorithm(self) -> str | None:
        """What the proxy's certificate is signed with, such as ``RSA-SHA256``."""
        return text_of(self.tlvs, ProxyTLVType.SSL_SIG_ALG)

    @property
    def key_algorithm(self) -> str | None:
        """The proxy's key, such as ``RSA2048``."""
        return text_of(self.tlvs, ProxyTLVType.SSL_KEY_ALG)

    @property
    def client_certificate(self) -> bytes | None:
        """The client's certificate, DER."""
        return find_value(self.tlvs, ProxyTLVType.SSL_CLIENT_CERT)
