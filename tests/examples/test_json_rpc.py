"""examples/json_rpc.py: the server by hand and through its own client."""

import json
import re
import subprocess
from typing import Any

import pytest

import json_rpc
from tests.ports import free_port
from tests.programs import LOOPS, PATIENCE, Program, command, every_loop, receive_all, running, shared_by_module
from tests.turns import running as running_task
from tests.turns import turns

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


# As many digits as Python parses, an integer that no float holds, and about as deep as Python parses.
MANY = "9" * 4300
HUGE = "1" + "0" * 400
NESTED = "[" * 900 + "]" * 900


def written(method: str, params: str, number: str = "1") -> str:
    """A request of texts that json.dumps would not make."""
    return f'{{"jsonrpc": "2.0", "method": "{method}", "params": [{params}], "id": {number}}}'


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
        (written("add", f"{MANY}, {MANY}"), -32603),
        (written("add", "1e308, 1e308"), -32603),
        (written("add", f"{HUGE}, 1.5"), -32602),
        (written("sleep", HUGE), -32602),
        (written("sleep", "NaN"), -32602),
        (written("add", NESTED), -32602),
        (written("add", "1", NESTED), -32600),
        (written("add", "1", "1e999"), -32600),
        (written("add", "1", '"%s"' % ("x" * 1001)), -32600),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_is_answered_with_its_code(server: Program, line: str, code: int) -> None:
    answers = ask(server, line, request("add", 1, 2))
    assert [answer["error"]["code"] for answer in answers[:1]] == [code]
    assert len(answers) == (1 if len(line) >= json_rpc.MAX_LINE else 2)
    assert answers[0]["id"] == (None if code in {-32700, -32600} else 1)


def test_an_answer_that_would_be_too_long_is_an_error_with_the_id_of_its_request(server: Program) -> None:
    long = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 200_000  # six bytes each, as JSON
    line = f'{{"jsonrpc": "2.0", "method": "upper", "params": ["{long}"], "id": "long"}}'
    too_long, batch, short = ask(server, line, f"[{line}, {request('add', 1)}]", request("add", 1, number="short"))
    assert (too_long["error"]["code"], too_long["id"]) == (-32603, "long")
    assert [answer["id"] for answer in batch] == ["long", 1]
    assert (short["result"], short["id"]) == (1, "short")


def test_a_batch_whose_answers_would_be_too_long_is_answered_with_one_error(server: Program) -> None:
    memory = server.memory()
    too_long, short = ask(server, f"[{'1,' * 500_000}1]", request("add", 1, number="short"))
    assert (too_long["error"]["code"], too_long["id"]) == (-32603, None)
    assert short["id"] == "short"
    assert server.memory() - memory < 50_000_000


def test_a_result_that_is_nested_too_deep_for_json_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    answer = json.loads(json_rpc.encode({"jsonrpc": "2.0", "result": deep, "id": 1}))
    assert (answer["error"]["code"], answer["id"]) == (-32603, 1)


async def test_others_have_their_turns_while_a_batch_is_answered() -> None:
    batch = [json.loads(request("add", number)) for number in range(100)]
    async with running_task(json_rpc.encoded_answer(batch)) as answering:
        await turns(50)
        assert not answering.done()
        assert len(json.loads(await answering)) == 100


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


@pytest.mark.parametrize("param", ["text", "NaN", "[1", "9" * 5000])
def test_a_parameter_that_is_no_json_is_a_mistake_in_usage(param: str) -> None:
    done = subprocess.run(
        command("json_rpc.py", "--call", "upper", param, loop=LOOPS[0]),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert done.stderr.splitlines()[-1].startswith(
        f"json_rpc.py: error: argument --call: not a JSON value: '{param[:4]}"
    )


@every_loop
def test_a_client_whom_nobody_answers_says_so(loop: str) -> None:
    done = subprocess.run(
        command("json_rpc.py", "--port", str(free_port()), "--call", "upper", '"text"', loop=loop),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"json_rpc.py: connect to tcp://127\.0\.0\.1:\d+: .* refused\n", done.stderr), done.stderr
