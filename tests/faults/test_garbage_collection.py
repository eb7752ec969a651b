"""The garbage collector takes nobody's task or stream: the event loop alone would hold tasks weakly."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from contextlib import ExitStack

import pytest

import aionet
from tests.faults.peers import receive
from tests.turns import until


async def collect(times: int = 4) -> None:
    for _ in range(times):
        gc.collect()
        await asyncio.sleep(0)


class Rendezvous:
    """Where handlers wait for something that nothing else refers to."""

    def __init__(self) -> None:
        self.futures: weakref.WeakSet[asyncio.Future[None]] = weakref.WeakSet()

    async def wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.add(future)
        await future


@pytest.mark.parametrize("max_connections", [None, 3])
async def test_handlers_survive_whatever_they_wait_for_though_nobody_holds_the_server(
    max_connections: int | None,
) -> None:
    rendezvous = Rendezvous()

    async def handle(stream: aionet.Stream) -> None:
        await stream.send(await stream.recv())  # waits for the client
        await rendezvous.wait()  # waits for a future
        await asyncio.sleep(0.01)  # waits for a timer
        await stream.send(b"done")

    limits = aionet.Limits(max_connections=max_connections)
    server = await aionet.serve("tcp://127.0.0.1:0", handle, limits=limits)
    address, reference = server.addresses[0], weakref.ref(server)
    del server
    with ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.connect(address.sockaddr)
            client.setblocking(False)
            clients.append(client)
        await collect()
        for client in clients:
            client.send(b"hello")
            assert await receive(client, 5) == b"hello"
        await until(lambda: len(rendezvous.futures) == 3)
        await collect()
        assert len(rendezvous.futures) == 3
        for future in tuple(rendezvous.futures):
            future.set_result(None)
        for client in clients:
            assert await receive(client, 4) == b"done"
    remaining = reference()
    assert remaining is not None
    await until(lambda: not remaining.connections)
    await remaining.aclose()


async def test_a_stream_that_only_its_reader_holds_survives() -> None:
    async def read_one(address: aionet.Address) -> bytes:
        stream = await aionet.connect(address)
        data = await stream.recv()
        stream.abort()
        return data

    async with aionet.listen("tcp://127.0.0.1:0") as listener:
        reading = weakref.ref(asyncio.create_task(read_one(listener.addresses[0])))
        accepted = await listener.accept()
        await collect()
        await accepted.send(b"hello")
        task = reading()
        assert task is not None
        assert await task == b"hello"
        accepted.abort()


async def test_a_task_that_only_waits_to_accept_survives() -> None:
    results: list[aionet.Address] = []

    async def accept_one(listener: aionet.Listener) -> None:
        stream = await listener.accept()
        results.append(stream.peer)
        stream.abort()

    listener = await aionet.listen("tcp://127.0.0.1:0")
    address, reference = listener.addresses[0], weakref.ref(listener)
    accepting = weakref.ref(asyncio.create_task(accept_one(listener)))
    del listener
    await collect()
    assert accepting() is not None
    with socket.create_connection(address.sockaddr[:2]) as client:  # type: ignore[arg-type]
        await until(lambda: results)
        assert results == [aionet.InetAddress(*client.getsockname())]
    remaining = reference()
    assert remaining is not None
    await remaining.aclose()


async def test_what_a_handler_has_closed_can_be_collected_though_deadlines_were_set() -> None:
    ended: list[weakref.ref[object]] = []

    async def handle(stream: aionet.Stream) -> None:
        ended.append(weakref.ref(stream._transport))
        await stream.send(await stream.recv())

    timeouts = aionet.Timeouts(idle=3600, first_bytes=3600, write_stall=3600)
    async with aionet.serve("tcp://127.0.0.1:0", handle, timeouts=timeouts) as server:
        with socket.socket() as client:
            client.connect(server.addresses[0].sockaddr)
            client.setblocking(False)
            client.send(b"hello")
            assert await receive(client, 6) == b"hello"
        await until(lambda: not server.connections)
        await collect()
        assert [reference() for reference in ended] == [None]
