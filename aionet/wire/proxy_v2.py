"""Version 2 of the PROXY protocol: binary, with TLVs after the addresses (section 2.2).

The length stands in the sixteenth byte: it is held against the limit before anything more is waited for. In a LOCAL
header everything after it is skipped unseen, as the specification asks. Where the proxy does not say which family or
which protocol (UNSPEC), the addresses are skipped and the TLVs behind them read.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from aionet.address import Address, InetAddress, UnixAddress, from_sockaddr
from aionet.errors import ProxyProtocolError
from aionet.wire.crc32c import crc32c
from aionet.wire.proxy_header import ProxyHeader
from aionet.wire.proxy_tlv import ProxySSL, ProxyTLV, ProxyTLVType, build_tlvs, parse_tlvs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SIGNATURE_V2", "build_v2", "parse_v2", "size_of_v2"]

SIGNATURE_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD: Final = struct.Struct("!12sBBH")
_MAX_LENGTH: Final = 0xFFFF

_VERSION: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1
_UNSPEC: Final = 0
_UNIX: Final = 3
_FAMILIES: Final = {1: socket.AF_INET, 2: socket.AF_INET6}
_FAMILY_CODES: Final = {socket.AF_INET: 1, socket.AF_INET6: 2, socket.AF_UNIX: _UNIX}
_TYPES: Final = {1: socket.SOCK_STREAM, 2: socket.SOCK_DGRAM}
_TYPE_CODES: Final = {socket.SOCK_STREAM: 1, socket.SOCK_DGRAM: 2}
# Source and destination, then both ports; a Unix address is a sun_path of 108 bytes.
_BLOCKS: Final = {
    _UNSPEC: struct.Struct(""),
    1: struct.Struct("!4s4sHH"),
    2: struct.Struct("!16s16sHH"),
    _UNIX: struct.Struct("!108s108s"),
}
_SUN_PATH: Final = 108

_CHECKSUM: Final = struct.Struct("!I")
_NO_CHECKSUM: Final = bytes(_CHECKSUM.size)
_TLV_HEAD: Final = 3
_MAX_UNIQUE_ID: Final = 128


def size_of_v2(data: bytes) -> int:
    """Return the size that the header which ``data`` begins with says it has; unless it is there, that of ``data``."""
    return min(len(data), _HEAD.size + int.from_bytes(data[_HEAD.size - 2 : _HEAD.size], "big"))


def parse_v2(data: bytes, max_size: int) -> tuple[ProxyHeader, int] | None:
    """Parse the header that ``data`` begins with; None while more is needed. As parse_proxy_header."""
    if not data.startswith(SIGNATURE_V2[: len(data)]):
        raise ProxyProtocolError(f"not a PROXY header of version 2: it begins with {data[: len(SIGNATURE_V2)]!r}")
    if len(data) < _HEAD.size:
        return None
    _, version_command, family_type, length = _HEAD.unpack_from(data)
    if version_command not in (_VERSION | _LOCAL, _VERSION | _PROXY):
        raise ProxyProtocolError(f"bad version and command {version_command:#04x}: expected 0x20 or 0x21")
    size = _HEAD.size + length
    if size > max_size:
        raise ProxyProtocolError(f"a PROXY header of {size} bytes: at most {max_size} are allowed")
    if len(data) < size:
        return None
    if version_command == _VERSION | _LOCAL:
        return ProxyHeader(local=True), size
    return _parse_proxied(data[:size], *divmod(family_type, 16)), size


def _parse_proxied(header: bytes, family: int, type_: int) -> ProxyHeader:
    if family not in _BLOCKS or type_ not in (_UNSPEC, *_TYPES):
        raise ProxyProtocolError(f"bad family and protocol {family:#x}, {type_:#x}: expected 0 to 3, 0 to 2")
    block = _BLOCKS[family]
    after = _HEAD.size + block.size
    if len(header) < after:
        raise ProxyProtocolError(f"a PROXY header of {len(header)} bytes: its addresses alone need {after}")
    tlvs = parse_tlvs(header[after:], "the PROXY header")
    _check(header, after, tlvs)
    if _UNSPEC in (family, type_):
        return ProxyHeader(tlvs=tlvs)
    source, destination = _addresses(family, block.unpack_from(header, _HEAD.size))
    return ProxyHeader(source=source, destination=destination, type=_TYPES[type_], tlvs=tlvs)


def _addresses(family: int, fields: tuple[bytes, bytes] | tuple[bytes, bytes, int, int]) -> tuple[Address, Address]:
    if len(fields) == 2:  # noqa: PLR2004 - Unix addresses have no ports
        return _unix_address(fields[0]), _unix_address(fields[1])
    source, destination, source_port, destination_port = fields
    inet = _FAMILIES[family]
    return (
        InetAddress(socket.inet_ntop(inet, source), source_port),
        InetAddress(socket.inet_ntop(inet, destination), destination_port),
    )


def _unix_address(sun_path: bytes) -> Address:
    # A path ends at its NUL. An abstract name begins with one; how long it is, only the padding behind it can tell.
    name = sun_path.rstrip(b"\0") if sun_path.startswith(b"\0") else sun_path.partition(b"\0")[0]
    return from_sockaddr(socket.AF_UNIX, name)


def _check(header: bytes, position: int, tlvs: tuple[ProxyTLV, ...]) -> None:
    """Check what the TLVs that we know may hold; ``position`` is that of the first."""
    checksums = _checksums(tlvs)
    if checksums > 1:
        raise ProxyProtocolError(f"{checksums} checksums: expected one")
    for tlv in tlvs:
        value = position + _TLV_HEAD
        position = value + len(tlv.value)
        if tlv.type == ProxyTLVType.CRC32C:
            _check_checksum(header, value, tlv.value)
        elif tlv.type == ProxyTLVType.UNIQUE_ID and len(tlv.value) > _MAX_UNIQUE_ID:
            raise ProxyProtocolError(f"a unique id of {len(tlv.value)} bytes: at most {_MAX_UNIQUE_ID} are allowed")
        elif tlv.type == ProxyTLVType.SSL:
            ProxySSL.parse(tlv.value)


def _checksums(tlvs: Iterable[ProxyTLV]) -> int:
    return sum(tlv.type == ProxyTLVType.CRC32C for tlv in tlvs)


def _check_checksum(header: bytes, position: int, value: bytes) -> None:
    if len(value) != _CHECKSUM.size:
        raise ProxyProtocolError(f"a checksum of {len(value)} bytes: expected {_CHECKSUM.size}")
    (given,) = _CHECKSUM.unpack(value)
    found = crc32c(header[:position] + _NO_CHECKSUM + header[position + _CHECKSUM.size :])
    if given != found:
        raise ProxyProtocolError(f"bad checksum {given:#010x}: the header's is {found:#010x}")


def build_v2(header: ProxyHeader, *, checksum: bool) -> bytes:
    """Build the header; a CRC32C among its TLVs is filled in, and ``checksum`` adds one."""
    tlvs = [ProxyTLV(tlv.type, _NO_CHECKSUM) if tlv.type == ProxyTLVType.CRC32C else tlv for tlv in header.tlvs]
    checksums = _checksums(tlvs)
    if checksums > 1:
        raise ValueError(f"{checksums} checksums among the TLVs: expected one")
    if checksum and not checksums:
        tlvs.append(ProxyTLV(ProxyTLVType.CRC32C, _NO_CHECKSUM))
    family_type, block = _block(header)
    length = len(block) + len(build_tlvs(tlvs))
    if length > _MAX_LENGTH:
        raise ValueError(f"a PROXY header of {_HEAD.size + length} bytes: its length has 16 bits")
    head = _HEAD.pack(SIGNATURE_V2, _VERSION | (_LOCAL if header.local else _PROXY), family_type, length)
    built = head + block + build_tlvs(tlvs)
    for number, tlv in enumerate(tlvs):
        if tlv.type == ProxyTLVType.CRC32C:
            position = len(head + block + build_tlvs(tlvs[:number])) + _TLV_HEAD
            return built[:position] + _CHECKSUM.pack(crc32c(built)) + built[position + _CHECKSUM.size :]
    return built


def _block(header: ProxyHeader) -> tuple[int, bytes]:
    source, destination = header.source, header.destination
    if isinstance(source, InetAddress) and isinstance(destination, InetAddress):
        packed = [socket.inet_pton(each.family, each.host) for each in (source, destination)]
        code = _FAMILY_CODES[source.family]
        block = _BLOCKS[code].pack(*packed, source.port, destination.port)
    elif isinstance(source, UnixAddress) and isinstance(destination, UnixAddress):
        code = _UNIX
        block = _BLOCKS[code].pack(_sun_path(source), _sun_path(destination))
    else:
        return 0, b""
    return code << 4 | _TYPE_CODES[socket.SocketKind(header.type)], block


def _sun_path(address: UnixAddress) -> bytes:
    name = os.fsencode(address.sockaddr)
    if len(name) > _SUN_PATH:
        raise ValueError(f"Unix socket path {address} is {len(name)} bytes long: at most {_SUN_PATH} can be sent")
    return name
