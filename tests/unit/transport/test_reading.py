"""The reading half of a transport: what arrives, to whom it goes, and when nobody is told of it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.peers import read_what_is_there, reset
from tests.turns import turns, until
from tests.unit.transport.recording import Recording, RecordingBuffered, over_tcp, over_unix, unhandled

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

MUCH = random.Random(1).randbytes(3 << 20)

each_kind = pytest.mark.parametrize("kind", [Recording, RecordingBuffered], ids=["plain", "buffered"])


async def send(peer: socket.socket, data: bytes, size: int = 200_000) -> None:
    """Send in pieces of the given size, a turn of the loop each."""
    for start in range(0, len(data), size):
        await asyncio.get_running_loop().sock_sendall(peer, data[start : start + size])
        await turns(1)


@each_kind
@pytest.mark.parametrize("size", [1000, 16 * 1024, 200_000])
async def test_all_arrives_in_order_however_it_was_cut(kind: type[Recording], size: int) -> None:
    data = MUCH[: 100 * size]
    protocol = kind()
    async with over_unix(protocol) as (transport, peer):
        await send(peer, data, size)
        await send(peer, b"and a last word")
        await until(lambda: len(protocol.received) == len(data) + 15)
        assert protocol.received == data + b"and a last word"
        assert transport.bytes_read == len(data) + 15


async def test_data_is_bytes_that_are_the_protocols_own() -> None:
    kept: list[bytes] = []

    class Keeping(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            kept.append(data)

    async with over_unix(Keeping()) as (_transport, peer):
        for number in range(10):
            await send(peer, bytes([number]) * 100_000)
            await until(lambda number=number: sum(map(len, kept)) == 100_000 * (number + 1))  # type: ignore[misc]
    assert {type(data) for data in kept} == {bytes}
    assert b"".join(kept) == b"".join(bytes([number]) * 100_000 for number in range(10))


async def test_one_connection_that_never_stops_does_not_hold_up_another() -> None:
    greedy, modest = Recording(), Recording()
    async with over_unix(greedy) as (_, flooding), over_unix(modest) as (_, peer):
        flooding.send(bytes(1 << 20))
        peer.send(b"x")
        await turns(3)
        assert modest.received == b"x"


# --- pausing ----------------------------------------------------------------------------------------------------------


@each_kind
async def test_while_reading_is_paused_nothing_is_told(kind: type[Recording]) -> None:
    protocol = kind()
    async with over_unix(protocol) as (transport, peer):
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        peer.send(b"later")
        peer.close()
        await turns()
        assert protocol.names() == ["connection_made"]
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        await until(lambda: "connection_lost" in protocol.names())
    assert protocol.names() == ["connection_made", "data_received", "eof_received", "connection_lost"]


@each_kind
async def test_a_protocol_may_pause_whenever_it_is_called(kind: type[Recording]) -> None:
    protocol = kind(
        connection_made=lambda protocol: protocol.transport.pause_reading(),
        data_received=lambda protocol: protocol.transport.pause_reading(),
    )
    async with over_unix(protocol) as (transport, peer):
        for piece in (b"1", b"12", b"123"):
            peer.send(piece[-1:])
            await turns()
            assert protocol.received == piece[:-1]
            transport.resume_reading()
            await turns()
            assert protocol.received == piece


async def test_paused_it_notices_a_reset_when_it_writes() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        transport.pause_reading()
        reset(peer)
        await turns()
        assert protocol.names() == ["connection_made"]
        while not protocol.lost.is_set():
            transport.write(b"x")
            await asyncio.sleep(0)
        assert issubclass(protocol.record[-1][1], ConnectionError)


# --- protocols that change --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Recording, RecordingBuffered])
@pytest.mark.parametrize("second", [Recording, RecordingBuffered])
async def test_the_next_protocol_gets_all_that_the_first_has_not_got(
    first: type[Recording], second: type[Recording]
) -> None:
    one, two = first(), second()
    async with over_unix(one) as (transport, peer):
        await send(peer, MUCH[:100_000])
        await until(lambda: len(one.received) == 100_000)
        peer.send(b"for the second")
        transport.set_protocol(two)
        assert transport.get_protocol() is two
        await until(lambda: two.received)
        peer.close()
        await until(lambda: "connection_lost" in two.names())
    assert one.names() == ["connection_made", "data_received"]
    assert two.received == b"for the second"
    assert two.names() == ["data_received", "eof_received", "connection_lost"]


async def test_flow_control_goes_to_the_protocol_of_the_moment() -> None:
    one, two = Recording(), Recording()
    async with over_unix(one) as (transport, peer):
        transport.set_write_buffer_limits(high=1000)
        transport.set_protocol(two)
        while not transport.get_write_buffer_size():
            transport.write(bytes(65536))
        assert two.names() == ["pause_writing"]
        while transport.get_write_buffer_size():
            read_what_is_there(peer)
            await turns(1)
        assert two.names() == ["pause_writing", "resume_writing"]
        assert one.names() == ["connection_made"]


# --- a buffer of the protocol's own -----------------------------------------------------------------------------------


async def test_a_buffered_protocol_is_told_how_much_of_its_buffer_is_filled() -> None:
    protocol = RecordingBuffered(4)
    async with over_unix(protocol) as (_transport, peer):
        peer.send(b"123456789")
        await until(lambda: len(protocol.received) == 9)
        assert protocol.received == b"123456789"
        assert len(protocol.hints) >= 3
        assert min(protocol.hints) > 0


@pytest.mark.parametrize("buffer", [bytearray(8), memoryview(bytearray(8)), memoryview(bytearray(16))[8:]])
async def test_a_buffer_may_be_anything_that_can_be_written_to(buffer: Any) -> None:
    protocol = RecordingBuffered()
    protocol.buffer = buffer
    async with over_unix(protocol) as (_transport, peer):
        peer.send(b"12345")
        await until(lambda: protocol.received == b"12345")


@pytest.mark.parametrize("buffer", [bytearray(), b"read-only", None, 5, "a string"], ids=repr)
async def test_what_cannot_be_filled_ends_the_connection_and_is_reported_once(buffer: object) -> None:
    told = unhandled()
    protocol = RecordingBuffered(get_buffer=lambda _protocol: buffer)
    async with over_unix(protocol) as (_transport, peer):
        peer.send(b"12345")
        await protocol.lost.wait()
        await turns()
    assert len(told) == 1
    assert issubclass(told[0], RuntimeError if buffer == bytearray() else (TypeError, BufferError))
    assert protocol.record[-1] == ("connection_lost", told[0])
    assert protocol.received == b""


# --- protocols that raise ---------------------------------------------------------------------------------------------

RAISING: dict[str, Callable[[Callable[[Any], object]], Recording]] = {
    "connection_made": lambda fail: Recording(connection_made=fail),
    "data_received": lambda fail: Recording(data_received=fail),
    "eof_received": lambda fail: Recording(eof_received=fail),
    "get_buffer": lambda fail: RecordingBuffered(get_buffer=fail),
    "buffer_updated": lambda fail: RecordingBuffered(buffer_updated=fail),
}


@pytest.mark.parametrize("callback", RAISING)
@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_what_a_callback_raises_is_reported_and_ends_the_connection(
    callback: str, error: type[BaseException]
) -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: contexts.append(context))

    def fail(_protocol: Recording) -> None:
        raise error

    protocol = RAISING[callback](fail)
    async with over_tcp(protocol) as (transport, peer):
        if callback != "connection_made":
            peer.send(b"x")
            await turns()
            peer.close()
        await protocol.lost.wait()
        assert transport.is_closing()
    [context] = contexts
    assert type(context["exception"]) is error
    assert callback in context["message"]
    assert context["transport"] is transport
    assert context["protocol"] is protocol
    assert protocol.record[-1] == ("connection_lost", error)
    assert protocol.names().count("connection_lost") == 1


async def test_what_connection_lost_raises_is_reported_and_nothing_else_happens() -> None:
    told = unhandled()

    def fail(_protocol: Recording) -> None:
        raise ZeroDivisionError

    protocol = Recording(connection_lost=fail)
    async with over_unix(protocol) as (transport, _peer):
        transport.abort()
        await turns()
    assert told == [ZeroDivisionError]
    assert protocol.names() == ["connection_made", "connection_lost"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes_through(error: type[BaseException]) -> None:
    def stop(_protocol: Recording) -> None:
        raise error

    protocol = Recording(data_received=stop)

    async def main() -> None:
        async with over_unix(protocol) as (_transport, peer):
            peer.send(b"x")
            await protocol.lost.wait()

    with pytest.raises(error):
        asyncio.run(main())
    assert protocol.names()[:2] == ["connection_made", "data_received"]
