"""CRC-32C, the checksum with Castagnoli's polynomial (RFC 4960 appendix B).

zlib and binascii have only CRC-32.
"""

from __future__ import annotations

from typing import Final

__all__ = ["crc32c"]

_POLYNOMIAL: Final = 0x82F63B78  # bits reversed, as the bytes are taken from their low bit on
_ALL_ONES: Final = 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_remainder, range(256)))


def crc32c(data: bytes) -> int:
    """Return the checksum of ``data``, 32 bits."""
    crc = _ALL_ONES
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ _ALL_ONES
