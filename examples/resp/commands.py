"""What the commands do: each is a function whose name and signature are the command's."""

import fnmatch
import inspect
import itertools
import math
import os
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

from resp.replies import CommandError, Reply, encode, encode_error
from resp.requests import MAX_ARGUMENT
from resp.store import Hash, List, Set, Store

__all__ = ["COMMANDS", "execute"]


@attrs.frozen
class Command:
    """A function of the store and the arguments, and how many of these it takes."""

    function: Callable[..., Reply]
    least: int
    most: float

    @property
    def arity(self) -> int:
        """As COMMAND tells it: counted with the name, and negative where there may be more."""
        return self.least + 1 if self.least == self.most else -(self.least + 1)


COMMANDS: dict[bytes, Command] = {}
Function = TypeVar("Function", bound=Callable[..., Any])


def command(function: Function) -> Function:
    """Make a command of a function; its name and its signature are the command's."""
    _store, *parameters = inspect.signature(function).parameters.values()
    more = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    most = math.inf if more else len(parameters)
    least = sum(each.default is each.empty for each in parameters) - more
    COMMANDS[function.__name__.strip("_").upper().encode()] = Command(function, least, most)
    return function


def execute(store: Store, arguments: list[bytes]) -> bytes:
    """Execute a command and return its encoded reply."""
    name, *rest = arguments
    found = COMMANDS.get(name.upper())
    try:
        if found is None:
            raise unknown(name, rest)
        if not found.least <= len(rest) <= found.most:
            raise wrong_number(name)
        return encode(found.function(store, *rest))
    except CommandError as error:
        return encode_error(str(error))


def unknown(name: bytes, arguments: list[bytes]) -> CommandError:
    """Say that there is no such command."""
    beginning = "".join(f"'{text(each)}' " for each in arguments[:8])
    return CommandError(f"ERR unknown command '{text(name)}', with args beginning with: {beginning}")


def wrong_number(name: bytes) -> CommandError:
    """Say that a command takes more arguments, or fewer."""
    return CommandError(f"ERR wrong number of arguments for '{text(name).lower()}' command")


def text(argument: bytes) -> str:
    """Show the beginning of an argument."""
    return argument[:128].decode(errors="replace")


MAX_INTEGER: Final = 2**63 - 1
# 64 bits may hold it; no spaces, signs or zeros that are not needed.
INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
SECONDS: Final = {b"EX": 1.0, b"PX": 0.001}


def integer(argument: bytes) -> int:
    """Parse what Redis takes for an integer."""
    if INTEGER.fullmatch(argument):
        value = int(argument)
        if -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            return value
    raise CommandError("ERR value is not an integer or out of range")


@command
def ping(_store: Store, message: bytes | None = None) -> Reply:
    """PING [message]."""
    return "PONG" if message is None else message


@command
def echo(_store: Store, message: bytes) -> Reply:
    """ECHO message."""
    return message


@command
def get(store: Store, key: bytes) -> Reply:
    """GET key."""
    return store.find(key, bytes)


@command
def set_(store: Store, key: bytes, value: bytes, *options: bytes) -> Reply:
    """SET key value [NX | XX] [EX seconds | PX milliseconds]."""
    only_if: bytes | None = None
    seconds: float | None = None
    remaining = iter(options)
    for option in map(bytes.upper, remaining):
        if option in {b"NX", b"XX"} and only_if in {None, option}:
            only_if = option
        elif option in SECONDS and seconds is None and (amount := next(remaining, None)) is not None:
            seconds = time_to_live(integer(amount), SECONDS[option], "set")
        else:
            raise CommandError("ERR syntax error")
    if only_if is not None and (key in store.values) is (only_if == b"NX"):
        return None
    store.put(key, value)
    if seconds is not None:
        store.expire(key, seconds)
    return "OK"


def time_to_live(amount: int, unit: float, name: str) -> float:
    """Return seconds, which must be more than none and, in milliseconds, an integer of 64 bits."""
    if not 0 < amount * unit <= MAX_INTEGER // 1000:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return amount * unit


@command
def mset(store: Store, key: bytes, value: bytes, *more: bytes) -> Reply:
    """MSET key value [key value ...]."""
    if len(more) % 2:
        raise wrong_number(b"mset")
    store.put(key, value)
    for another, its_value in zip(more[::2], more[1::2], strict=True):
        store.put(another, its_value)
    return "OK"


@command
def del_(store: Store, key: bytes, *more: bytes) -> Reply:
    """DEL key [key ...]."""
    return sum(store.remove(each) for each in (key, *more))


