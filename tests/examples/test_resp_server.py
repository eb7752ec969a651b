"""examples/resp_server.py: what each command answers, in Redis's own bytes, and what happens around them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest

from tests.programs import Program, every_loop, receive_all, running, shared_by_module

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NO_INTEGER = "ERR value is not an integer or out of range"
SYNTAX = "ERR syntax error"


def wrong_number(name: str) -> str:
    return f"ERR wrong number of arguments for '{name}' command"


@attrs.frozen
class Error:
    """An error reply."""

    message: str


Reply = str | int | bytes | list["Reply"] | Error | None


class Client:
    """Speaks the protocol over a plain blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")

    def send(self, *arguments: str | bytes) -> None:
        words = [each.encode() if isinstance(each, str) else each for each in arguments]
        self.sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in words))

    def receive(self) -> Reply:
        line = self.file.readline()
        assert line.endswith(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Error(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        assert kind == b"$"
        return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]

    def ask(self, command: str) -> Reply:
        self.send(*command.split())
        return self.receive()

    def ask_at_once(self, *commands: str) -> list[Reply]:
        self.sock.sendall("".join(f"{command}\r\n" for command in commands).encode())
        return [self.receive() for _ in commands]

    def wait_until_gone(self, key: str) -> None:
        while self.ask(f"EXISTS {key}"):  # nothing else tells, until the test's time limit
            pass


@contextmanager
def client_of(server: Program) -> Iterator[Client]:
    with server.connect() as sock:
        client = Client(sock)
        with client.file:
            yield client


server = shared_by_module("resp_server.py")  # the tests of commands have keys of their own


@pytest.fixture
def client(server: Program) -> Iterator[Client]:
    with client_of(server) as connected:
        yield connected


CONVERSATIONS: dict[str, list[tuple[str, Reply]]] = {
    "ping": [("PING", "PONG"), ("ping hello", b"hello"), ("PING a b", Error(wrong_number("ping")))],
    "echo": [("ECHO hello", b"hello"), ("ECHO", Error(wrong_number("echo")))],
    "get and set": [
        ("GET gs", None),
        ("SET gs 1", "OK"),
        ("GET gs", b"1"),
        ("SET gs 2", "OK"),
        ("GET gs", b"2"),
        ("GET", Error(wrong_number("get"))),
        ("SET gs", Error(wrong_number("set"))),
    ],
    "set nx and xx": [
        ("SET nx 1 XX", None),
        ("EXISTS nx", 0),
        ("SET nx 1 NX", "OK"),
        ("SET nx 2 nx", None),
        ("GET nx", b"1"),
        ("SET nx 3 xx", "OK"),
        ("GET nx", b"3"),
        ("SET nx 4 EX 100 XX", "OK"),
        ("SET nx 5 NX PX 100", None),
        ("SET nx 6 NX XX", Error(SYNTAX)),
        ("SET nx 6 XX NX", Error(SYNTAX)),
        ("GET nx", b"4"),
    ],
    "set with a bad time": [
        ("SET bt 1 EX", Error(SYNTAX)),
        ("SET bt 1 EX 1 PX 1", Error(SYNTAX)),
        ("SET bt 1 SOON", Error(SYNTAX)),
        ("SET bt 1 EX soon", Error(NO_INTEGER)),
        ("SET bt 1 EX 0", Error("ERR invalid expire time in 'set' command")),
        ("SET bt 1 PX -1", Error("ERR invalid expire time in 'set' command")),
        ("SET bt 1 EX 9223372036854775807", Error("ERR invalid expire time in 'set' command")),
        ("SET bt 1 PX 9223372036854775807", Error("ERR invalid expire time in 'set' command")),
        ("EXISTS bt", 0),
        ("SET bt 1 PX 9000000000000000", "OK"),
        ("SET bt 1 EX 9000000000000", "OK"),
        ("GET bt", b"1"),
    ],
    "mset": [
        ("MSET m1 1 m2 2", "OK"),
        ("GET m1", b"1"),
        ("GET m2", b"2"),
        ("MSET m1", Error(wrong_number("mset"))),
        ("MSET m1 3 m2", Error(wrong_number("mset"))),
        ("GET m1", b"1"),
    ],
    "del and exists": [
        ("MSET d1 1 d2 2", "OK"),
        ("EXISTS d1 d2 d3 d1", 3),
        ("DEL d1 d2 d3", 2),
        ("EXISTS d1", 0),
        ("DEL d1", 0),
        ("DEL", Error(wrong_number("del"))),
        ("EXISTS", Error(wrong_number("exists"))),
    ],
    "incr": [
        ("INCR i", 1),
        ("INCR i", 2),
        ("GET i", b"2"),
        ("SET i -5", "OK"),
        ("INCR i", -4),
        ("SET i 9223372036854775806", "OK"),
        ("INCR i", 9223372036854775807),
        ("INCR i", Error("ERR increment or decrement would overflow")),
        ("SET i 9223372036854775808", "OK"),
        ("INCR i", Error(NO_INTEGER)),
        *[
            one
            for bad in ("1.5", "x", "+1", "01", "1_0", "-0", "\N{ARABIC-INDIC DIGIT ONE}")
            for one in ((f"SET i {bad}", "OK"), ("INCR i", Error(NO_INTEGER)))
        ],
    ],
    "lists": [
        ("RPUSH l c d", 2),
        ("LPUSH l b a", 4),
        ("LRANGE l 0 -1", [b"a", b"b", b"c", b"d"]),
        ("LRANGE l 1 2", [b"b", b"c"]),
        ("LRANGE l -2 -1", [b"c", b"d"]),
        ("LRANGE l -100 100", [b"a", b"b", b"c", b"d"]),
        ("LRANGE l 2 1", []),
        ("LRANGE l 100 200", []),
        ("LRANGE l 0 -100", []),
        ("LRANGE l -9223372036854775808 9223372036854775807", [b"a", b"b", b"c", b"d"]),
        ("LRANGE l 9223372036854775807 9223372036854775807", []),
        ("LRANGE none 0 -1", []),
        ("LRANGE l x 1", Error(NO_INTEGER)),
        ("LPOP l", b"a"),
        ("LPOP l 0", []),
        ("LPOP l 2", [b"b", b"c"]),
        ("LPOP l -1", Error("ERR value is out of range, must be positive")),
        ("LPOP l 100", [b"d"]),
        ("EXISTS l", 0),
        ("LPOP l", None),
        ("LPOP l 3", None),
        ("LPOP l 1 2", Error(wrong_number("lpop"))),
        ("LPUSH l", Error(wrong_number("lpush"))),
    ],
    "sets": [("SADD s a b a", 2), ("SADD s b c", 1), ("SADD s", Error(wrong_number("sadd")))],
    "hashes": [
        ("HSET h f 1 g 2", 2),
        ("HSET h f 3 i 4", 1),
        ("HSET h f", Error(wrong_number("hset"))),
        ("HSET h f 1 g", Error(wrong_number("hset"))),
        ("HSET another f 1 g", Error(wrong_number("hset"))),
        ("EXISTS another", 0),
    ],
    "a value of another kind": [
        ("SET k1 1", "OK"),
        ("RPUSH k2 1", 1),
        ("SADD k3 1", 1),
        ("HSET k4 f 1", 1),
        ("GET k2", Error(WRONG_TYPE)),
        ("GET k3", Error(WRONG_TYPE)),
        ("INCR k4", Error(WRONG_TYPE)),
        ("LPUSH k1 1", Error(WRONG_TYPE)),
        ("RPUSH k3 1", Error(WRONG_TYPE)),
        ("LPOP k4", Error(WRONG_TYPE)),
        ("LRANGE k1 0 1", Error(WRONG_TYPE)),
        ("SADD k2 1", Error(WRONG_TYPE)),
        ("HSET k3 f 1", Error(WRONG_TYPE)),
        ("SET k2 x", "OK"),
        ("GET k2", b"x"),
    ],
    "expire": [
        ("EXPIRE e 100", 0),
        ("SET e 1", "OK"),
        ("EXPIRE e 100", 1),
        ("EXPIRE e soon", Error(NO_INTEGER)),
        ("EXPIRE e 9223372036854775807", Error("ERR invalid expire time in 'expire' command")),
        ("GET e", b"1"),
        ("EXPIRE e 0", 1),
        ("EXISTS e", 0),
        ("SET e 1", "OK"),
        ("EXPIRE e -1", 1),
        ("EXISTS e", 0),
        ("EXPIRE e", Error(wrong_number("expire"))),
    ],
    "config": [
        ("CONFIG GET save", [b"save", b""]),
        ("CONFIG GET SAVE append*", [b"save", b"", b"appendonly", b"no"]),
        ("CONFIG GET nothing", []),
        ("CONFIG SET save 1", Error("ERR unknown subcommand 'SET'")),
    ],
    "command": [
        ("COMMAND COUNT", 18),
        ("COMMAND DOCS", []),
        ("COMMAND NOTHING", Error("ERR unknown subcommand 'NOTHING'")),
    ],
    "what it does not know": [
        ("NOTHING", Error("ERR unknown command 'NOTHING', with args beginning with: ")),
        ("zadd a 1", Error("ERR unknown command 'zadd', with args beginning with: 'a' '1' ")),
        ("SET_ a 1", Error("ERR unknown command 'SET_', with args beginning with: 'a' '1' ")),
        ("PING", "PONG"),
    ],
}


@pytest.mark.parametrize("about", CONVERSATIONS)
def test_commands_answer_as_redis_does(client: Client, about: str) -> None:
    for command, reply in CONVERSATIONS[about]:
        assert client.ask(command) == reply, command


def test_command_tells_every_name_and_arity(client: Client) -> None:
    told = client.ask("COMMAND")
    assert isinstance(told, list)
    arity = {each[0]: each[1] for each in told if isinstance(each, list)}
    assert arity == {
        b"ping": -1, b"echo": 2, b"get": 2, b"set": -3, b"mset": -3, b"del": -2, b"exists": -2, b"expire": 3,
        b"incr": 2, b"lpush": -3, b"rpush": -3, b"lpop": -2, b"lrange": 4, b"sadd": -3, b"hset": -4,
        b"command": -1, b"config": -2, b"info": -1,
    }  # fmt: skip


@every_loop
def test_info_counts_clients_and_keys(loop: str) -> None:
    with running("resp_server.py", loop=loop) as fresh, client_of(fresh) as one, client_of(fresh) as other:
        assert one.ask_at_once("MSET a 1 b 2", "EXPIRE a 100") == ["OK", 1]
        info = other.ask("INFO")
        assert isinstance(info, bytes)
        assert b"\r\nconnected_clients:2\r\n" in info
        assert b"\r\ndb0:keys=2,expires=1\r\n" in info


def test_data_may_be_any_bytes(client: Client) -> None:
    data = bytes(range(256)) * 1000
    client.send("SET", b"\r\n\x00\xff", data)
    assert client.receive() == "OK"
    client.send("GET", b"\r\n\x00\xff")
    assert client.receive() == data


def test_an_error_is_one_line_whatever_the_client_said(client: Client) -> None:
    client.send(b"a\r\n+OK\r\n", b"\xff")
    assert client.receive() == Error(
        "ERR unknown command 'a +OK ', with args beginning with: '\N{REPLACEMENT CHARACTER}' "
    )
    assert client.ask("PING") == "PONG"


@pytest.mark.parametrize("command", ["SET {} 1 PX 20", "SET {} 1 EX 1", "EXPIRE {} 1"])
def test_a_key_expires(client: Client, command: str) -> None:
    key = command.replace(" ", "-")
    # In one chunk, for which the clock stands still.
    replies = client.ask_at_once(f"SET {key} 1", command.format(key), f"EXISTS {key}")
    assert replies[-1] == 1
    client.wait_until_gone(key)
    assert client.ask(f"GET {key}") is None


@pytest.mark.parametrize("setting", ["SET {} 2", "MSET {} 2", "DEL {}"])
def test_a_key_that_is_set_anew_does_not_expire_when_the_old_one_would_have(client: Client, setting: str) -> None:
    key = setting.replace(" ", "-")
    clock = f"clock-{key}"
    client.ask_at_once(f"SET {key} 1 PX 30", setting.format(key), f"SET {key} 2 NX", f"SET {clock} 1 PX 60")
    client.wait_until_gone(clock)
    assert client.ask(f"GET {key}") == b"2"


def test_a_key_that_is_incremented_expires_when_it_would_have(client: Client) -> None:
    assert client.ask_at_once("SET countdown 1 PX 30", "INCR countdown", "SET clock 1 PX 60") == ["OK", 2, "OK"]
    client.wait_until_gone("clock")
    assert client.ask("EXISTS countdown") == 0


def test_pipelined_commands_are_answered_in_order(server: Program) -> None:
    with server.connect() as sock:
        sock.sendall(b"SET n 0\r\n" + b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * 50_000)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"+OK\r\n" + b"".join(b":%d\r\n" % number for number in range(1, 50_001))


def test_clients_share_the_data(server: Program) -> None:
    with client_of(server) as one, client_of(server) as other:
        assert one.ask("SET shared value") == "OK"
        assert other.ask("GET shared") == b"value"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"x" * 70_000, b"-ERR Protocol error: too big inline request\r\n"),
    ],
)
def test_what_is_no_request_is_answered_and_the_connection_closed(server: Program, bad: bytes, error: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(b"PING\r\n" + bad + b"PING\r\n" * 10_000)
        assert receive_all(sock) == b"+PONG\r\n" + error


@every_loop
def test_who_asks_for_much_and_reads_nothing_costs_little(loop: str) -> None:
    leaves = r"connection from [^\n]*: (reset by peer|the peer no longer receives)\n"
    with (
        running("resp_server.py", loop=loop, complains=leaves) as fresh,
        client_of(fresh) as greedy,
        client_of(fresh) as other,
    ):
        for _ in range(10):
            greedy.send("RPUSH", "l", *["x" * 1000] * 100)
            greedy.receive()
        before = fresh.memory()
        greedy.sock.sendall(b"LRANGE l 0 -1\r\n" * 1000)  # 1 MB each, 1 GB in all, in a single chunk
        for _ in range(1000):
            assert other.ask("PING") == "PONG"
        assert fresh.memory() - before < 20_000_000
