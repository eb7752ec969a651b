"""redis-cli and redis-benchmark against examples/resp_server.py."""

import csv

from tests.programs import Program, every_loop, run, running, shared_by_module
from tests.tools import require_tool

COMMANDS = 100_000

server = shared_by_module("resp_server.py")  # each test has keys of its own


def redis_cli(server: Program, *args: str, stdin: bytes = b"", status: int = 0) -> str:
    command = [require_tool("redis-cli"), "-h", server.host, "-p", str(server.port), *args]
    return run(*command, stdin=stdin, status=status).decode()


@every_loop
def test_redis_cli_asks_over_ipv6(loop: str) -> None:
    with running("resp_server.py", "--host", "::1", loop=loop) as ipv6:
        assert redis_cli(ipv6, "ping") == "PONG\n"


def test_redis_cli_asks_and_understands(server: Program) -> None:
    assert redis_cli(server, "ping") == "PONG\n"
    assert redis_cli(server, "set", "key", "two words", "ex", "100") == "OK\n"
    assert redis_cli(server, "get", "key") == "two words\n"
    assert redis_cli(server, "rpush", "letters", "a", "b") == "2\n"
    assert redis_cli(server, "lrange", "letters", "0", "-1") == "a\nb\n"
    assert redis_cli(server, "get", "nothing") == "\n"
    assert "connected_clients:" in redis_cli(server, "info")
    assert redis_cli(server, "command", "count") == "18\n"
    assert redis_cli(server, "-e", "zadd", "key", "1", "a", status=1) == ""  # the error is on stderr
    assert redis_cli(server, "incr", "key") == "ERR value is not an integer or out of range\n\n"


def test_redis_cli_talks_for_a_while(server: Program) -> None:
    said = b"set word value\nget word\nhset hash field 1\nget hash\nnothing\nlpush numbers 1 2 3\nlrange numbers 0 1\n"
    assert redis_cli(server, stdin=said).splitlines() == [
        "OK",
        "value",
        "1",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "",
        "ERR unknown command 'nothing', with args beginning with: ",
        "",
        "3",
        "3",
        "2",
    ]


def test_redis_cli_pipes_a_hundred_thousand_commands(server: Program) -> None:
    # Some of each length, an error among them, and every tenth as a line of words.
    value = b"x" * 3000
    requests = [
        b"SET key:%d %d\r\n" % (number, number)
        if number % 10 == 0
        else b"*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$%d\r\n%b\r\n" % (number % 3000, value[: number % 3000])
        if number % 100 == 1
        else b"*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n"
        for number in range(COMMANDS - 1)
    ]
    said = redis_cli(server, "--pipe", stdin=b"".join([*requests, b"NOTHING\r\n"]), status=1)
    assert f"errors: 1, replies: {COMMANDS}" in said
    assert redis_cli(server, "get", "counter") == f"{sum(b'INCR' in each for each in requests)}\n"
    assert redis_cli(server, "get", f"key:{COMMANDS - 10}") == f"{COMMANDS - 10}\n"


def test_redis_benchmark_runs_pipelined(server: Program) -> None:
    benchmark = require_tool("redis-benchmark")
    place = ("-h", server.host, "-p", str(server.port))
    said = run(benchmark, *place, "--csv", "-t", "ping,set,get,incr,lpush", "-P", "16", "-n", "20000", "-r", "1000")
    measured = {line["test"]: float(line["rps"]) for line in csv.DictReader(said.decode().splitlines())}
    assert list(measured) == ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH"]
    assert all(measured.values())
