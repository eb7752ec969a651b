"""What becomes of a connection when its handler returns, raises, or is cut off; and what the hooks are told."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from tests.faults.peers import endpoint, every_kind, receive, receive_to_end, reset
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LARGE = bytes(range(256)) * 4096


@asynccontextmanager
async def client_of(server: aionet.Server) -> AsyncGenerator[socket.socket]:
    """Connect a plain socket."""
    address = server.addresses[0]
    with socket.socket(address.family) as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, address.sockaddr)
        yield client


async def answer_one(stream: aionet.Stream) -> None:
    """Answer one message with another, unless it says how to fail."""
    request = await stream.recv()
    if request == b"fail":
        raise ZeroDivisionError("that was asked for")
    if request == b"break":
        await stream.recv()
    await stream.send(b"you said " + request)


async def exchange(server: aionet.Server, request: bytes) -> bytes:
    async with client_of(server) as client:
        await asyncio.get_running_loop().sock_sendall(client, request)
        return await receive_to_end(client)


# --- a handler that returns -------------------------------------------------------------------------------------------


@every_kind
async def test_a_handler_that_returns_has_its_stream_closed_after_all_was_sent(kind: str) -> None:
    async def reply(stream: aionet.Stream) -> None:
        await stream.recv()
        await stream.send(LARGE)

    async with aionet.serve(endpoint(kind), reply) as server:
        assert await exchange(server, b"hello") == LARGE
        await until(lambda: not server.connections)
        assert server.statistics().handler_errors == 0


async def test_a_handler_may_close_its_stream_itself() -> None:
    async def close(stream: aionet.Stream) -> None:
        await stream.send(b"bye")
        await stream.aclose()

    async with aionet.serve(endpoint("tcp"), close) as server:
        assert await exchange(server, b"hello") == b"bye"
        await until(lambda: not server.connections)


async def test_whatever_is_called_with_a_stream_and_can_be_awaited_is_a_handler() -> None:
    async with aionet.serve(endpoint("tcp"), lambda stream: stream.send(b"bye")) as server:
        assert await exchange(server, b"hello") == b"bye"


# --- a handler that raises --------------------------------------------------------------------------------------------


async def test_a_handler_that_raises_is_logged_once_with_its_peer_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed: list[tuple[aionet.Stream, Exception]] = []
    hooks = aionet.Hooks(handler_failed=lambda stream, exc: failed.append((stream, exc)))
    async with aionet.serve("tcp://127.0.0.1:0", answer_one, hooks=hooks) as server:
        async with client_of(server) as client:
            peer = aionet.InetAddress(*client.getsockname())
            client.send(b"fail")
            with pytest.raises(ConnectionResetError):
                await receive(client, 1)
        await until(lambda: not server.connections)
        assert await exchange(server, b"hello") == b"you said hello"
        assert server.statistics().handler_errors == 1

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(peer) in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    ((stream, exc),) = failed
    assert stream.peer == peer
    assert exc is record.exc_info[1]


async def test_what_a_peer_alone_can_cause_is_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with aionet.serve("tcp://127.0.0.1:0", answer_one) as server:
        async with client_of(server) as client:
            client.send(b"break")
            await until(lambda: server.connections and server.connections[0].statistics().bytes_received)
            reset(client)
        await until(lambda: not server.connections)
        assert server.statistics().handler_errors == 1

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "reset by peer" in record.getMessage()
    assert not record.exc_info


async def test_a_mistake_of_the_handler_is_logged_with_its_traceback_though_aionet_found_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def use_after_close(stream: aionet.Stream) -> None:
        await stream.aclose()
        await stream.send(b"hello")

    async with aionet.serve(endpoint("tcp"), use_after_close) as server:
        assert await exchange(server, b"hello") == b""
        await until(lambda: not server.connections)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], aionet.ClosedStreamError)


@every_kind
async def test_a_handler_that_is_cancelled_from_outside_aborts_its_stream(kind: str) -> None:
    handlers: list[asyncio.Task[Any] | None] = []

    async def wait(stream: aionet.Stream) -> None:
        handlers.append(asyncio.current_task())
        await stream.recv()

    async with aionet.serve(endpoint(kind), wait) as server, client_of(server) as client:
        await until(lambda: handlers)
        assert handlers[0] is not None
        handlers[0].cancel()
        if kind == "tcp":
            with pytest.raises(ConnectionResetError):
                await receive(client, 1)
        else:
            assert await receive(client, 1) == b""
        await until(lambda: not server.connections)
        assert server.statistics().handler_errors == 0


async def test_a_connection_that_is_cut_off_before_its_handler_began_is_aborted() -> None:
    began: list[aionet.Stream] = []

    async def handle(stream: aionet.Stream) -> None:
        began.append(stream)

    def cut_off(stream: aionet.Stream) -> None:
        asyncio.get_running_loop().call_soon(server._connections.abort)  # comes before the task's first step

    hooks = aionet.Hooks(connected=cut_off)
    async with aionet.serve(endpoint("tcp"), handle, hooks=hooks) as server, client_of(server) as client:
        with pytest.raises(ConnectionResetError):
            await receive(client, 1)
        await until(lambda: not server.connections)
    assert not began


# --- hooks and counts -------------------------------------------------------------------------------------------------


async def test_hooks_are_told_in_order() -> None:
    told: list[str] = []

    async def handle(stream: aionet.Stream) -> None:
        told.append("handler begins")
        await answer_one(stream)

    hooks = aionet.Hooks(
        connected=lambda stream: told.append(f"connected, closed: {stream.closed}"),
        disconnected=lambda stream: told.append(f"disconnected, closed: {stream.closed}"),
        handler_failed=lambda stream, exc: told.append(f"failed: {exc}"),
    )
    async with aionet.serve(endpoint("tcp"), handle, hooks=hooks) as server:
        await exchange(server, b"hello")
        await until(lambda: not server.connections)
        with pytest.raises(ConnectionResetError):
            await exchange(server, b"fail")
        await until(lambda: not server.connections)
    assert told == [
        "connected, closed: False",
        "handler begins",
        "disconnected, closed: True",
        "connected, closed: False",
        "handler begins",
        "failed: that was asked for",
        "disconnected, closed: True",
    ]


@pytest.mark.parametrize("name", ["connected", "disconnected", "handler_failed"])
async def test_a_hook_that_raises_is_reported_and_changes_nothing(name: str) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    def fail(*_args: object) -> None:
        raise ZeroDivisionError(name)

    async with aionet.serve(endpoint("tcp"), answer_one, hooks=aionet.Hooks(**{name: fail})) as server:
        with pytest.raises(ConnectionResetError):
            await exchange(server, b"fail")
        assert await exchange(server, b"hello") == b"you said hello"
        await until(lambda: not server.connections)
    assert [str(context["exception"]) for context in reported] == [name] * (1 if name == "handler_failed" else 2)


async def test_the_statistics_count_every_connection() -> None:
    async with aionet.serve(endpoint("tcp"), answer_one) as server:
        assert await exchange(server, b"hello") == b"you said hello"
        with pytest.raises(ConnectionResetError):
            await exchange(server, b"fail")
        async with client_of(server), client_of(server):
            await until(lambda: len(server.connections) == 2)
            counts = server.statistics()
            assert (counts.accepted, counts.active, counts.handler_errors, counts.aborted) == (4, 2, 1, 0)
            await server.aclose()
        counts = server.statistics()
        assert (counts.accepted, counts.active, counts.handler_errors, counts.aborted) == (4, 0, 1, 2)
