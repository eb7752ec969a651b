"""The packets of TFTP, to and from bytes (RFC 1350 section 5, RFC 2347)."""

from __future__ import annotations

import enum
import struct
from typing import Final, TypeAlias

import attrs

_TWO: Final = struct.Struct("!HH")
_OPCODE: Final = struct.Struct("!H")

READ, WRITE, DATA, ACK, ERROR, OACK = range(1, 7)


class Code(enum.IntEnum):
    """What an ERROR packet says."""

    OTHER = 0
    NOT_FOUND = 1
    REFUSED = 2
    DISK_FULL = 3
    ILLEGAL = 4
    EXISTS = 6
    BAD_OPTION = 8


class MalformedError(ValueError):
    """The bytes are no packet of TFTP."""


@attrs.frozen
class Request:
    """RRQ or WRQ. ``options`` has their names in lower case, as they are compared."""

    writes: bool
    name: str
    mode: str
    options: dict[str, str]

    def pack(self) -> bytes:
        """As bytes."""
        words = [self.name, self.mode, *(word for option in self.options.items() for word in option)]
        return _OPCODE.pack(WRITE if self.writes else READ) + _strings(words)


@attrs.frozen
class Data:
    """A block of the file; one shorter than all others is the last."""

    block: int
    data: bytes

    def pack(self) -> bytes:
        """As bytes."""
        return _TWO.pack(DATA, self.block) + self.data


@attrs.frozen
class Ack:
    """A block has come; 0 says that a write may begin."""

    block: int

    def pack(self) -> bytes:
        """As bytes."""
        return _TWO.pack(ACK, self.block)


@attrs.frozen
class Error:
    """The end of a transfer that failed."""

    code: int
    message: str

    def pack(self) -> bytes:
        """As bytes."""
        return _TWO.pack(ERROR, self.code) + _strings([self.message])


@attrs.frozen
class OptionsAck:
    """The options that the server takes, and what it makes of them."""

    options: dict[str, str]

    def pack(self) -> bytes:
        """As bytes."""
        return _OPCODE.pack(OACK) + _strings([word for option in self.options.items() for word in option])


Packet: TypeAlias = Request | Data | Ack | Error | OptionsAck


def parse(data: bytes) -> Packet:
    """Make a packet of bytes, or raise MalformedError."""
    if len(data) < _OPCODE.size:
        raise MalformedError(f"{len(data)} bytes")
    (opcode,) = _OPCODE.unpack_from(data)
    if opcode in (READ, WRITE):
        return _request(opcode == WRITE, _words(data[2:]))
    if opcode == OACK:
        return OptionsAck(_pairs(_words(data[2:])))
    if len(data) < _TWO.size:
        raise MalformedError("a packet without its number")
    (_, number) = _TWO.unpack_from(data)
    match opcode:
        case 3:
            return Data(number, data[4:])
        case 4:
            return Ack(number)
        case 5:
            return Error(number, data[4:].partition(b"\0")[0].decode(errors="replace"))
        case _:
            raise MalformedError(f"opcode {opcode}")


def _request(writes: bool, words: list[str]) -> Request:  # noqa: FBT001 - which of the two it is
    if len(words) < 2 or not words[0]:  # noqa: PLR2004 - a name and a mode
        raise MalformedError("a request without a name or a mode")
    name, mode, *options = words
    return Request(writes, name, mode.lower(), _pairs(options))


def _words(data: bytes) -> list[str]:
    if not data.endswith(b"\0"):
        raise MalformedError("a string without an end")
    try:
        return [word.decode() for word in data[:-1].split(b"\0")]
    except UnicodeDecodeError:
        raise MalformedError("a string that is no UTF-8") from None


def _pairs(words: list[str]) -> dict[str, str]:
    if len(words) % 2:
        raise MalformedError("an option without a value")
    return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}


def _strings(words: list[str]) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)
