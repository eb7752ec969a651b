"""The writing half of a transport: what leaves together, what is queued, and when the protocol is to pause."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aionet import Limits
from tests.faults.peers import read_what_is_there, receive, receive_to_end
from tests.turns import running, turns, until
from tests.unit.transport.recording import Recording, fill, over_tcp, over_unix, unhandled

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.transport.stream import StreamTransport

LITTLE = Limits(high_water=1000, low_water=100)


def packets(peer: socket.socket) -> list[bytes]:
    """Return what the peer of a SOCK_SEQPACKET socket was sent, a system call of the sender's each."""
    received = []
    while True:
        try:
            received.append(peer.recv(1 << 20))
        except BlockingIOError:
            return received


async def test_a_write_leaves_at_once() -> None:
    async with over_unix(Recording()) as (transport, peer):
        transport.write(b"now")
        assert peer.recv(100) == b"now"
        assert transport.get_write_buffer_size() == 0


async def test_the_first_small_write_of_a_turn_leaves_at_once_and_the_others_leave_together() -> None:
    async with over_unix(Recording(), socket.SOCK_SEQPACKET) as (transport, peer):
        for number in range(10):
            transport.write(b"%d" % number)
        assert packets(peer) == [b"0"]
        assert transport.get_write_buffer_size() == 9
        await turns(2)
        assert packets(peer) == [b"123456789"]
        assert transport.get_write_buffer_size() == 0


async def test_the_writes_of_a_callback_leave_together() -> None:
    def answer(protocol: Recording) -> None:
        for number in range(5):
            protocol.transport.write(b"%d" % number)

    async with over_unix(Recording(data_received=answer), socket.SOCK_SEQPACKET) as (_transport, peer):
        for _ in range(3):
            peer.send(b"question")
            await turns()
            assert packets(peer) == [b"0", b"1234"]


async def test_a_large_write_does_not_wait_for_the_end_of_the_turn() -> None:
    async with over_unix(Recording(), socket.SOCK_SEQPACKET) as (transport, peer):
        transport.write(b"a")
        transport.write(b"b" * 20_000)
        transport.write(b"c" * 20_000)
        assert packets(peer) == [b"a", b"b" * 20_000, b"c" * 20_000]


async def test_what_is_written_stays_in_order_whatever_its_size() -> None:
    async with over_unix(Recording()) as (transport, peer):
        sent = b""
        for number, size in enumerate([1, 20_000, 5, 5, 300_000, 1, 0, 100_000, 7]):
            data = bytes([number]) * size
            transport.write(data)
            sent += data
        transport.writelines([b"and", b"", b"more"])
        transport.close()
        assert await receive_to_end(peer) == sent + b"andmore"


async def test_writelines_leaves_as_one() -> None:
    async with over_unix(Recording(), socket.SOCK_SEQPACKET) as (transport, peer):
        transport.writelines([b"one", bytearray(b"two"), memoryview(b"three"), b""])
        assert packets(peer) == [b"onetwothree"]
        transport.write(b"four")
        transport.writelines(iter([b"five", b"six"]))
        await turns(2)
        assert b"".join(packets(peer)) == b"fourfivesix"


async def test_an_iterable_that_raises_or_gives_what_is_no_buffer_writes_nothing() -> None:
    def broken() -> Any:
        yield b"written?"
        raise ZeroDivisionError

    async with over_unix(Recording()) as (transport, peer):
        with pytest.raises(ZeroDivisionError):
            transport.writelines(broken())
        with pytest.raises(TypeError):
            transport.writelines([b"written?", "a string"])  # type: ignore[list-item]
        transport.write(b"the stream goes on")
        await turns(2)
        assert peer.recv(100) == b"the stream goes on"


