"""examples/memcached_server.py: what each command answers, in memcached's own bytes, and to a real client."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pymemcache import Client  # type: ignore[import-untyped]
from pymemcache.exceptions import MemcacheServerError  # type: ignore[import-untyped]

from memcached.requests import MAX_SIZE
from tests.programs import Program, every_loop, receive_all, running, shared_by_module

server = shared_by_module("memcached_server.py")  # each test has keys of its own


def ask(server: Program, *lines: str) -> list[str]:
    """Send lines and quit; return the lines of the reply."""
    with server.connect() as sock:
        sock.sendall("".join(f"{line}\r\n" for line in (*lines, "quit")).encode())
        return receive_all(sock).decode().split("\r\n")[:-1]


@contextmanager
def talking(server: Program) -> Iterator[Client]:
    client = Client((server.host, server.port), timeout=20, default_noreply=False)
    try:
        yield client
    finally:
        client.close()


def test_a_client_stores_and_gets(server: Program) -> None:
    with talking(server) as client:
        assert client.set("a", "1", expire=100)
        assert client.get("a") == b"1"
        assert client.get("nothing") is None
        assert client.set_many({"b": b"2\r\n", "c": b""}) == []
        assert client.get_many(["a", "b", "c", "nothing"]) == {"a": b"1", "b": b"2\r\n", "c": b""}
        assert client.delete("a")
        assert not client.delete("a")
        assert client.version().startswith(b"1.6")
        assert client.stats()[b"curr_connections"] >= 1


def test_a_client_stores_on_conditions(server: Program) -> None:
    with talking(server) as client:
        assert not client.replace("d", b"0")
        assert not client.append("d", b"0")
        assert client.add("d", b"b")
        assert not client.add("d", b"0")
        assert client.append("d", b"c")
        assert client.prepend("d", b"a")
        assert client.get("d") == b"abc"
        value, unique = client.gets("d")
        assert value == b"abc"
        assert client.cas("d", b"new", unique)
        assert not client.cas("d", b"newer", unique)
        assert client.cas("nothing", b"", unique) is None
        assert client.replace("d", b"last")
        assert client.get("d") == b"last"


def test_a_client_counts(server: Program) -> None:
    with talking(server) as client:
        assert client.incr("n", 1) is None
        client.set("n", b"10")
        assert [client.incr("n", 5), client.decr("n", 1), client.decr("n", 100)] == [15, 14, 0]
        client.set("n", b"%d" % (2**64 - 1))
        assert client.incr("n", 2) == 1


def test_items_expire(server: Program) -> None:
    with talking(server) as client:
        for key, expire in (
            ("gone", -1),
            ("soon", 1),
            ("date", int(time.time()) + 1000),
            ("past", int(time.time()) - 9),
        ):
            assert client.set(key, b"x", expire=expire)
        assert [client.get(key) for key in ("gone", "date", "past")] == [None, b"x", None]
        while client.get("soon"):  # nothing else tells, until the test's time limit
            pass
        assert client.touch("date", -1)
        assert client.get("date") is None
        assert not client.touch("date", 100)


@every_loop
def test_everything_is_flushed_at_once_or_later(loop: str) -> None:
    with running("memcached_server.py", loop=loop) as program, talking(program) as client:
        client.set("a", b"1")
        assert client.flush_all()
        assert client.get("a") is None
        client.set("a", b"1")
        assert client.flush_all(delay=1)
        assert client.get("a") == b"1"
        while client.get("a"):  # nothing else tells, until the test's time limit
            pass
        client.set("a", b"2")
        assert client.get("a") == b"2"


@every_loop
def test_the_items_that_nobody_asked_for_longest_make_room(loop: str) -> None:
    with running("memcached_server.py", "--memory", "4", loop=loop) as program, talking(program) as client:
        client.set("kept", bytes(1000))
        for number in range(40):
            client.set(f"key{number}", bytes(500_000))
            assert client.get("kept")
        assert client.get("key0") is None
        assert client.get("key39") == bytes(500_000)
        assert client.stats()[b"evictions"] > 30


def room(client: Client) -> tuple[int, int]:
    """How much the items take, and how much they may."""
    stats = client.stats()
    return stats[b"bytes"], stats[b"limit_maxbytes"]


@every_loop
@pytest.mark.parametrize("command", ["append", "prepend"])
def test_an_item_grows_as_far_as_one_may_be_large_and_no_further(loop: str, command: str) -> None:
    with running("memcached_server.py", "--memory", "4", loop=loop) as program, talking(program) as client:
        grow = getattr(client, command)
        assert client.set("a", bytes(1024 * 1024 - 1))
        for piece in (b"12", bytes(1024 * 1024)):
            with pytest.raises(MemcacheServerError, match="object too large"):
                grow("a", piece)
        assert client.get("a") == bytes(1024 * 1024 - 1)
        assert grow("a", b"1")
        assert len(client.get("a")) == 1024 * 1024
        used, limit = room(client)
        assert used <= limit


@every_loop
def test_an_item_that_is_larger_than_all_memory_is_refused_and_what_it_was_to_replace_is_gone(loop: str) -> None:
    with running("memcached_server.py", "--memory", "1", loop=loop) as program, talking(program) as client:
        assert client.set("a", b"old")
        with pytest.raises(MemcacheServerError, match="object too large"):
            client.set("a", bytes(1024 * 1024))
        assert client.get("a") is None
        assert room(client) == (0, 1024 * 1024)


def test_a_line_that_names_a_large_item_many_times_costs_little(server: Program) -> None:
    value = bytes(1024 * 1024)
    with talking(server) as client, server.connect() as sock, sock.makefile("rb") as replies:
        client.set("big", value)
        before = server.memory()
        sock.sendall(b"get" + b" big" * 200 + b"\r\nquit\r\n")
        for _ in range(200):
            assert replies.readline() == b"VALUE big 0 %d\r\n" % len(value)
            assert server.memory() - before < 20_000_000
            assert replies.read(len(value) + 2) == value + b"\r\n"
        assert replies.read() == b"END\r\n"


def test_an_item_that_is_too_large_is_refused_and_the_connection_goes_on(server: Program) -> None:
    with talking(server) as client:
        client.set("large", b"old")
        assert client.set("large", bytes(1024 * 1024))
        with pytest.raises(MemcacheServerError, match="object too large"):
            client.set("large", bytes(1024 * 1024 + 1))
        assert client.get("large") is None
        memory = server.memory()
        with server.connect() as sock:
            sock.sendall(b"set huge 0 0 %d\r\n" % MAX_SIZE + bytes(100_000))
            assert client.version()
            assert server.memory() - memory < 10_000_000


# More digits than int() takes.
MANY = "9" * 5000
BAD_FORMAT = "CLIENT_ERROR bad command line format"
NOT_NUMERIC = "CLIENT_ERROR cannot increment or decrement non-numeric value"


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        (["nothing"], ["ERROR"]),
        ([""], ["ERROR"]),
        (["get"], ["ERROR"]),
        (["set a 0 0"], ["ERROR"]),
        (["set a x 0 1", "1"], [BAD_FORMAT]),
        (["set a 0 0 x"], [BAD_FORMAT]),
        (["set a 0 0 -1"], ["CLIENT_ERROR bad data chunk"]),
        (["set a 0 0 2", "123"], ["CLIENT_ERROR bad data chunk", "ERROR"]),
        (["get a " + "k" * 251], [BAD_FORMAT]),
        (["set e 7 0 2 noreply", "ab", "get e"], ["VALUE e 7 2", "ab", "END"]),
        (["set e 7 0 2 noreply", "ab", "incr e 1"], [NOT_NUMERIC]),
        (["incr e x"], ["CLIENT_ERROR invalid numeric delta argument"]),
        (["incr e"], ["ERROR"]),
        (["touch e"], ["ERROR"]),
        (["delete e 5"], ["CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"]),
        (["set f 0 0 1 noreply", "1", "delete f noreply", "get f"], ["END"]),
        (["verbosity 1", "verbosity"], ["OK", "ERROR"]),
        (["stats reset", "stats slabs"], ["RESET", "END"]),
        (["x" * 70_000], ["CLIENT_ERROR line too long"]),
        ([f"set g 0 0 {MANY}"], [BAD_FORMAT]),
        ([f"set g 0 0 {2**31}", "get g"], [BAD_FORMAT, "END"]),
        ([f"set g {MANY} 0 1", "1"], [BAD_FORMAT]),
        ([f"set g {2**32} 0 1", "1"], [BAD_FORMAT]),
        ([f"set g {2**32 - 1} 0 1 noreply", "1", "get g"], [f"VALUE g {2**32 - 1} 1", "1", "END"]),
        ([f"set g 0 {MANY} 1", "1"], [BAD_FORMAT]),
        ([f"set g 0 -{MANY} 1", "1"], [BAD_FORMAT]),
        ([f"cas g 0 0 1 {MANY}", "1"], [BAD_FORMAT]),
        ([f"incr g {MANY}"], ["CLIENT_ERROR invalid numeric delta argument"]),
        ([f"set h 0 0 {len(MANY)} noreply", MANY, "incr h 1"], [NOT_NUMERIC]),
        ([f"touch g {MANY}"], ["CLIENT_ERROR invalid exptime argument"]),
        ([f"flush_all {MANY}"], [BAD_FORMAT]),
    ],
    ids=lambda value: value[0][:30].replace("9999", ""),
)
def test_replies_are_in_memcacheds_own_words(server: Program, lines: list[str], replies: list[str]) -> None:
    assert ask(server, *lines) == replies


def test_pipelined_requests_are_answered_in_order(server: Program) -> None:
    lines = [line for number in range(5000) for line in (f"set p 0 0 {len(str(number))}", str(number), "get p")]
    replies = ask(server, *lines)
    assert replies[2::4] == [str(number) for number in range(5000)]
