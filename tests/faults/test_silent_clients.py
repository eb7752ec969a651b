"""Clients that say nothing, read nothing, or do either so slowly that they might as well not.

No time is asserted: who is to be cut off is waited for, and who is not outlives one that is.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.faults.peers import endpoint, every_kind, receive
from tests.turns import running, unless_held_up, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

SHORT = 0.05
# For those who are to be spared: a busy machine may hold up what keeps them alive for longer than the above.
PATIENT = 0.6
LARGE = bytes(20_000_000)


@attrs.define
class Scene:
    """A server with deadlines, plain clients, and what became of their handlers."""

    server: aionet.Server
    stack: ExitStack
    failures: list[Exception]

    async def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        client = self.stack.enter_context(socket.socket(self.server.addresses[0].family))
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, self.server.addresses[0].sockaddr)
        return client


@asynccontextmanager
async def serving(
    timeouts: aionet.Timeouts, handler: Callable[[aionet.Stream], Awaitable[object]], kind: str = "tcp"
) -> AsyncGenerator[Scene]:
    failures: list[Exception] = []
    hooks = aionet.Hooks(handler_failed=lambda _stream, exc: failures.append(exc))
    with ExitStack() as stack:
        # Little room, for reading a little to be noticed.
        options = aionet.SocketOptions(send_buffer=8192)
        async with aionet.serve(endpoint(kind), handler, options=options, timeouts=timeouts, hooks=hooks) as server:
            yield Scene(server, stack, failures)


async def echo(stream: aionet.Stream) -> None:
    async for data in stream:
        await stream.send(data)


async def is_cut_off(client: socket.socket) -> None:
    """Wait for the reset."""
    with pytest.raises(ConnectionResetError):
        while await receive(client, 1):
            pass
        pytest.fail("closed in peace")


def is_open(client: socket.socket) -> bool:
    """Say whether the server has neither ended nor reset the connection."""
    try:
        while client.recv(1 << 20):
            pass
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    return False


async def drip(client: socket.socket, data: bytes = b"x") -> None:
    """Send a little now and then, as long as somebody takes it."""
    while True:
        try:
            client.send(data)
        except BlockingIOError:
            pass
        except OSError:
            return
        await asyncio.sleep(SHORT / 10)


async def sip(client: socket.socket) -> None:
    """Receive a little now and then, to the end."""
    try:
        while await receive(client, 10_000):  # noqa: ASYNC110 - slowness is the point
            await asyncio.sleep(SHORT / 10)
    except ConnectionResetError:
        pass


@unless_held_up(SHORT / 2)
async def test_a_client_that_says_nothing_is_cut_off_and_one_that_has_spoken_is_not() -> None:
    async with serving(aionet.Timeouts(first_bytes=SHORT), echo) as scene:
        spoke = await scene.connect()
        spoke.send(b"x")
        assert await receive(spoke, 1) == b"x"
        for _ in range(2):
            await is_cut_off(await scene.connect())
        assert is_open(spoke)
    assert [type(failure) for failure in scene.failures] == [aionet.StreamTimeoutError] * 2
    assert f"no byte within {SHORT:g} s" in str(scene.failures[0])


async def test_what_the_server_says_does_not_stand_for_the_first_bytes_of_the_client() -> None:
    async def talk(stream: aionet.Stream) -> None:
        while True:
            await stream.send(b"are you there?\n")
            await asyncio.sleep(SHORT / 10)

    async with serving(aionet.Timeouts(first_bytes=SHORT), talk) as scene:
        await is_cut_off(await scene.connect())
        await until(lambda: scene.failures)
        assert isinstance(scene.failures[0], aionet.StreamTimeoutError)


@unless_held_up(SHORT / 2)
async def test_an_idle_client_is_cut_off() -> None:
    async with serving(aionet.Timeouts(idle=SHORT), echo) as scene:
        client = await scene.connect()
        client.send(b"x")
        assert await receive(client, 1) == b"x"
        await is_cut_off(client)
    (failure,) = scene.failures
    assert isinstance(failure, aionet.StreamTimeoutError)
    assert f"idle for {SHORT:g} s" in str(failure)


@unless_held_up(SHORT / 2)
async def test_a_client_that_only_sends_is_not_idle() -> None:
    async def listen(stream: aionet.Stream) -> None:
        async for _ in stream:
            pass

    async with serving(aionet.Timeouts(idle=PATIENT), listen) as scene:
        talker = await scene.connect()
        async with running(drip(talker)):
            for _ in range(2):
                await is_cut_off(await scene.connect())
        assert is_open(talker)


@unless_held_up(SHORT / 2)
async def test_a_client_that_only_receives_is_not_idle() -> None:
    async def talk(stream: aionet.Stream) -> None:
        if await stream.recv() == b"talk":
            while True:
                await stream.send(b"x")
                await asyncio.sleep(SHORT / 10)
        await stream.recv()

    async with serving(aionet.Timeouts(idle=PATIENT), talk) as scene:
        listener = await scene.connect()
        listener.send(b"talk")
        for _ in range(2):
            silent = await scene.connect()
            silent.send(b"do not")
            await is_cut_off(silent)
        assert is_open(listener)


@pytest.mark.parametrize("way", ["recv_exactly", "recv_until", "recv_line"])
async def test_a_message_that_comes_in_drips_does_not_outlast_its_deadline(way: str) -> None:
    async def receive_message(stream: aionet.Stream) -> None:
        match way:
            case "recv_exactly":
                await stream.recv_exactly(1_000_000)
            case "recv_until":
                await stream.recv_until(b"\0", 1_000_000)
            case _:
                await stream.recv_line(1_000_000)

    async with serving(aionet.Timeouts(message=SHORT), receive_message) as scene, running(drip(await scene.connect())):
        await until(lambda: scene.failures)
    (failure,) = scene.failures
    assert isinstance(failure, aionet.StreamTimeoutError)
    assert f"within {SHORT:g} s" in str(failure)


@unless_held_up(SHORT / 2)
async def test_each_message_has_its_own_time() -> None:
    async def receive_lines(stream: aionet.Stream) -> None:
        while line := await stream.recv_line():
            await stream.send(line)

    async with serving(aionet.Timeouts(message=PATIENT), receive_lines) as scene:
        lively = await scene.connect()
        async with running(drip(lively, b"a line\n")):
            for _ in range(2):
                silent = await scene.connect()
                silent.send(b"half a li")
                await is_cut_off(silent)
            assert is_open(lively)


@every_kind
@pytest.mark.parametrize("reading", ["nothing", "sips"])
async def test_a_client_that_does_not_read_enough_is_cut_off(reading: str, kind: str) -> None:
    async def send_much(stream: aionet.Stream) -> None:
        await stream.send(LARGE)

    async with serving(aionet.Timeouts(write_stall=SHORT), send_much, kind) as scene:
        client = await scene.connect(receive_buffer=8192)
        async with running(sip(client) if reading == "sips" else asyncio.sleep(0)):
            await until(lambda: scene.failures)
    (failure,) = scene.failures
    assert isinstance(failure, aionet.StreamTimeoutError)
    assert f"the peer let {SHORT:g} s pass" in str(failure)


@unless_held_up(SHORT / 2)
async def test_a_client_that_reads_is_not_cut_off_however_much_there_is() -> None:
    async def send_on(stream: aionet.Stream) -> None:
        while True:
            await stream.send(LARGE[:200_000])

    async def read_on(client: socket.socket) -> None:
        while await receive(client, 100_000):
            pass

    async with serving(aionet.Timeouts(write_stall=PATIENT), send_on) as scene:
        reader = await scene.connect()
        async with running(read_on(reader)) as reading:
            await scene.connect(receive_buffer=8192)
            await until(lambda: scene.failures)
            assert not reading.done()
            assert len(scene.failures) == 1


async def test_a_server_with_deadlines_that_have_not_passed_drains_and_closes_at_once() -> None:
    timeouts = aionet.Timeouts(first_bytes=3600, idle=3600, write_stall=3600, message=3600)
    async with serving(timeouts, echo) as scene:
        client = await scene.connect()
        await until(lambda: scene.server.connections)
        assert await scene.server.drain(0) == aionet.DrainResult(finished=0, aborted=1)
        await is_cut_off(client)
