"""What the commands do: each is a function of the store, the request and its words, and returns the reply."""

# ruff: noqa: ARG001 - every command takes the same, whether it needs it or not

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from memcached.requests import MAX_NUMBER, MAX_SIZE, STORAGE, Request, integer
from memcached.store import Store, TooLargeError

__all__ = ["VERSION", "ClientError", "execute"]

VERSION: Final = "1.6.0-aionet"
MAX_KEY: Final = 250
MAX_FLAGS: Final = 2**32
BAD_FORMAT: Final = "bad command line format"
STORED: Final = b"STORED\r\n"
NOT_STORED: Final = b"NOT_STORED\r\n"
NOT_FOUND: Final = b"NOT_FOUND\r\n"
TOO_LARGE: Final = b"SERVER_ERROR object too large for cache\r\n"
OK: Final = b"OK\r\n"


class ClientError(Exception):
    """The request is wrong; the connection goes on."""


# All of it, or its parts where it may be long.
Reply: TypeAlias = bytes | Iterator[bytes]


def execute(store: Store, request: Request) -> Iterable[bytes]:
    """Execute a request and return the parts of the reply: none for one that wants none."""
    if not request.words:
        return [b"ERROR\r\n"]
    name, *words = request.words
    command = STORE if name in STORAGE else COMMANDS.get(name)
    if command is None:
        return [b"ERROR\r\n"]
    store.counts[f"cmd_{name.decode()}"] += 1
    quiet = name not in LOUD and words[-1:] == [b"noreply"]
    try:
        if request.skip:
            store.delete(key_of(words))  # the old value must not outlive the attempt to replace it
            raise TooLargeError
        reply = command(store, request, words[:-1] if quiet else words)
    except ClientError as error:
        reply = f"CLIENT_ERROR {error}\r\n".encode()
    except TooLargeError:
        reply = TOO_LARGE
    if quiet:
        return []
    return [reply] if isinstance(reply, bytes) else reply


def key_of(words: list[bytes]) -> bytes:
    """Return the key, which comes first."""
    if not words or len(words[0]) > MAX_KEY or not words[0].isascii() or min(words[0]) <= ord(" "):
        raise ClientError(BAD_FORMAT)
    return words[0]


def number(word: bytes, complaint: str = BAD_FORMAT) -> int:
    """Parse an integer of 64 bits."""
    value = integer(word)
    if value is None:
        raise ClientError(complaint)
    return value


def time_of(word: bytes, complaint: str = BAD_FORMAT) -> int:
    """Parse a time, which may be below 0."""
    return -number(word[1:], complaint) if word.startswith(b"-") else number(word, complaint)


def store_item(store: Store, request: Request, words: list[bytes]) -> bytes:
    """set, add, replace, append, prepend: KEY FLAGS EXPTIME BYTES; cas has a unique number after them."""
    name = request.words[0]
    if len(words) != (5 if name == b"cas" else 4):
        return b"ERROR\r\n"
    key = key_of(words)
    flags, expires = number(words[1]), store.expiry(time_of(words[2]))
    if flags >= MAX_FLAGS:
        raise ClientError(BAD_FORMAT)
    if number(words[3], "bad data chunk" if words[3].startswith(b"-") else BAD_FORMAT) > MAX_SIZE:
        raise ClientError(BAD_FORMAT)
    unique = number(words[4]) if name == b"cas" else 0
    if request.data is None:
        raise ClientError("bad data chunk")
    old, data = store.get(key), request.data
    if name == b"cas" and old is None:
        return NOT_FOUND
    if name == b"cas" and old is not None and old.unique != unique:
        return b"EXISTS\r\n"
    if (name == b"add") is (old is not None) and name not in {b"set", b"cas"}:
        return NOT_STORED
    if old is not None and name in {b"append", b"prepend"}:
        joined = old.value + data if name == b"append" else data + old.value
        store.put(key, joined, old.flags, old.expires)
    else:
        store.delete(key)  # as where the block is too large
        store.put(key, data, flags, expires)
    return STORED


