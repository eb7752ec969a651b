"""The items: they expire, and above the limit those that nobody asked for longest go."""

import itertools
import time
from collections import Counter, OrderedDict

import attrs

__all__ = ["MAX_ITEM", "Item", "Store", "TooLargeError"]

# memcached's own: 1 MiB.
MAX_ITEM = 1024 * 1024
# What an item takes beside its key and value, so that empty ones are bounded too: measured, 150 to 310 bytes.
_OVERHEAD = 300
# A longer time is a date.
_MONTH = 60 * 60 * 24 * 30


class TooLargeError(Exception):
    """An item that the store does not take."""


@attrs.frozen
class Item:
    """A value, with the flags that its client wants back and the number that cas compares."""

    value: bytes
    flags: int
    expires: float | None
    unique: int
    stored: float


class Store:
    """Items by key, in the order in which they were last asked for. All times are those of ``clock``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.started = time.time()
        self.counts: Counter[str] = Counter()
        self._items: OrderedDict[bytes, Item] = OrderedDict()
        self._uniques = itertools.count(1)
        self._flush_at: float | None = None

    def __len__(self) -> int:
        return len(self._items)

    @staticmethod
    def clock() -> float:
        """Return the seconds since 1970: exptime may be a date."""
        return time.time()

    def expiry(self, exptime: int) -> float | None:
        """Return when what is stored with ``exptime`` expires: None is never, what is below 0 at once."""
        if exptime == 0:
            return None
        return float(exptime) if exptime > _MONTH else self.clock() + exptime

    def get(self, key: bytes) -> Item | None:
        """Return the item, if there is one that has not expired, and note that it was asked for."""
        item = self._items.get(key)
        if item is None:
            return None
        now = self.clock()
        flushed = self._flush_at is not None and item.stored <= self._flush_at <= now
        if flushed or (item.expires is not None and item.expires <= now):
            self.delete(key)
            return None
        self._items.move_to_end(key)
        return item

    def put(self, key: bytes, value: bytes, flags: int, expires: float | None) -> None:
        """Store an item, and evict others for it. TooLargeError: it is too large, and nothing has changed."""
        size = self._size(key, value)
        if len(value) > MAX_ITEM or size > self.limit:
            raise TooLargeError
        self.delete(key)
        self._items[key] = Item(value, flags, expires, next(self._uniques), self.clock())
        self.size += size
        while self.size > self.limit:
            self.counts["evictions"] += 1
            self.delete(next(iter(self._items)))

    def touch(self, key: bytes, expires: float | None) -> bool:
        """Let an item expire at another time; say whether it was there."""
        item = self.get(key)
        if item is None:
            return False
        self._items[key] = attrs.evolve(item, expires=expires)
        return True

    def delete(self, key: bytes) -> bool:
        """Forget an item; say whether it was there."""
        item = self._items.pop(key, None)
        if item is None:
            return False
        self.size -= self._size(key, item.value)
        return True

    def flush(self, delay: int) -> None:
        """Forget all that is stored before ``delay`` seconds from now have passed."""
        if delay <= 0:
            self._items.clear()
            self.size = 0
            self._flush_at = None
        else:
            self._flush_at = self.expiry(delay)

    @staticmethod
    def _size(key: bytes, value: bytes) -> int:
        return len(key) + len(value) + _OVERHEAD
