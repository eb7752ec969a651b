"""The write queue: what the user has handed over and the kernel has not yet taken, its size kept in O(1).

High and low water are asyncio's names: above ``high`` the writer is asked to pause, at or below ``low`` to resume.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["FileRegion", "WriteQueue"]

# sendmsg(2) takes IOV_MAX buffers, 1024 on Linux, macOS and the BSDs.
_IOV_MAX = 1024


class FileRegion:
    """A part of a file in the write queue, so that it leaves in order with the bytes around it.

    ``file`` is a descriptor, or an object that can seek and read. ``done`` is called once, when the last of it has left
    or when the queue has dropped it; ``error`` is why the file could not be read further.
    """

    __slots__ = ("count", "done", "error", "file", "offset", "sent")

    def __init__(self, file: int | BinaryIO, offset: int, count: int, done: Callable[[], None]) -> None:
        self.file = file
        self.offset = offset
        self.count = count
        self.sent = 0
        self.error: Exception | None = None
        self.done = done

    def __len__(self) -> int:
        return self.count - self.sent

    def advance(self, sent: int) -> None:
        """Count bytes that have left."""
        self.sent += sent


class WriteQueue:
    """A queue of bytes and file regions that leaves in order.

    ``size`` is the number of bytes queued. The queue owns what is in it: callers append ``bytes``, never a buffer that
    somebody could change.
    """

    __slots__ = ("_items", "high", "low", "paused", "size")

    def __init__(self, high: int, low: int) -> None:
        # Made when it is needed: an empty deque is 600 bytes, and most connections never queue.
        self._items: deque[bytes | memoryview | FileRegion] | None = None
        self.size = 0
        self.high = high
        self.low = low
        self.paused = False

    def append(self, item: bytes | memoryview | FileRegion) -> None:
        """Queue an item that is not empty: an empty one would never be seen to leave."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self.size += len(item)

    def head(self) -> list[bytes | memoryview] | FileRegion:
        """Return what one system call can take: a file region, or the buffers up to the next one."""
        buffers: list[bytes | memoryview] = []
        for item in self._items or ():
            if isinstance(item, FileRegion):
                return buffers or item
            buffers.append(item)
            if len(buffers) == _IOV_MAX:
                break
        return buffers

    def record(self, size: int, most: int) -> bytes | memoryview | FileRegion:
        """Return what one write of TLS can take, the same each time until it advances.

        A large item in front by itself, at most ``most`` bytes of it; small ones joined, up to ``size`` bytes.
        """
        items = self._items
        assert items  # noqa: S101 - asked for while there is something to send
        first = items[0]
        if isinstance(first, FileRegion):
            return first
        if len(first) >= size or len(items) == 1:
            return first if len(first) <= most else memoryview(first)[:most]
        joined = bytearray()
        for item in items:
            if isinstance(item, FileRegion) or len(joined) >= size:
                break
            joined += memoryview(item)[: size - len(joined)]
        return memoryview(joined)

    def advance(self, sent: int) -> None:
        """Forget the first ``sent`` bytes."""
        self.size -= sent
        items = self._items
        while sent and items:
            first = items[0]
            if sent < len(first):
                if isinstance(first, FileRegion):
                    first.advance(sent)
                else:
                    items[0] = memoryview(first)[sent:]
                return
            sent -= len(first)
            self._pop(items, len(first))

    def end_region(self) -> None:
        """Drop the rest of the file region in front: there is no more of its file."""
        if self._items:
            self.size -= len(self._items[0])
            self._pop(self._items, 0)

    def clear(self) -> None:
        """Drop everything."""
        while self._items:
            self._pop(self._items, 0)
        self.size = 0

    @staticmethod
    def _pop(items: deque[bytes | memoryview | FileRegion], sent: int) -> None:
        item = items.popleft()
        if isinstance(item, FileRegion):
            item.advance(sent)
            item.done()

    def must_pause(self) -> bool:
        """Say, once for each time that the size rises above high water, that the writer must pause."""
        if self.paused or self.size <= self.high:
            return False
        self.paused = True
        return True

    def may_resume(self) -> bool:
        """Say, once for each pause, that the size has fallen to low water."""
        if not self.paused or self.size > self.low:
            return False
        self.paused = False
        return True
