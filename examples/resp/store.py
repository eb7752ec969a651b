"""Keys and their values."""

import asyncio
from collections import deque
from typing import TypeAlias, TypeVar

from resp.replies import CommandError

__all__ = ["Hash", "List", "Set", "Store", "Value"]


class List(deque[bytes]):
    """What LPUSH makes."""


class Set(set[bytes]):
    """What SADD makes."""


class Hash(dict[bytes, bytes]):
    """What HSET makes."""


Value: TypeAlias = bytes | List | Set | Hash
Kind = TypeVar("Kind", bytes, List, Set, Hash)


class Store:
    """Keys, their values, and the timers of those that expire.

    A key that expires is there until the loop calls its timer, which is between two chunks of requests: as in Redis,
    the clock stands still while commands run.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, Value] = {}
        self.timers: dict[bytes, asyncio.TimerHandle] = {}
        self.clients = 0

    def find(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """Return the key's value, if it has one, which must be of this kind."""
        value = self.values.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")

    def find_or_make(self, key: bytes, kind: type[Kind]) -> Kind:
        """Return the key's value, an empty one of this kind if it has none."""
        value = self.find(key, kind)
        if value is None:
            value = kind()
            self.values[key] = value
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Set a key that does not expire."""
        self.values[key] = value
        self._stop_timer(key)

    def remove(self, key: bytes) -> bool:
        """Remove a key; say whether it was there."""
        self._stop_timer(key)
        return self.values.pop(key, None) is not None

    def expire(self, key: bytes, seconds: float) -> None:
        """Remove the key when the time has come, and not when an earlier call said."""
        self._stop_timer(key)
        self.timers[key] = asyncio.get_running_loop().call_later(seconds, self.remove, key)

    def _stop_timer(self, key: bytes) -> None:
        if self.timers and (timer := self.timers.pop(key, None)):
            timer.cancel()
