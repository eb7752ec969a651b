"""Peers that do what no Stream does: shut down their receiving half alone, stay silent for ever, die half-way."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import BrokenStreamError, Limits, Stream, StreamBrokenPipeError, StreamResetError, Timeouts
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

MUCH = bytes(3 << 20)
# Nothing here takes long but what never ends.
pytestmark = pytest.mark.timeout(10)

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends a reset


@asynccontextmanager
async def unix_pair(**options: Any) -> AsyncGenerator[tuple[Stream, socket.socket]]:
    """Connect a stream to a plain Unix socket."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        stream = await aionet.connect(f"fd://{ours.detach()}", **options)
        try:
            yield stream, theirs
        finally:
            stream.abort()


@asynccontextmanager
async def tcp_pair(**options: Any) -> AsyncGenerator[tuple[Stream, socket.socket]]:
    """Connect a stream to a plain TCP socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stream = await aionet.connect(listening.getsockname(), **options)
        theirs, _ = listening.accept()
    theirs.setblocking(False)
    with theirs:
        try:
            yield stream, theirs
        finally:
            stream.abort()


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def stop_receiving(sock: socket.socket) -> None:
    """Take what has come, and no more of it; without room for more, the kernel would tell the sender nothing."""
    sock.shutdown(socket.SHUT_RD)
    while sock.recv(1 << 20):
        pass


# --- a peer that only sends -------------------------------------------------------------------------------------------


async def test_a_peer_that_receives_no_more_is_told_of_at_once_and_still_heard() -> None:
    async with unix_pair() as (stream, theirs):
        theirs.shutdown(socket.SHUT_RD)
        for _ in range(2):
            with pytest.raises(StreamBrokenPipeError, match="no longer receives"):
                await stream.send(b"x")
        theirs.send(b"last words")
        assert await stream.recv_exactly(10) == b"last words"


WAITS: dict[str, Callable[[Stream], Coroutine[Any, Any, object]]] = {
    "send": lambda stream: stream.send(MUCH),
    "send_many": lambda stream: stream.send_many([MUCH]),
    "flush": lambda stream: stream.flush(),
    "send_eof": lambda stream: stream.send_eof(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
async def test_whoever_waits_to_send_is_told_that_the_peer_receives_no_more(
    wait: Callable[[Stream], Coroutine[Any, Any, object]],
) -> None:
    async with unix_pair(limits=Limits(high_water=1 << 20)) as (stream, theirs), running(stream.send(MUCH)) as sending:
        await turns()
        async with running(wait(stream)) as waiting:
            await turns()
            stop_receiving(theirs)
            with pytest.raises(StreamBrokenPipeError):
                await waiting
            with pytest.raises(StreamBrokenPipeError):
                await sending
        theirs.send(b"last words")
        assert await stream.recv_exactly(10) == b"last words"


async def test_a_file_on_its_way_to_a_peer_that_receives_no_more_is_given_up(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(MUCH)
    with path.open("rb") as file:
        async with unix_pair() as (stream, theirs), running(stream.sendfile(file)) as sending:
            await turns()
            stop_receiving(theirs)
            with pytest.raises(StreamBrokenPipeError):
                await sending


async def test_a_close_does_not_wait_for_what_the_peer_will_not_receive() -> None:
    async with unix_pair(timeouts=Timeouts(close=None), limits=Limits(high_water=1 << 30)) as (stream, theirs):
        await stream.send(MUCH)
        stop_receiving(theirs)
        async with running(stream.aclose()) as closing:
            await turns()
            theirs.close()
            await closing


# --- a peer that dies -------------------------------------------------------------------------------------------------


async def test_data_and_a_reset_that_come_together_are_told_one_after_the_other() -> None:
    async with tcp_pair() as (stream, theirs):
        theirs.send(b"last words")
        reset(theirs)
        assert await stream.recv() == b"last words"
        with pytest.raises(StreamResetError):
            await stream.recv()


async def test_much_data_and_a_reset_that_come_together_are_told_one_after_the_other() -> None:
    async with tcp_pair() as (stream, theirs):
        sent = theirs.send(MUCH)
        await turns(3)  # some of it has been read, some has not
        reset(theirs)
        received = 0
        with pytest.raises(StreamResetError):
            while True:
                received += len(await stream.recv(10_000))
        assert 0 < received <= sent


@pytest.mark.parametrize("waiting", [True, False])
async def test_an_end_and_a_reset_that_come_together_are_the_end_and_then_a_broken_pipe(waiting: object) -> None:
    async with tcp_pair() as (stream, theirs), running(stream.recv()) as receiving:
        if waiting:
            await turns()
        theirs.shutdown(socket.SHUT_WR)
        if waiting:
            assert await receiving == b""
        reset(theirs)
        if not waiting:
            await asyncio.wait([receiving])
            assert isinstance(receiving.exception(), BrokenStreamError) or receiving.result() == b""
        with pytest.raises(BrokenStreamError):
            await stream.send(b"x")


async def test_a_reset_reaches_a_stream_that_has_paused_reading() -> None:
    async with tcp_pair(limits=Limits(receive_buffer=1000)) as (stream, theirs):
        theirs.send(bytes(5000))
        await until(lambda: stream.statistics().receive_buffer > 1000)
        reset(theirs)
        assert len(await stream.recv_exactly(5000)) == 5000
        with pytest.raises(StreamResetError):
            await stream.recv()


async def test_a_reset_reaches_a_stream_that_has_read_the_end_only_when_it_sends() -> None:
    async with tcp_pair() as (stream, theirs):
        theirs.shutdown(socket.SHUT_WR)
        assert await stream.recv() == b""
        reset(theirs)
        await turns()
        assert await stream.recv() == b""
        with pytest.raises(BrokenStreamError):
            await stream.send(b"x")


async def test_a_closing_stream_whose_peer_resets_is_closed() -> None:
    async with tcp_pair(timeouts=Timeouts(close=None)) as (stream, theirs), running(stream.aclose()) as closing:
        await turns()
        reset(theirs)
        await closing


# --- a peer that is silent --------------------------------------------------------------------------------------------


async def test_a_closed_stream_has_no_deadline_but_its_close_timeout() -> None:
    timeouts = Timeouts(idle=0.01, first_bytes=0.01, write_stall=0.01, close=None)
    async with tcp_pair(timeouts=timeouts) as (stream, _), running(stream.aclose()) as closing:
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, passed.set)
        await passed.wait()
        assert not closing.done()


async def test_a_deadline_resets_the_connection() -> None:
    async with tcp_pair(timeouts=Timeouts(idle=0.01)) as (stream, theirs):
        with pytest.raises(aionet.StreamTimeoutError):
            await stream.recv()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


# --- a peer that reads it all in the end ------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [tcp_pair, unix_pair])
async def test_a_close_reads_what_the_peer_still_sends_so_that_nothing_is_lost(pair: Any) -> None:
    async with pair(timeouts=Timeouts(close=None), limits=Limits(high_water=1 << 30)) as (stream, theirs):
        theirs.send(bytes(10_000))
        await stream.send(MUCH)
        async with running(stream.aclose()) as closing:
            received = 0
            while True:
                await turns(1)
                try:
                    theirs.send(b"nobody reads this")
                    data = theirs.recv(100_000)
                except BlockingIOError:
                    continue
                if not data:
                    break
                received += len(data)
            assert received == len(MUCH)
            theirs.close()
            await closing
