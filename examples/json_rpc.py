"""JSON-RPC 2.0, a JSON value a line: a server, and a client that asks many things at once over one connection.

    python examples/json_rpc.py --port 8001
    python examples/json_rpc.py --port 8001 --call add 1 2 --call upper '"text"'

Source: https://www.jsonrpc.org/specification
"""

import argparse
import asyncio
import inspect
import itertools
import json
import math
from collections.abc import Callable
from typing import Any, Final

import aionet

MAX_LINE: Final = 1024 * 1024
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

# Of a request, in characters: so an error always has room beside it.
MAX_ID: Final = 1000
# Seconds. A client that has gone is noticed by who answers it, and not before.
MAX_SLEEP: Final = 60.0


def dumps(value: object) -> bytes:
    """Make the text of a value; ValueError if JSON has none, or Python writes none of so many digits."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


LINES: Final = aionet.Lines(max_bytes=MAX_LINE)
VALUES: Final[aionet.Framer[Any]] = LINES.map(json.loads, dumps)


class RPCError(Exception):
    """What a call ends with instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


TOO_LONG: Final = RPCError(INTERNAL_ERROR, f"the answer has more than {MAX_LINE} bytes")


# --- the server -------------------------------------------------------------------------------------------------------


def add(*numbers: float) -> float:
    """Add numbers."""
    return sum(numbers)


def upper(text: str) -> str:
    """Return the text in capitals."""
    return text.upper()


async def sleep(seconds: float) -> float:
    """Wait, and return for how long."""
    if not 0 <= seconds <= MAX_SLEEP:
        raise ValueError(f"from 0 to {MAX_SLEEP:g} seconds")
    await asyncio.sleep(seconds)
    return seconds


METHODS: Final[dict[str, Callable[..., Any]]] = {"add": add, "upper": upper, "sleep": sleep}


