"""Several tasks on one AsyncSocket: served in the order in which they came, and none of them starved."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.peers import read_what_is_there
from tests.turns import running, turns, until
from tests.unit.system.socket_pairs import bound, connected, each_family, fill, listening

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionet import AsyncSocket

RECEIVERS: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "MSG_PEEK": lambda sock: sock.recv(1, socket.MSG_PEEK),
}
each_receiver = pytest.mark.parametrize("receive", RECEIVERS.values(), ids=RECEIVERS)


async def in_tasks(operations: list[Callable[[], Awaitable[Any]]], done: list[int]) -> list[asyncio.Task[None]]:
    """Start the operations one after another, each in a task that notes its number when it is done."""

    async def run(number: int) -> None:
        await operations[number]()
        done.append(number)

    tasks = []
    for number in range(len(operations)):
        tasks.append(asyncio.create_task(run(number)))
        await turns(1)
    return tasks


@each_receiver
async def test_receivers_on_a_stream_are_served_in_order(receive: Callable[[AsyncSocket], Awaitable[Any]]) -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        done: list[int] = []
        tasks = await in_tasks([lambda: receive(ours)] * 5, done)
        assert done == []
        await theirs.sendall(b"12345")
        await asyncio.wait(tasks)
        assert done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("receive", [*RECEIVERS.values()][:5], ids=[*RECEIVERS][:5])
@each_family
async def test_receivers_of_datagrams_are_served_in_order(
    family: int, receive: Callable[[AsyncSocket], Awaitable[Any]]
) -> None:
    with bound(family) as ours, bound(family) as theirs:
        done: list[int] = []
        tasks = await in_tasks([lambda: receive(ours)] * 5, done)
        assert done == []
        for _ in tasks:
            await theirs.sendto(b"x", ours.getsockname())
        await asyncio.wait(tasks)
        assert done == [0, 1, 2, 3, 4]


@each_family
async def test_accepts_are_served_in_order(family: int) -> None:
    with listening(family) as listener:
        accepted: list[AsyncSocket] = []

        async def accept() -> None:
            accepted.append((await listener.accept())[0])

        done: list[int] = []
        tasks = await in_tasks([accept] * 3, done)
        clients = []
        for _ in tasks:
            client = socket.socket(family)
            client.connect(listener.getsockname())
            clients.append(client)
        await asyncio.wait(tasks)
        assert done == [0, 1, 2]
        assert [sock.getpeername() for sock in accepted] == [client.getsockname() for client in clients]
        for theirs, client in zip(accepted, clients, strict=True):
            theirs.close()
            client.close()


@pytest.mark.parametrize("receive", [*RECEIVERS.values()][:5], ids=[*RECEIVERS][:5])
async def test_a_task_that_receives_all_the_time_does_not_starve_another(
    receive: Callable[[AsyncSocket], Awaitable[Any]],
) -> None:
    with bound(socket.AF_INET) as ours, bound(socket.AF_INET) as theirs:
        served: list[int] = []

        async def receive_for_ever(number: int) -> None:
            while True:
                await receive(ours)
                served.append(number)

        tasks = [asyncio.create_task(receive_for_ever(number)) for number in range(3)]
        await turns()
        for _ in range(12):
            await theirs.sendto(b"x", ours.getsockname())
        await until(lambda: len(served) == 12)
        assert served == [0, 1, 2] * 4
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_senders_are_served_in_order() -> None:
    with bound(socket.AF_UNIX) as ours, bound(socket.AF_UNIX) as theirs:
        sent = b""
        while True:  # a Unix datagram socket has room for some ten
            try:
                ours._sock.sendto(b"early", theirs.getsockname())
                sent += b"early"
            except BlockingIOError:
                break
        operations: list[Callable[[], Awaitable[Any]]] = [
            lambda: ours.sendto(b"0", theirs.getsockname()),
            lambda: ours.sendmsg([b"1"], (), 0, theirs.getsockname()),
            lambda: ours.sendto(b"2", theirs.getsockname()),
        ]
        done: list[int] = []
        tasks = await in_tasks(operations, done)
        assert done == []
        received = b""
        while not received.endswith(b"2"):
            received += await theirs.recv(10)
        assert received == sent + b"012"
        await asyncio.wait(tasks)
        assert done == [0, 1, 2]


SENDERS: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "send": lambda sock: sock.send(b"second"),
    "sendall": lambda sock: sock.sendall(b"second"),
    "sendmsg": lambda sock: sock.sendmsg([b"second"]),
}


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
async def test_whoever_finds_room_comes_after_those_who_wait_for_it(
    send: Callable[[AsyncSocket], Awaitable[Any]],
) -> None:
    async with connected(socket.AF_UNIX) as (ours, theirs):
        await fill(ours)
        async with running(ours.send(b"first, ")) as sending:
            await turns()
            assert not sending.done()
            read_what_is_there(theirs._sock)
            await send(ours)
        assert read_what_is_there(theirs._sock) == b"first, second"


def pieces(number: int, count: int) -> bytes:
    """Return ``count`` KiB that only this sender sends."""
    return bytes([number]) * 1024 * count


async def receive(sock: AsyncSocket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        received += await sock.recv(10_000)
        await turns(1)
    return bytes(received)


@each_family
async def test_what_several_tasks_send_whole_is_not_mixed(family: int) -> None:
    async with connected(family) as (ours, theirs):
        before = await fill(ours)
        wholes = [pieces(number, 100 + 7 * number) for number in range(1, 6)]
        tasks = [asyncio.create_task(ours.sendall(whole)) for whole in wholes]
        received = await receive(theirs, before + sum(map(len, wholes)))
        assert received[before:] == b"".join(wholes)
        await asyncio.wait(tasks)


@each_family
async def test_whoever_sends_again_comes_after_those_who_wait(family: int) -> None:
    async with connected(family) as (ours, theirs):
        before = await fill(ours)

        async def send_twice(number: int) -> None:
            await ours.sendall(pieces(number, 100))
            await ours.sendall(pieces(number, 100))

        tasks = [asyncio.create_task(send_twice(number)) for number in (1, 2)]
        received = await receive(theirs, before + 4 * 100 * 1024)
        assert received[before:] == (pieces(1, 100) + pieces(2, 100)) * 2
        await asyncio.wait(tasks)


@each_family
async def test_a_cancelled_sendall_lets_the_next_begin(family: int) -> None:
    async with connected(family) as (ours, theirs):
        before = await fill(ours)
        tasks = [asyncio.create_task(ours.sendall(pieces(number, 100))) for number in range(3)]
        await turns()
        tasks[0].cancel()
        tasks[1].cancel()
        received = await receive(theirs, before + 100 * 1024)
        assert received[before:] == pieces(2, 100)
        await asyncio.wait(tasks)
        await ours.sendall(b"free again")
        assert await theirs.recv(100) == b"free again"


async def test_one_receives_while_another_sends() -> None:
    async with connected(socket.AF_INET) as (ours, theirs), asyncio.TaskGroup() as group:
        for one, other in ((ours, theirs), (theirs, ours)):
            group.create_task(one.sendall(pieces(1, 1000)))
            group.create_task(receive(other, 1000 * 1024))
