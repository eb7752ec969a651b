"""The receive buffer: bytes that have arrived and that nobody has taken yet.

The common case is one chunk in, the same chunk out: it stays the ``bytes`` object that the kernel filled, uncopied, and
a read that takes a part of it only moves ``start``. Only when a second chunk arrives before the first is gone are they
joined, in a bytearray, whose front Python drops in O(1).
"""

from __future__ import annotations

from typing import Literal

__all__ = ["ReceiveBuffer"]


class ReceiveBuffer:
    """A buffer with a search that never looks at a byte twice.

    ``size`` is the number of bytes that wait. ``_scanned`` counts those in which ``_separator``, the one that was last
    searched in vain, is known not to begin.
    """

    __slots__ = ("_data", "_scanned", "_separator", "_start", "size")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0
        self._scanned = 0
        self._separator = b""
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add a chunk at the end."""
        if not self.size:
            self._data = data
            self._start = 0
            self.size = len(data)
            return
        if type(self._data) is not bytearray:
            self._data = bytearray(memoryview(self._data)[self._start :])
            self._start = 0
        self._data += data
        self.size += len(data)

    def take(self, count: int) -> bytes:
        """Take at most ``count`` bytes from the front."""
        data = self._data
        self._scanned = 0
        if count >= self.size:
            taken = data if not self._start else data[self._start :]
            self._data = b""
            self._start = self.size = 0
            return taken if type(taken) is bytes else bytes(taken)
        self.size -= count
        if type(data) is bytearray:
            taken = bytes(memoryview(data)[:count])
            del data[:count]
            return taken
        start = self._start
        self._start = end = start + count
        taken = data[start:end]
        return taken if type(taken) is bytes else bytes(taken)

    def take_part(self, start: int, stop: int, count: int) -> bytes:
        """Take ``count`` bytes, which must be there, from the front; return those from ``start`` to ``stop``."""
        data = self._data
        self._scanned = 0
        self.size -= count
        if type(data) is bytearray:
            part = bytes(memoryview(data)[start:stop])
            del data[:count]
            return part
        first = self._start
        self._start = first + count
        taken = data[first + start : first + stop]
        if not self.size:
            self._data = b""  # a chunk that has been taken is not kept
            self._start = 0
        return taken if type(taken) is bytes else bytes(taken)

    def skip(self, count: int) -> None:
        """Drop ``count`` bytes, which must be there, from the front."""
        self.take_part(0, 0, count)

    def peek(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` to ``stop`` and leave them; fewer where they have not arrived."""
        first = self._start
        return bytes(self._data[first + start : first + stop])

    def peek_integer(self, start: int, stop: int, byteorder: Literal["big", "little"]) -> int:
        """Return the unsigned integer in the bytes from ``start`` to ``stop``, which must be there, and leave them."""
        first = self._start
        return int.from_bytes(self._data[first + start : first + stop], byteorder)

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of the others."""
        self._scanned = 0
        start = self._start - len(data)
        if start >= 0 and self.size and self._data[start : self._start] == data:
            self._start = start  # they were taken from there
        elif data:
            self._data = data + memoryview(self._data)[self._start :] if self.size else data
            self._start = 0
        self.size += len(data)

    def take_into(self, target: memoryview) -> int:
        """Move bytes from the front into ``target``; return how many."""
        count = min(len(target), self.size)
        target[:count] = self.take(count)
        return count

    def clear(self) -> None:
        """Throw away what is there."""
        self._data = b""
        self._start = self._scanned = self.size = 0

    def find(self, separator: bytes) -> int:
        """Return the number of bytes up to and with the first ``separator``, or -1.

        Bytes that the last vain call searched for the same separator are not searched again.
        """
        start = self._start
        scanned = self._scanned if separator == self._separator else 0
        index = self._data.find(separator, start + scanned)
        if index < 0:
            # The separator may have begun in the last bytes, with the rest of it still to come.
            self._separator = separator
            self._scanned = max(0, self.size - len(separator) + 1)
            return -1
        return index - start + len(separator)
