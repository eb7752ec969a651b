"""Messages that end with a delimiter: lines, and any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from aionet.errors import OptionError
from aionet.wire.framing import FRAME_SIZE, NEED_MORE, Framer, NeedMore, integer, one_of, too_large

if TYPE_CHECKING:
    from typing import Any

    from aionet.wire.buffer import ReceiveBuffer

__all__ = ["Delimited", "Lines"]


def _delimiter_of(lines: Lines) -> bytes:
    return b"\r\n" if lines.ending == "crlf" else b"\n"


def _not_empty(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bytes) or not value:
        name = type(instance).__name__
        raise OptionError(f"{name}: {attribute.name}={value!r}: expected at least one byte")


@attrs.frozen
class Delimited(Framer[bytes]):
    """Messages that each end with ``delimiter``, which is taken off, or kept with ``keep``.

    ``encode`` puts the delimiter after a message; with ``keep`` the message must end with it already. A message with
    the delimiter inside would be two messages: ValueError.
    """

    delimiter: bytes = attrs.field(validator=_not_empty)
    keep: bool = attrs.field(default=False, kw_only=True)
    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take up to the next delimiter."""
        delimiter = self.delimiter
        end = buffer.find(delimiter)
        if 0 < end <= self.max_bytes:
            return buffer.take_part(0, end if self.keep else end - len(delimiter), end)
        if end > 0 or buffer.size >= self.max_bytes:
            raise too_large(self.max_bytes, end if end > 0 else None)
        return NEED_MORE

    def encode(self, message: bytes) -> bytes:
        """Add the delimiter."""
        return _ended(message, self.delimiter, self.max_bytes, self.keep)


@attrs.frozen
class Lines(Framer[bytes]):
    r"""Lines, without their ending, or with it where ``keep`` is set.

    | ``ending`` | a line ends with | sent with |
    |---|---|---|
    | ``"either"`` | b"\n"; a b"\r" before it belongs to the ending | b"\n" |
    | ``"lf"`` | b"\n" | b"\n" |
    | ``"crlf"`` | b"\r\n" | b"\r\n" |

    ``encode`` adds the ending; with ``keep`` the line must have it already. A line with an ending inside would be two
    lines: ValueError.
    """

    ending: Literal["either", "lf", "crlf"] = attrs.field(default="either", validator=one_of("either", "lf", "crlf"))
    keep: bool = attrs.field(default=False, kw_only=True)
    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)
    _delimiter: bytes = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_delimiter_of, takes_self=True)
    )

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take a line."""
        delimiter = self._delimiter
        end = buffer.find(delimiter)
        if 0 < end <= self.max_bytes:
            if self.keep:
                return buffer.take(end)
            line = buffer.take_part(0, end - len(delimiter), end)
            return line[:-1] if self.ending == "either" and line.endswith(b"\r") else line
        if end > 0 or buffer.size >= self.max_bytes:
            raise too_large(self.max_bytes, end if end > 0 else None)
        return NEED_MORE

    def encode(self, message: bytes) -> bytes:
        """Add the ending."""
        if not self.keep and self.ending == "either" and message[-1:] == b"\r":
            raise ValueError(f'a line that ends with b"\\r", which belongs to the ending: {message[-20:]!r}')
        return _ended(message, self._delimiter, self.max_bytes, self.keep)


def _ended(message: bytes, delimiter: bytes, max_bytes: int, keep: bool) -> bytes:  # noqa: FBT001 - a keyword costs more
    frame = message if keep else message + delimiter
    end = frame.find(delimiter)
    if end < 0 or end != len(frame) - len(delimiter):
        wrong = "contains" if frame.endswith(delimiter) else "does not end with"
        raise ValueError(f"a message that {wrong} its delimiter {delimiter!r}: {frame[:40]!r}")
    if len(frame) > max_bytes:
        raise too_large(max_bytes, len(frame))
    return frame