async def call(method: str, params: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Call a method."""
    function = METHODS.get(method)
    if function is None:
        raise RPCError(METHOD_NOT_FOUND, f"no method {method!r}")
    try:
        bind = inspect.signature(function).bind
        arguments = bind(*params) if isinstance(params, list) else bind(**params)
    except TypeError as error:
        raise RPCError(INVALID_PARAMS, str(error)) from error
    try:
        result = function(*arguments.args, **arguments.kwargs)
        return await result if inspect.isawaitable(result) else result
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:  # values of the wrong kind or size
        raise RPCError(INVALID_PARAMS, str(error)) from error


def failure(number: object, error: RPCError) -> dict[str, Any]:
    """Make the answer to a request that failed."""
    return {"jsonrpc": "2.0", "error": {"code": error.code, "message": error.message}, "id": number}


def is_id(number: object) -> bool:
    """Tell whether this may be the id of a request, and come back in its answer."""
    match number:
        case str():
            return len(number) <= MAX_ID
        case float():
            return math.isfinite(number)
        case _:
            return number is None or isinstance(number, int)


def is_request(value: object) -> bool:
    """Tell whether a value is a request."""
    match value:
        case {"jsonrpc": "2.0", "method": str(), **rest}:
            return isinstance(rest.get("params", []), (list, dict)) and is_id(rest.get("id"))
        case _:
            return False


async def answer(request: Any) -> dict[str, Any] | None:  # noqa: ANN401 - any JSON value
    """Answer one request; a notification has no answer."""
    if not is_request(request):
        return failure(None, RPCError(INVALID_REQUEST, "not a request"))
    try:
        result = await call(request["method"], request.get("params", []))
    except RPCError as error:
        return failure(request["id"], error) if "id" in request else None
    return {"jsonrpc": "2.0", "result": result, "id": request["id"]} if "id" in request else None


def encode(reply: dict[str, Any]) -> bytes:
    """Make the text of an answer; where that cannot be, of an error that says why."""
    try:
        text = dumps(reply)
    except (ValueError, RecursionError) as error:
        problem = RPCError(INTERNAL_ERROR, str(error))
    else:
        if len(text) < MAX_LINE:
            return text
        problem = TOO_LONG
    return dumps(failure(reply["id"], problem))


async def encoded_answer(request: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Answer what came in a line, a request or a batch of them; b"" if nothing is to be answered."""
    if not isinstance(request, list) or not request:
        reply = await answer(request)
        return b"" if reply is None else encode(reply)
    answers: list[bytes] = []
    size = len(b"[]")
    for one in request:
        await asyncio.sleep(0)  # a long batch is not done before others have their turn
        if (reply := await answer(one)) is None:
            continue
        answers.append(encode(reply))
        size += len(answers[-1]) + len(b",")
        if size > MAX_LINE:  # a short line may hold a great many: the rest of them is not done
            return encode(failure(None, TOO_LONG))
    return b"[%b]" % b",".join(answers) if answers else b""


async def serve_client(stream: aionet.Stream) -> None:
    """Answer what a client asks, in its order."""
    requests, replies = stream.framed(VALUES), stream.framed(LINES)
    while True:
        try:
            request = await anext(requests)
        except StopAsyncIteration:
            return
        except aionet.MessageError as error:
            reply = encode(failure(None, RPCError(PARSE_ERROR, str(error.__cause__))))
        except aionet.FrameTooLargeError as error:
            problem = RPCError(INVALID_REQUEST, f"a line has at most {error.limit} bytes")
            await replies.send(encode(failure(None, problem)))
            return
        else:
            reply = await encoded_answer(request)
        if reply:
            await replies.send(reply)


async def serve(host: str, port: int) -> None:
    """Serve until a signal."""
    async with aionet.serve((host, port), serve_client) as server:
        print("listening on", *server.addresses, flush=True)
        await server.serve_forever()


# --- the client -------------------------------------------------------------------------------------------------------


class Client:
    """Calls methods over one connection; any number of tasks may, and none waits for the call of another."""

    def __init__(self, pipeline: aionet.Pipeline[Any]) -> None:
        self._pipeline = pipeline
        self._numbers = itertools.count(1)

    async def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - any JSON value
        """Call a method; raise RPCError if the server does."""
        number = next(self._numbers)
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
        match await self._pipeline.request(request):
            case {"id": answered, "result": result} if answered == number:
                return result
            case {"id": answered, "error": {"code": int(code), "message": str(message)}} if answered == number:
                raise RPCError(code, message)
            case other:
                raise RPCError(INTERNAL_ERROR, f"not the answer to request {number}: {other!r}")


def parameter(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Parse a parameter; ValueError if there is no such JSON value."""
    try:
        value = json.loads(text)
        dumps(value)  # Python parses NaN, too
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {text[:40]!r}: {error}") from error
    return value


async def ask(host: str, port: int, calls: list[tuple[str, list[Any]]]) -> None:
    """Make all calls at once, and print their results in order."""
    async with aionet.connect((host, port)) as stream, aionet.Pipeline(stream.framed(VALUES)) as pipeline:
        client = Client(pipeline)
        made = [client.call(method, *params) for method, params in calls]
        for result in await asyncio.gather(*made, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, RPCError):
                raise result
            print(f"error: {result}" if isinstance(result, RPCError) else json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="JSON-RPC over lines: a server, or with --call a client.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name (default: %(default)s)")
    parser.add_argument("--port", default=8001, type=int, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--call", action="append", nargs="+", metavar=("METHOD", "PARAM"), help="call, do not serve")
    parser.add_argument("--loop", default="auto", choices=("auto", "asyncio", "uvloop"))
    args = parser.parse_args()
    try:
        calls = [(method, [parameter(text) for text in texts]) for method, *texts in args.call or []]
    except ValueError as error:
        parser.error(f"argument --call: {error}")
    main = ask(args.host, args.port, calls) if calls else serve(args.host, args.port)
    try:
        aionet.run(main, loop=args.loop)
    except aionet.AionetError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
