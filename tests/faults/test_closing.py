"""Closing where others go wrong: unread input, a peer that does not read, empty writes, a close while accepting."""

from __future__ import annotations

import asyncio
import io
import socket
import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

import aionet
from tests.faults.peers import (
    connected,
    endpoint,
    every_kind,
    listening_socket,
    read_what_is_there,
    receive,
    receive_to_end,
)
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import Callable

UNREAD = bytes(100_000)
SMALL_REPLY = b"this is the whole reply\n"
LARGE_REPLY = bytes(range(256)) * 8192
TOO_MUCH = bytes(20_000_000)


# --- unread input at close --------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(("reply", "times"), [(SMALL_REPLY, 300), (LARGE_REPLY, 30)], ids=["small", "large"])
async def test_a_reply_arrives_whole_though_the_server_closes_with_unread_input(
    kind: str, reply: bytes, times: int
) -> None:
    async def answer_the_first_byte(stream: aionet.Stream) -> None:
        await stream.recv(1)
        await stream.send(reply)

    loop = asyncio.get_running_loop()
    async with aionet.serve(endpoint(kind), answer_the_first_byte) as server:
        address = server.addresses[0]
        for _ in range(times):
            with socket.socket(address.family) as client:
                client.setblocking(False)
                await loop.sock_connect(client, address.sockaddr)
                sending = asyncio.create_task(loop.sock_sendall(client, UNREAD))
                assert await receive_to_end(client) == reply
                await sending
        await until(lambda: not server.connections)
        assert server.statistics().aborted == 0


async def test_a_reply_arrives_whole_though_the_client_goes_on_sending() -> None:
    async def answer_the_first_byte(stream: aionet.Stream) -> None:
        await stream.recv(1)
        await stream.send(LARGE_REPLY)

    async def send_on(client: socket.socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(client, UNREAD)

    async with aionet.serve("tcp://127.0.0.1:0", answer_the_first_byte) as server:
        address = server.addresses[0]
        with socket.socket(address.family) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, address.sockaddr)
            sending = asyncio.create_task(send_on(client))
            assert await receive_to_end(client) == LARGE_REPLY
            sending.cancel()
            await asyncio.wait([sending])
        await until(lambda: not server.connections)


# --- a peer that does not read ----------------------------------------------------------------------------------------


@every_kind
async def test_a_close_does_not_wait_for_a_peer_that_does_not_read(kind: str) -> None:
    async with connected(kind, timeouts=aionet.Timeouts(close=0.05)) as (stream, peer):
        sending = asyncio.create_task(stream.send(TOO_MUCH))
        await turns()
        assert not sending.done()
        await stream.aclose()
        with pytest.raises(aionet.ClosedStreamError):
            await sending
        assert len(read_what_is_there(peer)) < len(TOO_MUCH)


async def test_a_close_takes_the_time_that_it_was_given_and_not_more() -> None:
    loop = asyncio.get_running_loop()

    async def closing_takes(close_timeout: float) -> float:
        async with connected("tcp", timeouts=aionet.Timeouts(close=close_timeout)) as (stream, _peer):
            sending = asyncio.create_task(stream.send(TOO_MUCH))
            await turns()
            began = loop.time()
            await stream.aclose()
            took = loop.time() - began
            await asyncio.wait([sending])
            assert isinstance(sending.exception(), aionet.ClosedStreamError)
            return took

    short, long = await closing_takes(0.02), await closing_takes(0.4)
    assert short < long
    assert long >= 0.4 * 0.9  # a timer may come a little early


@every_kind
async def test_a_handler_that_returns_is_not_held_up_by_a_client_that_does_not_read(kind: str) -> None:
    async def send_too_much(stream: aionet.Stream) -> None:
        sending = asyncio.create_task(stream.send(TOO_MUCH))
        await turns()
        sending.add_done_callback(lambda done: done.exception())

    async with aionet.serve(endpoint(kind), send_too_much, timeouts=aionet.Timeouts(close=0.05)) as server:
        with socket.socket(server.addresses[0].family) as client:
            client.connect(server.addresses[0].sockaddr)
            await until(lambda: server.connections)
            await until(lambda: not server.connections)


