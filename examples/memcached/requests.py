"""Requests of bytes: a line of words, and with some commands a block of data after it."""

from typing import Final

import attrs

from aionet import NEED_MORE, Framer, FrameTooLargeError, NeedMore, ReceiveBuffer
from memcached.store import MAX_ITEM

__all__ = ["MAX_LINE", "MAX_NUMBER", "MAX_SIZE", "STORAGE", "Request", "Requests", "integer"]

# memcached's own: a get of many keys is the longest line.
MAX_LINE: Final = 64 * 1024
MAX_NUMBER: Final = 2**64
MAX_SIZE: Final = 2**31 - 3  # memcached's own, for a block with its CRLF in a signed integer
STORAGE: Final = frozenset({b"set", b"add", b"replace", b"append", b"prepend", b"cas"})
_END: Final = b"\r\n"
_SIZE: Final = 4  # its place among the words
_MAX_DIGITS: Final = len(str(MAX_NUMBER))


def integer(word: bytes) -> int | None:
    """Return the integer of 64 bits that a word is; None if it is none."""
    # The length first: int() takes its time for many digits, and raises ValueError for more than 4300.
    if not word.isdigit() or len(word) > _MAX_DIGITS or (value := int(word)) >= MAX_NUMBER:
        return None
    return value


@attrs.frozen
class Request:
    """The words of the line, and the data block where there is one.

    Of a block that is too large nothing is kept: ``skip`` is how many bytes of it follow in the stream.
    """

    words: list[bytes]
    data: bytes | None = None
    skip: int = 0


class Requests(Framer[Request]):
    """A framer of requests. A line with its block is one message, and stays in the buffer until all of it has come."""

    max_bytes = MAX_LINE + MAX_ITEM + len(_END)

    def decode(self, buffer: ReceiveBuffer) -> Request | NeedMore:
        """Take a request."""
        line = buffer.find(b"\n")
        if line > MAX_LINE or (line < 0 and buffer.size >= MAX_LINE):
            raise FrameTooLargeError(f"a line of more than {MAX_LINE} bytes", MAX_LINE)
        if line < 0:
            return NEED_MORE
        words = buffer.peek(0, line).split()
        size = integer(words[_SIZE]) if len(words) > _SIZE and words[0] in STORAGE else None
        if size is None or size > MAX_SIZE:
            buffer.skip(line)
            return Request(words)
        if size > MAX_ITEM:
            buffer.skip(line)
            return Request(words, skip=size + len(_END))
        end = line + size + len(_END)
        if buffer.size < end:
            return NeedMore(end - buffer.size)
        good = buffer.peek(end - len(_END), end) == _END
        data = buffer.take_part(line, end - len(_END), end)
        return Request(words, data if good else None)
