"""COBS: messages between zero bytes, none of which is left inside them.

Consistent Overhead Byte Stuffing replaces each zero by the distance to the next one, so that a message grows by a byte
for each 254 of it, and a reader that has lost its place finds it again at the next zero byte.

Source: Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7(2), 1999.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from aionet.errors import MessageError
from aionet.wire.framing import FRAME_SIZE, NEED_MORE, Framer, NeedMore, integer, too_large

if TYPE_CHECKING:
    from aionet.wire.buffer import ReceiveBuffer

__all__ = ["COBS"]

# The longest run without a zero that one code byte stands for, and that code.
_RUN: Final = 254
_FULL: Final = 255
# Zero bytes between messages are looked for in pieces of this size.
_ZEROS: Final = 4096


@attrs.frozen
class COBS(Framer[bytes]):
    """Messages encoded with COBS, each followed by a zero byte.

    More zero bytes between messages say nothing and are skipped. What is no COBS raises MessageError, and the stream
    stands after the zero byte that ended it. ``max_bytes`` counts the encoded message with its zero byte.
    """

    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take up to the next zero byte that ends something."""
        while (end := buffer.find(b"\0")) == 1:
            head = buffer.peek(0, _ZEROS)
            buffer.skip(len(head) - len(head.lstrip(b"\0")))
        if 0 < end <= self.max_bytes:
            return _unstuffed(buffer.take_part(0, end - 1, end))
        if end > 0 or buffer.size >= self.max_bytes:
            raise too_large(self.max_bytes, end if end > 0 else None)
        return NEED_MORE

    def encode(self, message: bytes) -> bytes:
        """Replace the zero bytes, and add the one that ends the message."""
        frame = bytearray()
        whole = 0
        for run in bytes(message).split(b"\0"):
            whole = len(run) - len(run) % _RUN
            for start in range(0, whole, _RUN):
                frame.append(_FULL)
                frame += run[start : start + _RUN]
            frame.append(len(run) - whole + 1)
            frame += run[whole:]
        if frame[-1] == 1 and whole:  # no zero follows the last run, and a full run says so already
            frame.pop()
        frame.append(0)
        if len(frame) > self.max_bytes:
            raise too_large(self.max_bytes, len(frame))
        return bytes(frame)


def _unstuffed(stuffed: bytes) -> bytes:
    message = bytearray()
    place = 0
    code = _FULL
    while place < len(stuffed):
        if code != _FULL:  # a shorter run stood for the zero after it, too, unless the message ended there
            message.append(0)
        code = stuffed[place]
        message += stuffed[place + 1 : place + code]
        place += code
    if place != len(stuffed):
        raise MessageError(f"no COBS: its last run is {place - len(stuffed)} bytes short", stuffed)
    return bytes(message)
