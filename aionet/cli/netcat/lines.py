"""Lines of text: what ends them on our side, and what the peer wants to see instead.

On our side a line ends with LF or with CR LF, as files of either kind do. A CR elsewhere is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aionet.errors import FrameTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LINE_ENDINGS", "LineEndings", "LineSplitter", "pieces"]

# No datagram holds a line that is longer.
_LONGEST_LINE: Final = 65527

LINE_ENDINGS: Final = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r", "none": b""}


class LineEndings:
    """Gives each line that passes through another ending, also a last one that has none. It holds one byte at most."""

    def __init__(self, ending: bytes) -> None:
        self._ending = ending
        self._held = b""  # a CR, which may be the first half of an ending
        self._within_line = False

    def feed(self, data: bytes) -> bytes:
        """Return what of ``data`` may leave."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        data = data.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if data:
            self._within_line = not data.endswith(b"\n")
        return data.replace(b"\n", self._ending)

    def end(self) -> bytes:
        """Return what is left when nothing more comes."""
        held, self._held = self._held, b""
        return held + self._ending if held or self._within_line else b""


class LineSplitter:
    """Splits text into lines, each with the ending that was asked for."""

    def __init__(self, ending: bytes) -> None:
        self._ending = ending
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete. Raises FrameTooLargeError for one that never ends."""
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > _LONGEST_LINE:
            raise FrameTooLargeError(f"stdin: a line of more than {_LONGEST_LINE} bytes", _LONGEST_LINE)
        return [line.removesuffix(b"\r") + self._ending for line in lines]

    def end(self) -> list[bytes]:
        """Return the last line, if it has no ending."""
        held, self._held = self._held, b""
        return [held + self._ending] if held else []


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut into pieces of so many bytes, the last perhaps fewer."""
    return (data[start : start + size] for start in range(0, len(data), size))
