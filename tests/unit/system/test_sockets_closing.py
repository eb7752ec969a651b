"""How an AsyncSocket ends: closed, detached or dropped, with and without tasks that wait."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aionet import AsyncSocket, ClosedError
from tests.conftest import LOOP_FACTORIES
from tests.leaks import open_descriptors, registrations
from tests.turns import running, turns, until
from tests.unit.system.socket_pairs import bound, connected, fill, listening

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionet.system.loops import LoopFactory

NOWHERE = ("127.0.0.1", 9)

READING: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "recv": lambda sock: sock.recv(10),
    "recv_into": lambda sock: sock.recv_into(bytearray(10)),
    "recvfrom": lambda sock: sock.recvfrom(10),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(10)),
    "recvmsg": lambda sock: sock.recvmsg(10),
    "wait_readable": lambda sock: sock.wait_readable(),
}
WRITING: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "send": lambda sock: sock.send(b"x"),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "wait_writable": lambda sock: sock.wait_writable(),
}
OTHERS: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "sendto": lambda sock: sock.sendto(b"x", NOWHERE),
    "accept": lambda sock: sock.accept(),
    "connect": lambda sock: sock.connect(NOWHERE),
}
AWAITABLE = {**READING, **WRITING, **OTHERS}
PLAIN: dict[str, Callable[[AsyncSocket], Any]] = {
    "bind": lambda sock: sock.bind(NOWHERE),
    "listen": lambda sock: sock.listen(),
    "shutdown": lambda sock: sock.shutdown(socket.SHUT_RDWR),
    "getsockname": lambda sock: sock.getsockname(),
    "getpeername": lambda sock: sock.getpeername(),
    "getsockopt": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
    "setsockopt": lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "detach": lambda sock: sock.detach(),
}


def let_go(sock: AsyncSocket) -> None:
    """Detach, and close what was given away."""
    os.close(sock.detach())


each_end = pytest.mark.parametrize("end", [AsyncSocket.close, let_go], ids=["close", "detach"])


@pytest.mark.parametrize("name", AWAITABLE)
@each_end
async def test_after_the_end_each_operation_says_that_you_closed_it(
    name: str, end: Callable[[AsyncSocket], None]
) -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        await theirs.send(b"there is something to read")
        assert await ours.recv(1) == b"t"  # it had been read, so that the short cuts of reading are open
        end(ours)
        with pytest.raises(ClosedError, match=rf"^{name} on .*closed") as raised:
            await AWAITABLE[name](ours)
        assert raised.value.errno == errno.EBADF


@pytest.mark.parametrize("name", PLAIN)
@each_end
async def test_after_the_end_there_is_nothing_to_ask_or_to_set(name: str, end: Callable[[AsyncSocket], None]) -> None:
    sock = AsyncSocket()
    end(sock)
    assert sock.fileno() == -1
    with pytest.raises(ClosedError, match=rf"^{name} on .*closed"):
        PLAIN[name](sock)
    assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)


@pytest.mark.parametrize("operation", [*READING.values(), *WRITING.values()], ids=[*READING, *WRITING])
@each_end
async def test_those_who_wait_are_told_that_it_was_closed(
    operation: Callable[[AsyncSocket], Awaitable[Any]], end: Callable[[AsyncSocket], None]
) -> None:
    async with connected(socket.AF_INET) as (ours, _theirs):
        await fill(ours)

        async def operate() -> None:
            await operation(ours)

        tasks = [asyncio.create_task(operate()) for _ in range(3)]
        await turns()
        end(ours)
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [ClosedError] * 3


@each_end
async def test_those_who_accept_are_told_that_it_was_closed(end: Callable[[AsyncSocket], None]) -> None:
    listener = listening(socket.AF_INET)
    tasks = [asyncio.create_task(listener.accept()) for _ in range(3)]
    await turns()
    end(listener)
    await asyncio.wait(tasks)
    assert [type(task.exception()) for task in tasks] == [ClosedError] * 3


async def test_whoever_connects_is_told_that_it_was_closed() -> None:
    with listening(socket.AF_UNIX, backlog=0) as listener, AsyncSocket(socket.AF_UNIX) as first:
        await first.connect(listener.getsockname())
        with AsyncSocket(socket.AF_UNIX) as second:
            connecting = asyncio.create_task(second.connect(listener.getsockname()))
            await turns()
        with pytest.raises(ClosedError, match="connect on"):
            await connecting
    sock = AsyncSocket()
    with listening(socket.AF_INET) as listener:
        connecting = asyncio.create_task(sock.connect(listener.getsockname()))
        await asyncio.sleep(0)
        sock.close()
        with pytest.raises(ClosedError):
            await connecting


async def test_closing_in_the_turn_of_the_event_tells_of_the_close() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        receiving = asyncio.create_task(ours.recv(10))
        await turns()
        await theirs.send(b"too late")
        ours.close()
        with pytest.raises(ClosedError):
            await receiving


async def test_to_close_twice_is_to_close_once() -> None:
    sock = AsyncSocket()
    number = sock.fileno()
    sock.close()
    with socket.socket() as other:
        assert other.fileno() == number
        sock.close()
        assert other.fileno() == number
        os.fstat(number)


async def test_the_end_of_a_block_closes_it_also_where_the_block_raises() -> None:
    with AsyncSocket() as sock:
        pass
    assert sock.fileno() == -1
    async with AsyncSocket() as sock:
        assert sock.fileno() >= 0
    assert sock.fileno() == -1
    failing = AsyncSocket()
    with pytest.raises(ZeroDivisionError):
        async with failing:
            raise ZeroDivisionError
    assert failing.fileno() == -1


async def test_detached_the_descriptor_lives_on_and_nobody_watches_it() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        receiving = asyncio.create_task(ours.recv(10))
        await turns()
        number = ours.detach()
        assert number not in registrations()
        with pytest.raises(ClosedError):
            await receiving
        with AsyncSocket.wrap(socket.socket(fileno=number)) as again:
            await theirs.send(b"for the next owner")
            assert await again.recv(100) == b"for the next owner"


async def wait_in_vain(sock: AsyncSocket) -> None:
    """Wait for something that does not come, so that the loop watches the socket."""
    async with running(sock.recv(10)):
        await turns()
        assert sock.fileno() in registrations()


async def test_one_that_is_dropped_warns_and_is_closed() -> None:
    async def drop() -> int:
        sock = bound(socket.AF_INET)
        await wait_in_vain(sock)
        number = sock.fileno()
        del sock
        gc.collect()
        return number

    with pytest.warns(ResourceWarning, match=r"unclosed <AsyncSocket .*fd="):
        number = await drop()
    await until(lambda: number not in open_descriptors())
    assert number not in registrations()


each_loop_factory = pytest.mark.parametrize("factory", LOOP_FACTORIES.values(), ids=LOOP_FACTORIES)


async def waited_for() -> AsyncSocket:
    sock = bound(socket.AF_INET)
    await wait_in_vain(sock)
    return sock


@each_loop_factory
def test_one_that_outlives_its_loop_warns_and_is_closed(factory: LoopFactory) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        kept = [runner.run(waited_for())]
    number = kept[0].fileno()
    with pytest.warns(ResourceWarning, match="unclosed <AsyncSocket"):
        kept.clear()
    assert number not in open_descriptors()


@each_loop_factory
def test_one_that_outlives_its_loop_can_be_closed(factory: LoopFactory) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        sock = runner.run(waited_for())
    sock.close()
    assert sock.fileno() == -1