@pytest.mark.parametrize("method", ["write", "writelines"])
async def test_a_buffer_is_the_writers_again_when_write_returns(method: str) -> None:
    async with over_unix(Recording()) as (transport, peer):
        before = fill(transport)
        buffer = bytearray(b"as it was")
        getattr(transport, method)(buffer if method == "write" else [memoryview(buffer)])
        buffer[:] = b"too late!"
        del buffer[3:]
        assert (await receive(peer, before + 9))[before:] == b"as it was"


# --- flow control -----------------------------------------------------------------------------------------------------


def rises_and_falls(protocol: Recording) -> list[str]:
    """Return the callbacks of flow control."""
    return [name for name in protocol.names() if name.endswith("_writing")]


async def test_pause_and_resume_come_in_pairs() -> None:
    protocol = Recording()
    async with over_unix(protocol, limits=LITTLE) as (transport, peer):
        for _ in range(3):
            fill(transport)
            for _ in range(5):
                transport.write(bytes(10_000))
            assert rises_and_falls(protocol)[-1] == "pause_writing"
            while transport.get_write_buffer_size():
                read_what_is_there(peer)
                await turns(1)
            await until(lambda: rises_and_falls(protocol)[-1] == "resume_writing")
    assert rises_and_falls(protocol) == ["pause_writing", "resume_writing"] * 3


async def test_writing_resumes_at_low_water_and_not_before() -> None:
    sizes: dict[str, int] = {}
    protocol = Recording(
        resume_writing=lambda protocol: sizes.update(resumed=protocol.transport.get_write_buffer_size()),
        pause_writing=lambda protocol: sizes.update(paused=protocol.transport.get_write_buffer_size()),
    )
    async with over_unix(protocol, limits=Limits(high_water=100_000, low_water=50_000)) as (transport, peer):
        while "paused" not in sizes:
            transport.write(bytes(1000))
        assert 100_000 < sizes["paused"] <= 101_000
        seen = [transport.get_write_buffer_size()]
        while "resumed" not in sizes:
            peer.recv(2000)
            await turns(1)
            seen.append(transport.get_write_buffer_size())
        assert sizes["resumed"] == seen[-1] <= 50_000 < seen[-2]


async def test_limits_that_fall_below_what_is_queued_pause_at_once() -> None:
    protocol = Recording()
    async with over_unix(protocol) as (transport, peer):
        fill(transport)
        transport.write(bytes(1000))
        assert rises_and_falls(protocol) == []
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        assert rises_and_falls(protocol) == ["pause_writing"]
        while transport.get_write_buffer_size():
            read_what_is_there(peer)
            await turns(1)
        assert rises_and_falls(protocol) == ["pause_writing", "resume_writing"]


