"""Commands of bytes."""

import functools
import shlex
from collections.abc import Iterator
from typing import Final

__all__ = ["MAX_ARGUMENT", "MAX_ARGUMENTS", "MAX_LINE", "MAX_REQUEST", "ProtocolError", "RequestParser"]

# Redis's own limits, but for the last two: it takes 512 MB, and any sum of them.
MAX_LINE: Final = 64 * 1024
MAX_ARGUMENTS: Final = 1024 * 1024
MAX_ARGUMENT: Final = 32 * 1024 * 1024
MAX_REQUEST: Final = 64 * 1024 * 1024


class ProtocolError(Exception):
    """Bytes that are no request. Nobody can tell where the next one begins, so the connection has to end."""


class RequestParser:
    r"""Makes commands, which are lists of arguments, of bytes that arrive in whatever pieces.

    A request is an array of strings, ``*2\r\n$3\r\nGET\r\n$1\r\nk\r\n``, or, for people, a line of words: ``GET k``.
    Of an incomplete one, the arguments that are there are kept, and of a long argument nothing is looked at before all
    of it has come: the work is proportional to the bytes, however they are cut.
    """

    def __init__(self) -> None:
        self._chunks: list[bytes] = []  # received, and not parsed
        self._waiting = 0  # bytes in them
        self._needed = 0  # bytes without which there is nothing to parse
        self._data = b""  # being parsed ...
        self._position = 0  # ... from here
        self._arguments: list[bytes] = []  # of the array that is being parsed
        self._missing = 0  # arguments that it still lacks
        self._length = -1  # of the argument whose header has been parsed
        self._size = 0  # bytes of all arguments together

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """Yield the commands that are complete with ``data``; take all of them before feeding more.

        Raises ProtocolError behind the last good command; then there is no going on.
        """
        self._chunks.append(data)
        self._waiting += len(data)
        if self._waiting < self._needed:
            return
        self._data, self._position, self._needed = b"".join(self._chunks), 0, 0
        while (command := self._next_command()) is not None:
            if command:  # an empty line, or an empty array, is none
                yield command
        self._chunks = [self._data[self._position :]]
        self._waiting = len(self._chunks[0])
        self._data = b""

    def _next_command(self) -> list[bytes] | None:
        """Parse one command; None where it is incomplete."""
        if not self._missing:
            line = self._line()
            if line is None:
                return None
            if not line.startswith(b"*"):
                return _words(line)
            self._missing = _argument_count(line)
            self._arguments = []
            self._size = 0
        return self._rest_of_array()

    def _rest_of_array(self) -> list[bytes] | None:
        # In local variables: this is where the time goes.
        data, position, length, missing = self._data, self._position, self._length, self._missing
        while missing:
            if length < 0:
                end = data.find(b"\n", position)
                if end < 0:
                    _check_line(len(data) - position)
                    break
                length = _argument_length(data[position:end])
                position = end + 1
                self._size += length
                if self._size > MAX_REQUEST:
                    raise ProtocolError("too big request")
            end = position + length
            if len(data) < end + 2:
                self._needed = length + 2
                break
            if data[end : end + 2] != b"\r\n":
                raise ProtocolError("expected CRLF after an argument")
            self._arguments.append(data[position:end])
            position = end + 2
            length = -1
            missing -= 1
        self._position, self._length, self._missing = position, length, missing
        return None if missing else self._arguments

    def _line(self) -> bytes | None:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            _check_line(len(self._data) - self._position)
            return None
        line = self._data[self._position : end]
        _check_line(len(line))
        self._position = end + 1
        return line


def _check_line(length: int) -> None:
    if length > MAX_LINE:
        raise ProtocolError("too big inline request")


@functools.lru_cache  # clients say the same few lengths again and again
def _argument_length(line: bytes) -> int:
    _check_line(len(line))
    if not line.startswith(b"$"):
        raise ProtocolError(f"expected '$', got '{line[:1].decode(errors='replace')}'")
    return _number(line, 0, MAX_ARGUMENT, "bulk")


@functools.lru_cache
def _argument_count(line: bytes) -> int:
    return max(0, _number(line, -MAX_ARGUMENTS, MAX_ARGUMENTS, "multibulk"))


def _number(line: bytes, least: int, most: int, what: str) -> int:
    digits = line[1:].removesuffix(b"\r")
    # int() takes spaces, underscores and, with an error of its own, thousands of digits.
    if len(digits) <= len(str(most)) and digits.removeprefix(b"-").isdigit() and least <= int(digits) <= most:
        return int(digits)
    raise ProtocolError(f"invalid {what} length")


def _words(line: bytes) -> list[bytes]:
    """Split a line as a shell does."""
    if b'"' not in line and b"'" not in line:
        return line.split()
    try:
        return [word.encode("latin-1") for word in shlex.split(line.decode("latin-1"))]
    except ValueError:
        raise ProtocolError("unbalanced quotes in request") from None
