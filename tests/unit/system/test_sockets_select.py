"""wait_readable and wait_writable: what select() is for."""

from __future__ import annotations

import asyncio
import socket

from aionet import AsyncSocket
from tests.turns import running, turns
from tests.unit.system.socket_pairs import bound, connected, each_family, fill, listening, take_all


@each_family
async def test_a_stream_is_readable_when_bytes_are_there_and_stays_so_until_they_are_read(family: int) -> None:
    async with connected(family) as (ours, theirs), running(ours.wait_readable()) as waiting:
        await turns()
        assert not waiting.done()
        await theirs.send(b"hello")
        await waiting
        await ours.wait_readable()
        assert await ours.recv(100) == b"hello"
        async with running(ours.wait_readable()) as waiting_again:
            await turns()
            assert not waiting_again.done()


@each_family
async def test_a_stream_is_readable_at_its_end(family: int) -> None:
    async with connected(family) as (ours, theirs), running(ours.wait_readable()) as waiting:
        await turns()
        theirs.shutdown(socket.SHUT_WR)
        await waiting
        assert await ours.recv(100) == b""
        await ours.wait_readable()


@each_family
async def test_a_stream_is_writable_while_there_is_room(family: int) -> None:
    async with connected(family) as (ours, theirs):
        await ours.wait_writable()
        await ours.wait_writable()
        await fill(ours)
        async with running(ours.wait_writable()) as waiting:
            await turns()
            assert not waiting.done()
            async with running(take_all(theirs)):
                await waiting
        assert await ours.send(b"x") == 1


@each_family
async def test_a_listener_is_readable_when_somebody_connects(family: int) -> None:
    with listening(family) as listener, socket.socket(family) as client:
        async with running(listener.wait_readable()) as waiting:
            await turns()
            assert not waiting.done()
            client.connect(listener.getsockname())
            await waiting
        theirs, _ = await listener.accept()
        theirs.close()


@each_family
async def test_a_datagram_makes_it_readable(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        await theirs.wait_writable()
        async with running(ours.wait_readable()) as waiting:
            await turns()
            assert not waiting.done()
            await theirs.sendto(b"x", ours.getsockname())
            await waiting


async def test_what_is_readable_or_writable_may_be_an_error() -> None:
    with bound(socket.AF_INET, socket.SOCK_STREAM) as nobody:
        address = nobody.getsockname()
    with AsyncSocket() as sock:
        sock._sock.connect_ex(address)
        async with asyncio.TaskGroup() as group:
            group.create_task(sock.wait_readable())
            group.create_task(sock.wait_writable())
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


async def test_several_wait_for_one_socket() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        tasks = [asyncio.create_task(wait()) for wait in [ours.wait_readable, ours.wait_writable] * 2]
        await asyncio.wait(tasks[1::2])
        assert [task.done() for task in tasks] == [False, True, False, True]
        await theirs.send(b"x")
        await asyncio.wait(tasks)
        assert await ours.recv(100) == b"x"


async def test_a_reader_that_came_first_is_served_before_who_only_looks() -> None:
    async with (
        connected(socket.AF_INET) as (ours, theirs),
        running(ours.recv(100)) as receiving,
        running(ours.wait_readable()) as waiting,
    ):
        await turns()
        await theirs.send(b"x")
        assert await receiving == b"x"
        await turns()
        assert not waiting.done()


async def test_it_takes_a_socket_that_another_library_made() -> None:
    ours, theirs = socket.socketpair()
    with theirs, AsyncSocket.wrap(ours) as sock:
        async with running(sock.wait_readable()) as waiting:
            await turns()
            theirs.send(b"x")
            await waiting
        assert ours.recv(100) == b"x"  # the other library reads