def get(store: Store, request: Request, words: list[bytes]) -> Reply:
    """get, gets: KEY [KEY ...]."""
    if not words:
        return b"ERROR\r\n"
    return values(store, [key_of([word]) for word in words], with_unique=request.words[0] == b"gets")


def values(store: Store, keys: list[bytes], *, with_unique: bool) -> Iterator[bytes]:
    """Find the values one by one: a short line can name a large one many times, and all at once would fill memory."""
    for key in keys:
        item = store.get(key)
        store.counts["get_misses" if item is None else "get_hits"] += 1
        if item is not None:
            unique = b" %d" % item.unique if with_unique else b""
            yield b"VALUE %b %d %d%b\r\n%b\r\n" % (key, item.flags, len(item.value), unique, item.value)
    yield b"END\r\n"


def delete(store: Store, request: Request, words: list[bytes]) -> bytes:
    """delete: KEY."""
    if len(words) != 1 and words[1:] != [b"0"]:  # a time, which old clients send and which must be 0
        raise ClientError(f"{BAD_FORMAT}.  Usage: delete <key> [noreply]")
    found = store.get(key_of(words))
    return b"DELETED\r\n" if found is not None and store.delete(words[0]) else NOT_FOUND


def count(store: Store, request: Request, words: list[bytes]) -> bytes:
    """incr, decr: KEY AMOUNT. incr wraps around at 64 bits, decr stops at 0."""
    if len(words) != 2:  # noqa: PLR2004 - the words above
        return b"ERROR\r\n"
    key, amount = key_of(words), number(words[1], "invalid numeric delta argument")
    old = store.get(key)
    if old is None:
        return NOT_FOUND
    value = number(old.value, "cannot increment or decrement non-numeric value")
    value = (value + amount) % MAX_NUMBER if request.words[0] == b"incr" else max(0, value - amount)
    store.put(key, b"%d" % value, old.flags, old.expires)
    return b"%d\r\n" % value


def touch(store: Store, request: Request, words: list[bytes]) -> bytes:
    """touch: KEY EXPTIME."""
    if len(words) != 2:  # noqa: PLR2004 - the words above
        return b"ERROR\r\n"
    key, expires = key_of(words), store.expiry(time_of(words[1], "invalid exptime argument"))
    return b"TOUCHED\r\n" if store.touch(key, expires) else NOT_FOUND


def flush_all(store: Store, request: Request, words: list[bytes]) -> bytes:
    """flush_all: [DELAY]."""
    store.flush(time_of(words[0]) if words else 0)
    return OK


def stats(store: Store, request: Request, words: list[bytes]) -> bytes:
    """stats: what has happened; of the groups that memcached has, only the general one."""
    if words:
        return b"RESET\r\n" if words == [b"reset"] else b"END\r\n"
    facts: dict[str, object] = {
        "pid": os.getpid(),
        "uptime": int(time.time() - store.started),
        "time": int(time.time()),
        "version": VERSION,
        "curr_items": len(store),
        "bytes": store.size,
        "limit_maxbytes": store.limit,
        **store.counts,
    }
    return "".join([*(f"STAT {name} {value}\r\n" for name, value in facts.items()), "END\r\n"]).encode()


def version(store: Store, request: Request, words: list[bytes]) -> bytes:
    """Return the version."""
    return f"VERSION {VERSION}\r\n".encode()


def verbosity(store: Store, request: Request, words: list[bytes]) -> bytes:
    """verbosity: LEVEL, of a log that is not kept."""
    return OK if words else b"ERROR\r\n"


Command = Callable[[Store, Request, list[bytes]], Reply]
STORE: Final[Command] = store_item
COMMANDS: Final[dict[bytes, Command]] = {
    b"get": get,
    b"gets": get,
    b"delete": delete,
    b"incr": count,
    b"decr": count,
    b"touch": touch,
    b"flush_all": flush_all,
    b"stats": stats,
    b"version": version,
    b"verbosity": verbosity,
}
# Those for which "noreply" is a word like any other.
LOUD: Final = frozenset({b"get", b"gets", b"stats", b"version"})