@command
def exists(store: Store, key: bytes, *more: bytes) -> Reply:
    """EXISTS key [key ...]."""
    return sum(each in store.values for each in (key, *more))


@command
def expire(store: Store, key: bytes, seconds: bytes) -> Reply:
    """EXPIRE key seconds."""
    amount = integer(seconds)
    if key not in store.values:
        return 0
    if amount > 0:
        store.expire(key, time_to_live(amount, 1.0, "expire"))
    else:
        store.remove(key)
    return 1


@command
def incr(store: Store, key: bytes) -> Reply:
    """INCR key."""
    value = store.find(key, bytes)
    number = 0 if value is None else integer(value)
    if number == MAX_INTEGER:
        raise CommandError("ERR increment or decrement would overflow")
    store.values[key] = b"%d" % (number + 1)  # and it expires when it did
    return number + 1


@command
def lpush(store: Store, key: bytes, value: bytes, *more: bytes) -> Reply:
    """LPUSH key value [value ...]."""
    values = store.find_or_make(key, List)
    values.extendleft((value, *more))
    return len(values)


@command
def rpush(store: Store, key: bytes, value: bytes, *more: bytes) -> Reply:
    """RPUSH key value [value ...]."""
    values = store.find_or_make(key, List)
    values.extend((value, *more))
    return len(values)


@command
def lpop(store: Store, key: bytes, count: bytes | None = None) -> Reply:
    """LPOP key [count]."""
    wanted = 1 if count is None else integer(count)
    if wanted < 0:
        raise CommandError("ERR value is out of range, must be positive")
    values = store.find(key, List)
    if values is None:
        return None
    popped: list[Reply] = [values.popleft() for _ in range(min(wanted, len(values)))]
    if not values:
        store.remove(key)
    return popped[0] if count is None else popped


@command
def lrange(store: Store, key: bytes, start: bytes, stop: bytes) -> Reply:
    """LRANGE key start stop."""
    first, last = integer(start), integer(stop)
    values = store.find(key, List) or List()
    first = max(first + len(values), 0) if first < 0 else min(first, len(values))
    last = max(last + len(values), -1) if last < 0 else min(last, len(values) - 1)
    return list(itertools.islice(values, first, last + 1))


@command
def sadd(store: Store, key: bytes, member: bytes, *more: bytes) -> Reply:
    """SADD key member [member ...]."""
    members = store.find_or_make(key, Set)
    before = len(members)
    members.update((member, *more))
    return len(members) - before


@command
def hset(store: Store, key: bytes, field: bytes, value: bytes, *more: bytes) -> Reply:
    """HSET key field value [field value ...]."""
    if len(more) % 2:
        raise wrong_number(b"hset")
    fields = store.find_or_make(key, Hash)
    before = len(fields)
    fields[field] = value
    fields.update(zip(more[::2], more[1::2], strict=True))
    return len(fields) - before


@command
def command_(_store: Store, subcommand: bytes = b"", *_more: bytes) -> Reply:
    """COMMAND [COUNT | DOCS]."""
    if not subcommand:
        return [[name.lower(), each.arity, [], 0, 0, 0] for name, each in COMMANDS.items()]
    if subcommand.upper() == b"COUNT":
        return len(COMMANDS)
    if subcommand.upper() == b"DOCS":
        return []
    raise CommandError(f"ERR unknown subcommand '{text(subcommand)}'")


@command
def config(_store: Store, subcommand: bytes, *patterns: bytes) -> Reply:
    """CONFIG GET pattern [pattern ...]."""
    if subcommand.upper() != b"GET":
        raise CommandError(f"ERR unknown subcommand '{text(subcommand)}'")
    settings = {b"save": b"", b"appendonly": b"no", b"proto-max-bulk-len": b"%d" % MAX_ARGUMENT}
    asked = [name for name in settings if any(fnmatch.fnmatchcase(name, each.lower()) for each in patterns)]
    return [each for name in asked for each in (name, settings[name])]


@command
def info(store: Store, *_sections: bytes) -> Reply:
    """INFO."""
    lines = [
        *("# Server", "server_name:aionet examples/resp_server.py", f"process_id:{os.getpid()}", ""),
        *("# Clients", f"connected_clients:{store.clients}", ""),
        *("# Keyspace", f"db0:keys={len(store.values)},expires={len(store.timers)}", ""),
    ]
    return "\r\n".join(lines).encode()
