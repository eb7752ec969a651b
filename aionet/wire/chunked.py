"""HTTP/1.1's chunked coding: RFC 9112 section 7.1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from aionet.errors import FrameError
from aionet.wire.framing import FRAME_SIZE, NEED_MORE, Framer, NeedMore, integer, too_large

if TYPE_CHECKING:
    from aionet.wire.buffer import ReceiveBuffer

__all__ = ["Chunked"]

# The line before a chunk, with its extensions, which nobody uses. Room for them is what attackers ask for.
_MAX_LINE: Final = 256
# chunk-size is hexadecimal digits, of which 16 say 2^64; int() alone would take signs, underscores and spaces too.
# chunk-ext may begin with blanks (RFC 9112 section 7.1.1), and has no control characters.
_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
# field-line of RFC 9112 section 5, whose name is a token of RFC 9110 section 5.6.2.
_FIELD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*")


@attrs.frozen
class Chunked(Framer[bytes]):
    """The chunks of an HTTP/1.1 message: each message here is the data of one chunk, and b"" is the last one.

    So the body is what comes up to b"", and after that the stream stands behind the body. ``encode(b"")`` makes the
    last chunk. Chunk extensions and the fields of the trailer section are checked for their form and dropped, as RFC
    9112 allows. A line that ends otherwise than with CRLF is refused: proxies that disagree on it can be tricked.
    ``max_bytes`` counts a chunk with its line; for the last one, the trailer section too.
    """

    max_bytes: int = attrs.field(default=FRAME_SIZE, validator=integer(1), kw_only=True)

    def decode(self, buffer: ReceiveBuffer) -> bytes | NeedMore:
        """Take a chunk."""
        line = buffer.find(b"\r\n")
        if line < 0 and buffer.size < _MAX_LINE:
            if buffer.size >= self.max_bytes:
                raise too_large(self.max_bytes)
            return NEED_MORE
        match = _LINE.fullmatch(buffer.peek(0, min(line, _MAX_LINE))) if line > 0 else None
        if match is None:
            head = buffer.peek(0, 40)
            raise FrameError(f"no chunk: expected its size in hexadecimal digits and CRLF, not {head!r}")
        size = int(match[1], 16)
        if not size:
            return self._take_last(buffer, line)
        end = line + size + 2
        if end > self.max_bytes:
            raise too_large(self.max_bytes, end)
        if buffer.size < end:
            return NeedMore(end - buffer.size)
        if buffer.peek(end - 2, end) != b"\r\n":
            raise FrameError(f"no chunk: expected CRLF after {size} bytes, not {buffer.peek(end - 2, end)!r}")
        return buffer.take_part(line, end - 2, end)

    def _take_last(self, buffer: ReceiveBuffer, line: int) -> bytes | NeedMore:
        end = buffer.find(b"\r\n\r\n")  # of its own line, or of the last field
        if end > self.max_bytes or (end < 0 and buffer.size >= self.max_bytes):
            raise too_large(self.max_bytes, end if end > 0 else None)
        if end < 0:
            return NEED_MORE
        for field in buffer.peek(line, end).split(b"\r\n")[:-2]:
            if not _FIELD.fullmatch(field):
                raise FrameError(f"no trailer field: expected a name, a colon and a value, not {field[:40]!r}")
        buffer.skip(end)
        return b""

    def encode(self, message: bytes) -> bytes:
        """Make a chunk, or the last one."""
        frame = b"%x\r\n%b\r\n" % (len(message), message)
        if len(frame) > self.max_bytes:
            raise too_large(self.max_bytes, len(frame))
        return frame
