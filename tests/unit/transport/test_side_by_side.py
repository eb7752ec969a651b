"""A protocol written for the loop: the same callbacks, in the same order, over the loop's transports and aionet's."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from tests.unit.transport.recording import Recording, RecordingBuffered, unhandled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Doing = dict[str, "Callable[[Any], Any]"]

MUCH = 2 << 20  # more than the kernel takes with a small buffer


class RefusedError(Exception):
    """Raised by callbacks on purpose."""


def fail(_protocol: Recording) -> None:
    raise RefusedError


def ask(protocol: Recording) -> None:
    protocol.transport.write(b"question")


def ask_and_end(protocol: Recording) -> None:
    protocol.transport.write(b"question")
    protocol.note("closing", protocol.transport.is_closing(), protocol.transport.can_write_eof())
    protocol.transport.write_eof()
    protocol.note("closing", protocol.transport.is_closing(), protocol.transport.can_write_eof())


def answer(protocol: Recording) -> None:
    protocol.transport.write(b"answer")


def answer_and_close(protocol: Recording) -> None:
    protocol.transport.write(b"answer")
    protocol.transport.close()
    protocol.note("closing", protocol.transport.is_closing(), protocol.transport.is_reading())


def close(protocol: Recording) -> None:
    protocol.transport.close()


def answer_much_and_close(protocol: Recording) -> None:
    protocol.transport.write(bytes(MUCH))
    protocol.transport.close()
    protocol.note("closing", protocol.transport.is_closing(), protocol.transport.get_write_buffer_size() > 0)


def answer_later(protocol: Recording) -> bool:
    asyncio.get_running_loop().call_soon(answer_and_close, protocol)
    return True


def answer_end_and_close(protocol: Recording) -> None:
    transport = protocol.transport
    transport.write(b"answer")
    transport.write_eof()
    transport.write_eof()
    for write, data in ((transport.write, b"x"), (transport.writelines, [b"x"])):
        try:
            write(data)
        except RuntimeError as exc:
            protocol.note("write", "write_eof" in str(exc))
    protocol.note("closing", transport.is_closing(), transport.is_reading())
    transport.close()


def answer_in_every_type(protocol: Recording) -> None:
    transport = protocol.transport
    for wrong in ("str", 1, [1]):
        for write in (transport.write, transport.writelines):
            try:
                write(wrong)
            except TypeError:
                protocol.note("write", str(wrong), "refused")
    transport.write(b"")
    transport.write(bytearray(b"a"))
    transport.write(memoryview(b"b"))
    transport.writelines([b"c", bytearray(b"d"), memoryview(b"e"), b""])
    transport.writelines(iter([b"f"]))
    transport.writelines([])
    transport.close()


def close_and_use(protocol: Recording) -> None:
    transport = protocol.transport
    transport.close()
    transport.close()
    transport.write(b"never")
    transport.writelines([b"never"])
    transport.write_eof()
    transport.pause_reading()
    transport.resume_reading()
    transport.abort()
    transport.abort()


def use_after_the_end(protocol: Recording) -> None:
    transport = protocol.transport
    names = ("sockname", "peername")
    protocol.note("facts", transport.is_closing(), [len(transport.get_extra_info(name)) for name in names])
    transport.close()
    transport.abort()


def set_limits(protocol: Recording) -> None:
    transport = protocol.transport
    settings: list[dict[str, int]] = [
        {},
        {"high": 0},
        {"low": 10},
        {"high": 100},
        {"high": 100, "low": 10},
        {"high": 1, "low": 2},
        {"high": -1},
        {"low": 0},
    ]
    for setting in settings:
        try:
            transport.set_write_buffer_limits(**setting)
        except ValueError:
            protocol.note("limits", str(setting), "refused")
        protocol.note("limits", str(setting), transport.get_write_buffer_limits())
    protocol.note("size", transport.get_write_buffer_size())
    transport.close()


def have_small_buffers(protocol: Recording) -> None:
    protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    protocol.transport.set_write_buffer_limits(high=1000)


def answer_much(protocol: Recording) -> None:
    protocol.transport.write(bytes(MUCH))


def answer_much_three_times(protocol: Recording) -> None:
    if protocol.names().count("resume_writing") < 3:
        answer_much(protocol)
    else:  # not at once: asyncio would then call connection_lost twice
        asyncio.get_running_loop().call_soon(protocol.transport.close)


def tell_facts(protocol: Recording) -> None:
    info = protocol.transport.get_extra_info
    protocol.note(
        "facts", info("sockname")[0], info("peername")[0], info("sslcontext"), info("nothing"), info("none", 5)
    )
    protocol.note("facts", info("socket").fileno() >= 0, info("socket").family == socket.AF_INET)
    protocol.note("protocol", protocol.transport.get_protocol() is protocol)
    protocol.transport.close()


def hand_over(protocol: Recording, successor_type: type[Recording]) -> None:
    successor = successor_type(data_received=answer_and_close)
    successor.transport, successor.record, successor.lost = protocol.transport, protocol.record, protocol.lost
    protocol.transport.set_protocol(successor)
    protocol.note("handed over", protocol.transport.get_protocol() is successor)
    answer(protocol)


def pause_for_a_while(protocol: Recording) -> None:
    def go_on() -> None:
        protocol.note("reading", protocol.transport.is_reading())
        protocol.transport.resume_reading()
        protocol.note("reading", protocol.transport.is_reading())

    protocol.transport.pause_reading()
    protocol.transport.pause_reading()
    protocol.note("reading", protocol.transport.is_reading())
    asyncio.get_running_loop().call_later(0.01, go_on)


# What the server's protocol does and what the client's does. Between them every callback is made, and every method of a
# transport is called. Left out is what aionet does otherwise on purpose: abort is a reset, and so is what a callback
# that raises leaves to the peer (its own protocol is compared); what raises in connection_made aborts too.
SCENARIOS: dict[str, tuple[Doing, Doing]] = {
    "the client closes": ({"data_received": answer}, {"connection_made": ask, "data_received": close}),
    "the server closes": ({"data_received": answer_and_close}, {"connection_made": ask}),
    "the server closes with much to send": (
        {"connection_made": have_small_buffers, "data_received": answer_much_and_close},
        {"connection_made": ask},
    ),
    "the client ends": ({}, {"connection_made": ask_and_end}),
    "the server answers after the end": ({"eof_received": answer_later}, {"connection_made": ask_and_end}),
    "the server ends and closes": ({"data_received": answer_end_and_close}, {"connection_made": ask}),
    "every type is written": ({"data_received": answer_in_every_type}, {"connection_made": ask}),
    "used after a close": ({"data_received": close_and_use}, {"connection_made": ask}),
    "used after the end": (
        {"data_received": answer_and_close, "connection_lost": use_after_the_end},
        {"connection_made": ask, "connection_lost": use_after_the_end},
    ),
    "limits": ({"data_received": set_limits}, {"connection_made": ask}),
    "facts": ({"data_received": tell_facts}, {"connection_made": ask}),
    "another protocol takes over": (
        {"data_received": partial(hand_over, successor_type=Recording)},
        {"connection_made": ask, "data_received": ask},
    ),
    "a BufferedProtocol takes over": (
        {"data_received": partial(hand_over, successor_type=RecordingBuffered)},
        {"connection_made": ask, "data_received": ask},
    ),
    "writing pauses and resumes": (
        {
            "connection_made": have_small_buffers,
            "data_received": answer_much,
            "resume_writing": answer_much_three_times,
        },
        {"connection_made": ask},
    ),
    "connection_lost raises": ({"data_received": close, "connection_lost": fail}, {"connection_made": ask}),
}
SERVER_RAISES: dict[str, tuple[Doing, Doing]] = {
    "data_received raises": ({"data_received": fail}, {"connection_made": ask}),
    "eof_received raises": ({"eof_received": fail}, {"connection_made": ask_and_end}),
}
BUFFERED = {
    name: SCENARIOS[name] for name in ("the client closes", "the client ends", "the server answers after the end")
}
PAUSED: tuple[Doing, Doing] = (
    {"connection_made": pause_for_a_while, "data_received": answer_and_close},
    {"connection_made": ask},
)

Callbacks = list[tuple[Any, ...]]


async def play(
    api: Any, scenario: tuple[Doing, Doing], types: tuple[type[Recording], type[Recording]] = (Recording, Recording)
) -> tuple[Callbacks, Callbacks, list[type[BaseException]]]:
    """Let a server's and a client's protocol meet over one of the two APIs; return what each was told."""
    told = unhandled()
    accepted: asyncio.Queue[Recording] = asyncio.Queue()

    def accept() -> Recording:
        protocol = types[0](**scenario[0])
        accepted.put_nowait(protocol)
        return protocol

    server = await api.create_server(accept, "127.0.0.1", 0)
    async with server:
        connecting: Awaitable[tuple[Any, Recording]] = api.create_connection(
            lambda: types[1](**scenario[1]), *server.sockets[0].getsockname()
        )
        _, client = await connecting
        served = await accepted.get()
        await client.lost.wait()
        await served.lost.wait()
        return served.record, client.record, told


def different(protocol: Callbacks, other: Callbacks) -> list[tuple[Any, Any]]:
    """Return where two records differ, without megabytes of data."""
    assert len(protocol) == len(other), ([name for name, *_ in protocol], [name for name, *_ in other])
    return [(one[:1], two[:1]) for one, two in zip(protocol, other, strict=True) if one != two]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_both_protocols_are_told_the_same(scenario: tuple[Doing, Doing]) -> None:
    loop = asyncio.get_running_loop()
    by_loop, by_aionet = await play(loop, scenario), await play(aionet, scenario)
    assert different(by_loop[0], by_aionet[0]) == []
    assert different(by_loop[1], by_aionet[1]) == []
    # Python 3.13.0 adds a TypeError of its own where writelines comes after close.
    assert [exc for exc in by_loop[2] if exc is RefusedError] == by_aionet[2]


@pytest.mark.parametrize("scenario", BUFFERED.values(), ids=BUFFERED)
async def test_buffered_protocols_are_told_the_same(scenario: tuple[Doing, Doing]) -> None:
    loop = asyncio.get_running_loop()
    types = (RecordingBuffered, RecordingBuffered)
    assert await play(loop, scenario, types) == await play(aionet, scenario, types)


@pytest.mark.parametrize("types", [(Recording, Recording), (RecordingBuffered, Recording)], ids=["plain", "buffered"])
@pytest.mark.parametrize("scenario", SERVER_RAISES.values(), ids=SERVER_RAISES)
async def test_a_protocol_that_raises_is_told_the_same(
    scenario: tuple[Doing, Doing], types: tuple[type[Recording], type[Recording]]
) -> None:
    loop = asyncio.get_running_loop()
    by_loop, by_aionet = await play(loop, scenario, types), await play(aionet, scenario, types)
    assert by_loop[0] == by_aionet[0]
    assert by_loop[0][-1] == ("connection_lost", RefusedError)
    assert by_loop[2] == by_aionet[2] == [RefusedError]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_protocol_that_pauses_in_connection_made_is_told_the_same() -> None:
    # uvloop reads all the same.
    assert await play(asyncio.get_running_loop(), PAUSED) == await play(aionet, PAUSED)


async def test_a_protocol_that_pauses_in_connection_made_reads_nothing_until_it_resumes() -> None:
    served, _, _ = await play(aionet, PAUSED)
    assert [name for name, *_ in served][:5] == ["connection_made", "reading", "reading", "reading", "data_received"]
    assert [facts for name, *facts in served if name == "reading"] == [[False], [False], [True]]