async def test_without_high_water_whatever_the_kernel_refuses_pauses() -> None:
    protocol = Recording()
    async with over_unix(protocol) as (transport, peer):
        transport.set_write_buffer_limits(high=0)
        for _ in range(10):
            transport.write(b"the kernel takes these")
        assert transport.get_write_buffer_size() == 0
        fill(transport)
        assert rises_and_falls(protocol)[-1] == "pause_writing"
        while transport.get_write_buffer_size():
            read_what_is_there(peer)
            await turns(1)
    callbacks = rises_and_falls(protocol)
    assert callbacks == ["pause_writing", "resume_writing"] * (len(callbacks) // 2)


WRITERS: dict[str, Callable[[StreamTransport, bytes], None]] = {
    "write": lambda transport, data: transport.write(data),
    "writelines": lambda transport, data: transport.writelines([data, data]),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
async def test_who_stops_when_told_to_pause_queues_no_more_than_high_water_and_one_write(
    write: Callable[[StreamTransport, bytes], None],
) -> None:
    protocol = Recording()
    async with over_unix(protocol, limits=LITTLE) as (transport, _peer):
        largest = 0
        for _ in range(10_000):
            if rises_and_falls(protocol)[-1:] == ["pause_writing"]:
                break
            write(transport, bytes(500))
            largest = max(largest, transport.get_write_buffer_size())
        assert rises_and_falls(protocol) == ["pause_writing"]
        assert largest <= 1000 + 1000


async def test_a_connection_that_is_lost_ends_the_pause() -> None:
    protocol = Recording()
    async with over_tcp(protocol, limits=LITTLE) as (transport, peer):
        fill(transport)
        transport.write(bytes(2000))
        assert rises_and_falls(protocol) == ["pause_writing"]
        peer.close()
        await protocol.lost.wait()
    assert protocol.names().index("pause_writing") < protocol.names().index("connection_lost")
    assert protocol.names()[-1] == "connection_lost"


@pytest.mark.parametrize("callback", ["pause_writing", "resume_writing"])
async def test_a_callback_of_flow_control_that_raises_ends_its_connection_and_is_reported(callback: str) -> None:
    told = unhandled()

    def fail(_protocol: Recording) -> None:
        raise ZeroDivisionError

    protocol = Recording(**{callback: fail})
    async with over_unix(protocol, limits=LITTLE) as (transport, peer):
        fill(transport)
        transport.write(bytes(2000))
        async with running(receive_to_end(peer)):
            await protocol.lost.wait()
    assert told == [ZeroDivisionError]
    assert protocol.record[-1] == ("connection_lost", ZeroDivisionError)


# --- the end of writing -----------------------------------------------------------------------------------------------


async def test_after_write_eof_the_peer_reads_the_end_and_we_read_on() -> None:
    protocol = Recording()
    async with over_unix(protocol) as (transport, peer):
        before = fill(transport)
        transport.write(b"last")
        transport.write_eof()
        assert not transport.is_closing()
        assert (await receive_to_end(peer))[before:] == b"last"
        peer.send(b"still there?")
        await until(lambda: protocol.received == b"still there?")
        with pytest.raises(RuntimeError, match=r"after write_eof\(\)"):
            transport.write(b"x")
        with pytest.raises(RuntimeError, match=r"after write_eof\(\)"):
            transport.writelines([b"x"])


async def test_after_close_a_write_is_lost_without_an_error() -> None:
    async with over_unix(Recording()) as (transport, peer):
        transport.write(b"written")
        transport.close()
        transport.write(b" never")
        transport.writelines([b" never"])
        transport.write_eof()
        assert await receive_to_end(peer) == b"written"


async def test_writing_to_a_peer_that_has_gone_is_told_by_connection_lost_and_raises_nothing() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        transport.pause_reading()
        peer.close()
        while not protocol.lost.is_set():
            transport.write(b"x")
            transport.writelines([b"x", b"y"])
            await asyncio.sleep(0)
        transport.write(b"x")
    [(_, exc)] = [entry for entry in protocol.record if entry[0] == "connection_lost"]
    assert issubclass(exc, ConnectionError)


async def test_a_failed_write_leaves_the_peers_last_words_to_be_read() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        transport.write(b"never read, so that the close resets")
        await turns()
        peer.send(b"last words")
        peer.close()
        while not protocol.lost.is_set():
            transport.write(b"x")
            await asyncio.sleep(0)
    assert protocol.received == b"last words"
    assert protocol.names().count("connection_lost") == 1


async def test_many_small_writes_leave_in_few_system_calls() -> None:
    async with over_unix(Recording(), socket.SOCK_SEQPACKET) as (transport, peer):
        for number in range(3000):
            transport.write(b"%04d" % number)
        await turns()
        received = packets(peer)
        assert b"".join(received) == b"".join(b"%04d" % number for number in range(3000))
        assert len(received) <= 1 + -(-3000 // 1024)


async def test_all_types_of_buffers_are_written_by_bytes() -> None:
    async with over_unix(Recording()) as (transport, peer):
        items = memoryview(bytes(range(64))).cast("I")
        for _ in range(2):
            transport.write(items)
            transport.write(bytearray(b"xyz"))
        transport.writelines([items, memoryview(b"abc")[::-1]])
        await turns(2)
        assert peer.recv(1000) == (bytes(range(64)) + b"xyz") * 2 + bytes(range(64)) + b"cba"
