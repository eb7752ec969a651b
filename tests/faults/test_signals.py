"""Ctrl-C and SIGTERM: the first drains, a second one aborts, and the process ends as it should."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from tests.faults.running import Script, running
from tests.programs import PATIENCE, every_loop, receive_all

if TYPE_CHECKING:
    from collections.abc import Generator

LONG = "3600"
SHORT = "0.05"
every_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@contextmanager
def client_of(port: int, request: bytes) -> Generator[socket.socket]:
    """Connect, and return when the handler has its request."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(request)
        assert client.recv(2) == b"ok"
        yield client


def ends_well(script: Script) -> None:
    """Check that the signals are Python's own again, and that nothing was complained of."""
    script.signal(signal.SIGINT)
    assert script.answer() == "cancelled"
    assert script.answer() == "interrupted"
    assert script.status() == 0, script.said()
    assert not script.said()


@every_loop
@every_signal
def test_the_first_signal_drains(loop: str, number: signal.Signals) -> None:
    with running("serve_until_signalled", loop, LONG, "1") as script:
        (port,) = script.answer()
        with client_of(port, b"stop when told") as client:
            script.signal(number)
            assert receive_all(client) == b"bye"
        assert script.answer() == "gone"
        assert script.answer() == [0]
        ends_well(script)


@every_loop
@every_signal
def test_what_is_left_when_the_drain_is_over_is_aborted(loop: str, number: signal.Signals) -> None:
    with running("serve_until_signalled", loop, SHORT, "1") as script:
        (port,) = script.answer()
        with client_of(port, b"stay") as client:
            script.signal(number)
            with pytest.raises(ConnectionResetError):
                receive_all(client)
        assert script.answer() == "gone"
        assert script.answer() == [1]
        ends_well(script)


@every_loop
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_aborts(loop: str, first: signal.Signals, second: signal.Signals) -> None:
    with running("serve_until_signalled", loop, LONG, "1") as script:
        (port,) = script.answer()
        with client_of(port, b"stay") as client:
            script.signal(first)
            assert client.recv(3) == b"bye"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            script.signal(second)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert script.answer() == "gone"
        assert script.answer() == [1]
        ends_well(script)


@every_loop
def test_every_server_of_a_process_is_told(loop: str) -> None:
    with running("serve_until_signalled", loop, LONG, "3") as script, ExitStack() as stack:
        ports = script.answer()
        clients = [stack.enter_context(client_of(port, b"stop when told")) for port in ports]
        stubborn = stack.enter_context(client_of(ports[1], b"stay"))
        script.signal(signal.SIGTERM)
        for client in clients:
            assert receive_all(client) == b"bye"
            client.close()
            assert script.answer() == "gone"
        assert stubborn.recv(3) == b"bye"
        script.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            stubborn.recv(1)
        assert script.answer() == "gone"
        assert script.answer() == [0, 1, 0]
        ends_well(script)


@every_loop
def test_an_idle_server_ends_at_once(loop: str) -> None:
    with running("serve_until_signalled", loop, LONG, "2") as script:
        script.answer()
        script.signal(signal.SIGINT)
        assert script.answer() == [0, 0]
        ends_well(script)


async def nothing(stream: aionet.Stream) -> None:
    """Handle nothing."""


async def test_former_handlers_are_back_when_serve_forever_is_cancelled() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    async with aionet.serve("tcp://127.0.0.1:0", nothing) as server:
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        assert {number: signal.getsignal(number) for number in before} != before
        serving.cancel()
        await asyncio.wait([serving])
        assert {number: signal.getsignal(number) for number in before} == before
        assert server.state is aionet.ServerState.SERVING


async def test_without_signals_none_is_touched() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with aionet.serve("tcp://127.0.0.1:0", nothing) as server:
        serving = asyncio.create_task(server.serve_forever(signals=()))
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is before
        await server.aclose()
        await serving


async def test_of_two_servers_that_end_in_any_order_the_last_puts_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with aionet.serve("tcp://127.0.0.1:0", nothing) as one, aionet.serve("tcp://127.0.0.1:0", nothing) as other:
        first, second = (asyncio.create_task(server.serve_forever()) for server in (one, other))
        await asyncio.sleep(0)
        await one.aclose()
        await first
        assert signal.getsignal(signal.SIGTERM) is not before
        signal.raise_signal(signal.SIGTERM)  # still drains the other
        await second
        assert other.state is aionet.ServerState.CLOSED
    assert signal.getsignal(signal.SIGTERM) is before


@every_loop
def test_a_server_outside_the_main_thread_serves_without_signals(loop: str) -> None:
    results: list[aionet.ServerState] = []

    async def serve_and_close() -> None:
        async with aionet.serve("tcp://127.0.0.1:0", nothing) as server:
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(0)
            await server.aclose()
            await serving
            results.append(server.state)

    thread = threading.Thread(target=lambda: aionet.run(serve_and_close(), loop=loop))
    thread.start()
    thread.join(PATIENCE)
    assert results == [aionet.ServerState.CLOSED]