async def test_a_transport_that_closes_is_not_held_up_by_a_peer_that_does_not_read() -> None:
    lost = asyncio.get_running_loop().create_future()

    class Sender(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(exc)

    with listening_socket("tcp") as listening:
        sock = socket.create_connection(listening.getsockname())
        sock.setblocking(False)
        with listening.accept()[0]:
            transport = aionet.StreamTransport(asyncio.get_running_loop(), sock, Sender(), close_timeout=0.05)
            transport.start()
            transport.write(TOO_MUCH)
            transport.close()
            assert await lost is None


async def test_a_peer_that_reads_but_never_ends_does_not_hold_up_a_close_either() -> None:
    async with connected("tcp", timeouts=aionet.Timeouts(close=0.05)) as (stream, peer):
        await stream.send(SMALL_REPLY)
        closing = asyncio.create_task(stream.aclose())
        assert await receive(peer, len(SMALL_REPLY) + 1) == SMALL_REPLY
        await closing


# --- empty writes -----------------------------------------------------------------------------------------------------


async def send_many(stream: aionet.Stream) -> None:
    await stream.send_many([b"x", b""])


async def send_many_empty(stream: aionet.Stream) -> None:
    await stream.send(b"x")
    await stream.send_many([])
    await stream.send_many([b"", b"", bytearray(), memoryview(b"")])


async def send_empty(stream: aionet.Stream) -> None:
    await stream.send(b"")
    await stream.send(b"x")
    await stream.send(b"")
    await stream.send(bytearray())


async def sendfile_empty(stream: aionet.Stream) -> None:
    with tempfile.TemporaryFile() as file:
        assert await stream.sendfile(cast("BinaryIO", file)) == 0
        await stream.send(b"x")
        assert await stream.sendfile(cast("BinaryIO", file), offset=10) == 0
        assert await stream.sendfile(io.BytesIO()) == 0


async def write(stream: aionet.Stream) -> None:
    transport = stream._transport
    transport.write(b"x")
    transport.write(b"")
    transport.writelines([b"", bytearray()])
    transport.writelines([])


@every_kind
@pytest.mark.parametrize("end", ["aclose", "send_eof", "flush"])
@pytest.mark.parametrize("empty", [send_many, send_many_empty, send_empty, sendfile_empty, write])
async def test_an_empty_write_does_not_keep_a_stream_from_its_end(
    empty: Callable[[aionet.Stream], object], end: str, kind: str
) -> None:
    async with connected(kind) as (stream, peer):
        await empty(stream)  # type: ignore[misc]
        ending = asyncio.create_task(getattr(stream, end)())
        assert await receive(peer, 1) == b"x"
        if end != "flush":
            assert await receive(peer, 1) == b""
        peer.close()
        await ending
        assert stream.statistics().write_queue == 0


# --- closing in the middle of accepting -------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_a_server_may_be_closed_some_ticks_after_a_connect(kind: str, ticks: int) -> None:
    async def echo(stream: aionet.Stream) -> None:
        async for data in stream:
            await stream.send(data)

    for _ in range(250):
        server = await aionet.serve(endpoint(kind), echo)
        address = server.addresses[0]
        with socket.socket(address.family) as client:
            client.setblocking(False)
            client.connect_ex(address.sockaddr)
            await turns(ticks)
            await server.aclose()
            assert server.state is aionet.ServerState.CLOSED
            assert not server.connections


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_a_listener_may_be_closed_some_ticks_after_a_connect(ticks: int) -> None:
    for _ in range(250):
        listener = await aionet.listen("tcp://127.0.0.1:0")
        accepting = asyncio.create_task(listener.accept())
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(listener.addresses[0].sockaddr)
            await turns(ticks)
            await listener.aclose()
            try:
                (await accepting).abort()
            except aionet.ClosedError:
                pass


async def test_a_reset_before_accept_is_nobodys_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def echo(stream: aionet.Stream) -> None:
        async for data in stream:
            await stream.send(data)

    async with aionet.serve("tcp://127.0.0.1:0", echo) as server:
        address = server.addresses[0]
        for _ in range(50):
            with socket.create_connection(address.sockaddr[:2]) as client:  # type: ignore[arg-type]
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        async with aionet.connect(address) as stream:
            await stream.send(b"hello")
            assert await stream.recv_exactly(5) == b"hello"
        await until(lambda: not server.connections)
    assert all(record.levelname == "WARNING" for record in caplog.records)
