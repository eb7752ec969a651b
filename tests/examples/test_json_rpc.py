"""examples/json_rpc.py: the server by hand and through its own client."""

import json
import subprocess
from typing import Any

import pytest

from tests.programs import PATIENCE, Program, command, every_loop, receive_all, running, shared_by_module

server = shared_by_module("json_rpc.py")


def ask(server: Program, *lines: str) -> list[Any]:
    """Send lines and the end; return the answers."""
    with server.connect() as sock:
        sock.sendall("".join(f"{line}\n" for line in lines).encode())
        sock.shutdown(1)
        return [json.loads(line) for line in receive_all(sock).splitlines()]


def request(method: str, *params: object, number: object = 1) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": number})


def test_requests_are_answered_in_order(server: Program) -> None:
    asked = [request("add", number, 1, number=number) for number in range(1000)]
    answers = ask(server, request("sleep", 0.01, number="first"), *asked)
    assert [answer["id"] for answer in answers] == ["first", *range(1000)]
    assert [answer["result"] for answer in answers] == [0.01, *range(1, 1001)]


def test_named_parameters_notifications_and_batches(server: Program) -> None:
    named = '{"jsonrpc": "2.0", "method": "upper", "params": {"text": "a"}, "id": 1}'
    notification = '{"jsonrpc": "2.0", "method": "upper", "params": ["a"]}'
    batch = f"[{named}, {notification}, 7]"
    first, second = ask(server, notification, named, batch, f"[{notification}]")
    assert first == {"jsonrpc": "2.0", "result": "A", "id": 1}
    assert [second[0], second[1]["error"]["code"]] == [first, -32600]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("nonsense", -32700),
        ("[" * 100_000, -32700),
        ("[]", -32600),
        ('{"method": "add"}', -32600),
        ('{"jsonrpc": "2.0", "method": "add", "params": 7, "id": 1}', -32600),
        (request("nothing"), -32601),
        (request("upper"), -32602),
        (request("upper", 7), -32602),
        (request("add", "a"), -32602),
        (request("sleep", "long"), -32602),
        ("x" * 1024 * 1024, -32600),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_is_answered_with_its_code(server: Program, line: str, code: int) -> None:
    answers = ask(server, line)
    assert [answer["error"]["code"] for answer in answers] == [code]


@every_loop
def test_the_client_makes_its_calls_at_once_and_prints_them_in_order(loop: str) -> None:
    with running("json_rpc.py", loop=loop) as program:
        calls = [word for number in range(50) for word in ("--call", "sleep", f"0.0{number % 5}")]
        calls += ["--call", "upper", '"text"', "--call", "upper", "--call", "add", "1", "2.5"]
        done = subprocess.run(
            [*command("json_rpc.py", "--port", str(program.port), loop=loop), *calls],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    assert done.stderr == ""
    *slept, text, error, total = done.stdout.splitlines()
    assert [float(line) for line in slept] == [number % 5 / 100 for number in range(50)]
    assert (text, error, total) == ('"TEXT"', "error: missing a required argument: 'text' (-32602)", "3.5")
