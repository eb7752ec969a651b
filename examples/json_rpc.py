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
from collections.abc import Callable
from typing import Any, Final

import aionet

MAX_LINE: Final = 1024 * 1024
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

VALUES: Final[aionet.Framer[Any]] = aionet.Lines(max_bytes=MAX_LINE).map(
    json.loads, lambda value: json.dumps(value, separators=(",", ":")).encode()
)


class RPCError(Exception):
    """What a call ends with instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


# --- the server -------------------------------------------------------------------------------------------------------


def add(*numbers: float) -> float:
    """Add numbers."""
    return sum(numbers)


def upper(text: str) -> str:
    """Return the text in capitals."""
    return text.upper()


async def sleep(seconds: float) -> float:
    """Wait, and return for how long."""
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
    except (TypeError, ValueError, AttributeError) as error:  # values of the wrong kind
        raise RPCError(INVALID_PARAMS, str(error)) from error


def failure(number: object, error: RPCError) -> dict[str, Any]:
    """Make the answer to a request that failed."""
    return {"jsonrpc": "2.0", "error": {"code": error.code, "message": error.message}, "id": number}


async def answer(request: Any) -> dict[str, Any] | None:  # noqa: ANN401 - any JSON value
    """Answer one request; a notification has no answer."""
    match request:
        case {"jsonrpc": "2.0", "method": str(method), **rest} if isinstance(rest.get("params", []), (list, dict)):
            try:
                result = await call(method, rest.get("params", []))
            except RPCError as error:
                return failure(rest["id"], error) if "id" in rest else None
            return {"jsonrpc": "2.0", "result": result, "id": rest["id"]} if "id" in rest else None
        case _:
            return failure(None, RPCError(INVALID_REQUEST, "not a request"))


async def serve_client(stream: aionet.Stream) -> None:
    """Answer what a client asks, in its order."""
    framed = stream.framed(VALUES)
    while True:
        reply: object
        try:
            request = await anext(framed)
        except StopAsyncIteration:
            return
        except aionet.MessageError as error:
            reply = failure(None, RPCError(PARSE_ERROR, str(error.__cause__)))
        except aionet.FrameTooLargeError as error:
            await framed.send(failure(None, RPCError(INVALID_REQUEST, f"a line has at most {error.limit} bytes")))
            return
        else:
            if isinstance(request, list) and request:  # a batch
                reply = [each for each in [await answer(one) for one in request] if each is not None]
            else:
                reply = await answer(request)
        if reply:
            await framed.send(reply)


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


async def ask(host: str, port: int, calls: list[list[str]]) -> None:
    """Make all calls at once, and print their results in order."""
    async with aionet.connect((host, port)) as stream, aionet.Pipeline(stream.framed(VALUES)) as pipeline:
        client = Client(pipeline)
        made = [client.call(method, *map(json.loads, params)) for method, *params in calls]
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
    main = ask(args.host, args.port, args.call) if args.call else serve(args.host, args.port)
    aionet.run(main, loop=args.loop)
