"""Messages whose length is known before they come: a fixed size, or a number in front of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from aionet.errors import FrameError
from aionet.wire.framing import FRAME_SIZE, NEED_MORE, Framer, NeedMore, integer, one_of, too_large

if TYPE_CHECKING:
    from aionet.wire.buffer import ReceiveBuffer

__all__ = ["FixedSize", "LengthPrefixed", "Netstrings", "VarintPrefixed"]

# Seven bits of a length of 64 in each byte; the eighth says that another one follows.
_VARINT_BYTES: Final = 10
_MORE: Final = 0x80
# Digits of 2^63.
_NETSTRING_DIGITS: Final = 19


@attrs.frozen
class FixedSize(Framer[bytes]):
    """Messages of ``size`` bytes each."""

    size: int = attrs.field(validator=integer(1))
    max_bytes: int = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: self.size, takes_self=True)
    )

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take ``size`` bytes."""
        if buffer.size < self.size:
            return NeedMore(self.size - buffer.size)
        return buffer.take(self.size)

    def encode(self, message: bytes) -> bytes:
        """Check the size."""
        if len(message) != self.size:
            raise ValueError(f"a message of {len(message)} bytes: expected exactly {self.size}")
        return bytes(message)


@attrs.frozen
class LengthPrefixed(Framer[bytes]):
    """Messages with their length in front, as Netty's LengthFieldBasedFrameDecoder has it.

    | field | default | meaning |
    |---|---|---|
    | ``size`` | 4 | bytes of the length, 1 to 8 |
    | ``byteorder`` | ``"big"`` | or ``"little"`` |
    | ``offset`` | 0 | bytes before the length |
    | ``adjustment`` | 0 | added to the length, to get how many bytes follow it; ``-size`` where it counts itself |
    | ``strip`` | ``offset + size`` | bytes taken off the front of what is received |

    ``encode`` puts the length in front. With ``strip=0`` the message has its place for the length, and ``encode`` fills
    it in. With another ``offset`` or ``strip`` bytes are lost in receiving that only you know: TypeError.
    """

    size: int = attrs.field(default=4, validator=integer(1, 8))
    byteorder: Literal["big", "little"] = attrs.field(default="big", validator=one_of("big", "little"), kw_only=True)
    offset: int = attrs.field(default=0, validator=integer(0), kw_only=True)
    adjustment: int = attrs.field(default=0, validator=integer(-(2**63)), kw_only=True)
    strip: int = attrs.field(
        default=attrs.Factory(lambda self: self.offset + self.size, takes_self=True), validator=integer(0), kw_only=True
    )
    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)
    _header: int = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: self.offset + self.size, takes_self=True)
    )

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take as many bytes as the length says."""
        header = self._header
        size = buffer.size
        if size < header:
            return NeedMore(header - size)
        length = buffer.peek_integer(self.offset, header, self.byteorder)
        end = header + length + self.adjustment
        if end > self.max_bytes:
            raise too_large(self.max_bytes, end)
        if end < header or end < self.strip:
            raise FrameError(f"a length of {length}: expected at least {max(header, self.strip) - end + length}")
        if size < end:
            return NeedMore(end - size)
        return buffer.take_part(self.strip, end, end)

    def encode(self, message: bytes) -> bytes:
        """Put the length in front, or into its place."""
        size = self.size
        whole = len(message) + self.strip
        if whole > self.max_bytes:
            raise too_large(self.max_bytes, whole)
        length = whole - self._header - self.adjustment
        try:
            prefix = length.to_bytes(size, self.byteorder)
        except OverflowError:
            expected = f"expected 0 to {256**size - 1}, which {size} bytes hold"
            raise ValueError(f"a length of {length}: {expected}") from None
        if self.strip == self._header == size:
            return prefix + message
        if self.strip:
            raise TypeError(f"{self!r} has no encode: nobody knows the bytes that were taken off")
        if whole < self._header:  # and an adjustment hides it
            raise ValueError(f"a message of {whole} bytes: expected at least the {self._header} up to its length")
        return b"%b%b%b" % (message[: self.offset], prefix, message[self._header :])


@attrs.frozen
class VarintPrefixed(Framer[bytes]):
    """Messages with their length in front as a varint: seven bits in a byte, the lowest first.

    Source: https://protobuf.dev/programming-guides/encoding/#varints, for the delimited messages of Protocol Buffers.
    """

    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take as many bytes as the length says."""
        length = 0
        prefix = buffer.peek(0, _VARINT_BYTES)
        for place, byte in enumerate(prefix):
            length |= (byte & 0x7F) << (7 * place)
            if byte < _MORE:
                return _take_after(buffer, place + 1, length, 0, self.max_bytes)
        if len(prefix) == _VARINT_BYTES:
            raise FrameError(f"a length of more than {_VARINT_BYTES} bytes: {prefix!r}")
        return NEED_MORE

    def encode(self, message: bytes) -> bytes:
        """Put the length in front."""
        prefix = bytearray()
        length = len(message)
        while length >= _MORE:
            prefix.append(length & 0x7F | _MORE)
            length >>= 7
        prefix.append(length)
        return _checked(bytes(prefix) + message, self.max_bytes)


@attrs.frozen
class Netstrings(Framer[bytes]):
    """Netstrings: the length in decimal digits, a colon, the message, a comma.

    Source: https://cr.yp.to/proto/netstrings.txt
    """

    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take a netstring."""
        head = buffer.peek(0, _NETSTRING_DIGITS + 1)
        digits, colon, _ = head.partition(b":")
        good = digits.isdigit() and (digits[:1] != b"0" or digits == b"0")
        if (head and not good) or (not colon and len(head) > _NETSTRING_DIGITS):
            raise FrameError(f"no netstring: expected a length in digits and a colon, not {head!r}")
        if not colon:
            return NEED_MORE
        start = len(digits) + 1
        end = start + int(digits)
        if buffer.size > end and buffer.peek(end, end + 1) != b",":
            found = buffer.peek(end, end + 1)
            raise FrameError(f"no netstring: expected a comma after {int(digits)} bytes, not {found!r}")
        return _take_after(buffer, start, int(digits), 1, self.max_bytes)

    def encode(self, message: bytes) -> bytes:
        """Make a netstring."""
        return _checked(b"%d:%b," % (len(message), message), self.max_bytes)


def _take_after(buffer: ReceiveBuffer, start: int, length: int, rest: int, max_bytes: int) -> bytes | NeedMore:
    """Take ``length`` bytes from ``start`` on, and ``rest`` bytes that follow; these and those before are dropped."""
    end = start + length + rest
    if end > max_bytes:
        raise too_large(max_bytes, end)
    if buffer.size < end:
        return NeedMore(end - buffer.size)
    return buffer.take_part(start, start + length, end)


def _checked(frame: bytes, max_bytes: int) -> bytes:
    if len(frame) > max_bytes:
        raise too_large(max_bytes, len(frame))
    return frame
