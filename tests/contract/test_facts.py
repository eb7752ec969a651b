"""What a stream says of itself: both ends, counts, whether its server drains."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import Limits, Stream, Timeouts
from tests.contract.filling import MUCH, QUEUE_ALL, SMALL_BUFFERS
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory

# --- both ends --------------------------------------------------------------------------------------------------------


async def test_each_end_is_the_others_peer(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        assert ours.local == theirs.peer
        assert ours.peer == theirs.local


async def test_the_ends_are_known_after_the_close(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        local, peer = ours.local, ours.peer
        await asyncio.gather(ours.aclose(), theirs.aclose())
        assert (ours.local, ours.peer) == (local, peer)
        assert (theirs.local, theirs.peer) == (peer, local)


async def test_a_stream_shows_both_ends_and_its_state(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        assert f"{ours.local} <-> {ours.peer}" in repr(ours)
        assert "OPEN" in repr(ours)
        assert not ours.closed
        ours.abort()
        assert "CLOSED" in repr(ours)
        assert ours.closed


async def test_extra_info_is_what_asyncio_calls_it(pairs: PairFactory) -> None:
    async with pairs() as (ours, _):
        sock = ours.get_extra_info("socket")
        assert ours.get_extra_info("peername") == sock.getpeername()
        assert ours.get_extra_info("sockname") == sock.getsockname()
        assert sock.type == socket.SOCK_STREAM
        assert ours.get_extra_info("no such thing") is None
        assert ours.get_extra_info("no such thing", "default") == "default"


# --- counts -----------------------------------------------------------------------------------------------------------


async def test_statistics_count_what_was_sent_and_received(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        assert ours.statistics() == aionet.StreamStatistics(0, 0, 0, 0)
        await ours.send(b"12345")
        await ours.send_many([b"6", b"78"])
        await ours.flush()
        await until(lambda: theirs.statistics().bytes_received == 8)
        assert ours.statistics() == aionet.StreamStatistics(0, 8, 0, 0)
        assert theirs.statistics() == aionet.StreamStatistics(8, 0, 8, 0)
        assert await theirs.recv(3) == b"123"
        assert theirs.statistics() == aionet.StreamStatistics(8, 0, 5, 0)
        async with running(theirs.recv_exactly(7)) as receiving:
            await turns()
            assert theirs.statistics().receive_buffer == 5
            await ours.send(b"90")
            await receiving
        buffer = bytearray(10)
        async with running(theirs.recv_into(buffer)) as receiving_into:
            await turns()
            await ours.send(b"ab")
            await receiving_into
        assert theirs.statistics() == aionet.StreamStatistics(12, 0, 0, 0)


async def test_statistics_count_what_waits_to_leave(pairs: PairFactory) -> None:
    async with pairs(options=SMALL_BUFFERS, limits=QUEUE_ALL) as (ours, theirs):
        await ours.send(MUCH)
        for _ in range(20):
            statistics = ours.statistics()
            assert statistics.write_queue > 0
            assert statistics.bytes_sent + statistics.write_queue == len(MUCH)
            await theirs.recv(60_000)
        await theirs.recv_exactly(len(MUCH) - theirs.statistics().bytes_received + theirs.statistics().receive_buffer)
        assert ours.statistics() == aionet.StreamStatistics(0, len(MUCH), 0, 0)


async def test_statistics_stay_after_the_close(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await ours.send(b"123")
        assert await theirs.recv() == b"123"
        await asyncio.gather(ours.aclose(), theirs.aclose())
        assert ours.statistics() == aionet.StreamStatistics(0, 3, 0, 0)
        assert theirs.statistics() == aionet.StreamStatistics(3, 0, 0, 0)


# --- draining ---------------------------------------------------------------------------------------------------------


async def test_a_stream_without_a_server_never_drains(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        for stream in (ours, theirs):
            assert isinstance(stream.draining, asyncio.Event)
            assert stream.draining is stream.draining
            assert not stream.draining.is_set()


async def test_a_stream_is_told_when_its_server_drains() -> None:
    told = asyncio.Event()

    async def handler(stream: Stream) -> None:
        assert not stream.draining.is_set()
        await stream.draining.wait()
        told.set()

    async with (
        aionet.serve("tcp://127.0.0.1:0", handler) as server,
        aionet.connect(server.addresses[0], timeouts=Timeouts(close=0)) as stream,
    ):
        await until(lambda: server.connections)
        async with running(server.drain(10)) as draining:
            await told.wait()
            assert await stream.recv() == b""
            await stream.aclose()
            assert (await draining).finished == 1


# --- messages of errors -----------------------------------------------------------------------------------------------


async def test_a_frame_too_large_names_the_operation_and_both_ends(pairs: PairFactory) -> None:
    async with pairs(limits=Limits(receive_buffer=10)) as (ours, theirs):
        await theirs.send(b"x" * 20)
        with pytest.raises(aionet.LimitError) as caught:
            await ours.recv_line(max_bytes=5)
        assert str(caught.value).startswith(f"recv_line on {ours.local} <- {ours.peer}: ")
        with pytest.raises(aionet.LimitError) as caught:
            await ours.recv_until(b"\n", max_bytes=5)
        assert str(caught.value).startswith(f"recv_until on {ours.local} <- {ours.peer}: ")


async def test_an_incomplete_message_names_the_operation_and_both_ends(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        await theirs.send(b"x")
        await theirs.send_eof()
        with pytest.raises(aionet.ProtocolError) as caught:
            await ours.recv_exactly(5)
        assert str(caught.value).startswith(f"recv_exactly on {ours.local} <- {ours.peer}: ")
        with pytest.raises(aionet.ProtocolError) as caught:
            await ours.recv_until(b"\n")
        assert str(caught.value).startswith(f"recv_until on {ours.local} <- {ours.peer}: ")
