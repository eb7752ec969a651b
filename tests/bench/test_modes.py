"""Each kind of work, over each kind of connection, against servers that do what they should."""

from __future__ import annotations

import asyncio
import random
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from aionet.bench.expect import Expect
from tests.bench.generating import generate, milliseconds, plan, replies
from tests.bench.servers import answering, echo, echo_datagram, serving, sink, source
from tests.programs import PATIENCE
from tests.turns import unless_held_up

if TYPE_CHECKING:
    import socket
    from pathlib import Path


@pytest.mark.parametrize("size", ["64", "1", "100000", "uniform:1-3000", "normal:500,400", "choice:10:0.5,70000:0.5"])
@pytest.mark.parametrize("pipeline", [1, 5])
async def test_every_echo_is_counted_and_compared(size: str, pipeline: int) -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, size=size, pipeline=pipeline))
    assert not tally.errors
    assert replies(tally) == sum(tally.latency.values()) > 1
    point = tally.settled()[0]
    assert point.connections == 2
    assert point.p50 <= point.p99 <= point.max


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    with serving(echo, unix=tmp_path / "socket") as endpoint:
        tally = await generate(plan(endpoint, connections=5))
    assert not tally.errors
    assert replies(tally) > 1


async def test_of_the_addresses_of_a_name_the_one_that_answers_is_taken() -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint.replace("127.0.0.1", "localhost")))
    assert not tally.errors
    assert replies(tally) > 1


@unless_held_up(0.03)
async def test_on_schedule_every_message_is_sent_and_answered() -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, rate=1000.0, duration=0.5))
    assert not tally.errors
    assert replies(tally) == sum(tally.lag.values())
    assert 400 <= replies(tally) <= 600


@unless_held_up(0.03)
async def test_random_arrivals_have_the_rate_that_was_asked_for() -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, rate=2000.0, duration=0.5, arrivals="poisson"))
    assert 800 <= replies(tally) <= 1200


async def test_a_sink_takes_everything() -> None:
    received = 0
    ended = threading.Event()

    def count(sock: socket.socket) -> None:
        nonlocal received
        while data := sock.recv(65536):
            received += len(data)
        ended.set()

    with serving(count) as endpoint:
        tally = await generate(plan(endpoint, mode="sink", connections=1))
        assert await asyncio.to_thread(ended.wait, PATIENCE)
    sent = sum(point.bytes_sent for point in tally.points.values())
    assert not tally.errors
    assert replies(tally) > 0
    assert 0 < sent <= received  # which has what was sent after the last slot, too


@unless_held_up(0.03)
async def test_a_sink_on_schedule_takes_what_is_due() -> None:
    with serving(sink) as endpoint:
        tally = await generate(plan(endpoint, mode="sink", rate=500.0, size="1000"))
    assert 80 <= replies(tally) <= 150


async def test_a_source_is_counted_in_messages_of_the_size() -> None:
    with serving(source) as endpoint:
        tally = await generate(plan(endpoint, mode="source", size="1000"))
    received = sum(point.bytes_received for point in tally.points.values())
    assert replies(tally) == pytest.approx(received / 1000, abs=200)
    assert not tally.errors


async def test_a_source_may_want_a_request_first() -> None:
    def serve(sock: socket.socket) -> None:
        if sock.recv(100) == b"begin\n":
            source(sock)

    with serving(serve) as endpoint:
        tally = await generate(plan(endpoint, mode="source", request=b"begin\n"))
    assert replies(tally) > 0


@pytest.mark.parametrize("rate", [None, 200.0])
async def test_connections_are_counted_when_they_are_answered(rate: float | None) -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, mode="connect", rate=rate))
    assert not tally.errors
    assert replies(tally) == sum(tally.setup.values()) > 1


@pytest.mark.parametrize("expect", ["line", "bytes:6"])
async def test_a_request_from_a_file_and_a_framed_reply(expect: str) -> None:
    def serve(sock: socket.socket) -> None:
        with sock.makefile("rb") as lines:
            for line in lines:
                sock.sendall(b"+%d\r\n" % len(line) + b"x" * 2 if expect != "line" else b"+%d\r\n" % len(line))

    with serving(serve) as endpoint:
        given = plan(endpoint, mode="request-file", request=b"PING\r\n", expect=Expect.parse(expect), pipeline=3)
        tally = await generate(given)
    assert not tally.errors
    assert replies(tally) > 1


async def test_replies_with_a_length_before_them() -> None:
    chance = random.Random(5)

    def serve(sock: socket.socket) -> None:
        while sock.recv(1):
            body = bytes(chance.randrange(2000))
            sock.sendall(struct.pack(">I", len(body)) + body)

    with serving(serve) as endpoint:
        given = plan(endpoint, mode="request-file", request=b"?", expect=Expect.parse("length:4"), pipeline=2)
        tally = await generate(given)
    assert not tally.errors
    assert replies(tally) > 1


@pytest.mark.parametrize("given", [{"pipeline": 4}, {"rate": 500.0}, {"size": "choice:8:1,1400:1"}])
async def test_datagrams_that_come_back(given: dict[str, object]) -> None:
    with answering(echo_datagram) as endpoint:
        tally = await generate(plan(endpoint, **given))
    assert not tally.errors
    assert replies(tally) > 1
    assert (tally.datagrams.lost, tally.datagrams.duplicate, tally.datagrams.reordered) == (0, 0, 0)
    assert tally.jitters[0] > 0


async def test_what_becomes_of_datagrams_is_told() -> None:
    held: list[bytes] = []

    def misbehave(sock: socket.socket, data: bytes, peer: object) -> None:
        number = int.from_bytes(data[:8], "big")
        match number % 5:
            case 0:
                pass  # lost
            case 1:
                held.append(data)  # and overtaken by the next
            case 2:
                for each in (data, held.pop()):
                    echo_datagram(sock, each, peer)
            case 3:
                echo_datagram(sock, data, peer)
                echo_datagram(sock, data, peer)
            case _:
                echo_datagram(sock, data, peer)

    with answering(misbehave) as endpoint:
        tally = await generate(plan(endpoint, connections=1, rate=500.0, duration=0.5, timeout=1.0))
    total = sum(tally.lag.values())
    found = tally.datagrams
    for counted in (found.lost, found.reordered, found.duplicate):
        assert counted == pytest.approx(total / 5, abs=2)
    assert replies(tally) == total - found.lost


@pytest.mark.parametrize("steady", [True, False])
@unless_held_up(0.03)
async def test_jitter_is_how_much_a_round_trip_differs_from_the_one_before(*, steady: bool) -> None:
    delay = 0.02

    def answer_later(sock: socket.socket, data: bytes, peer: object) -> None:
        if steady or int.from_bytes(data[:8], "big") % 2:
            time.sleep(delay)
        echo_datagram(sock, data, peer)

    with answering(answer_later) as endpoint:
        tally = await generate(plan(endpoint, connections=1, duration=0.6))
    assert milliseconds(tally, 0.9) >= delay * 1e3 * 0.9
    assert (tally.jitters[0] < delay * 1e9 / 2) == steady


async def test_a_reply_after_the_timeout_is_late() -> None:
    former: list[bytes] = []

    def answer_the_one_before(sock: socket.socket, data: bytes, peer: object) -> None:
        if former:
            echo_datagram(sock, former.pop(), peer)
        former.append(data)

    with answering(answer_the_one_before) as endpoint:
        tally = await generate(plan(endpoint, connections=1, timeout=0.05, duration=0.5))
    assert tally.datagrams.late >= 2
    assert tally.datagrams.lost > tally.datagrams.late


async def test_a_closed_loop_goes_on_after_a_loss() -> None:
    def answer_some(sock: socket.socket, data: bytes, peer: object) -> None:
        if int.from_bytes(data[:8], "big") % 4:
            echo_datagram(sock, data, peer)

    with answering(answer_some) as endpoint:
        tally = await generate(plan(endpoint, timeout=0.02, duration=0.4))
    assert tally.datagrams.lost >= 4
    assert replies(tally) >= 2 * tally.datagrams.lost


@pytest.mark.parametrize("mode", ["sink", "source"])
async def test_datagrams_one_way(mode: str) -> None:
    def flood(sock: socket.socket, data: bytes, peer: object) -> None:
        if mode == "source":
            for _ in range(20):
                echo_datagram(sock, b"x" * 100, peer)

    with answering(flood) as endpoint:
        tally = await generate(plan(endpoint, mode=mode, timeout=0.05))
    assert replies(tally) > 20
    assert not tally.errors


async def test_a_request_and_a_datagram_in_reply() -> None:
    def serve(sock: socket.socket, data: bytes, peer: object) -> None:
        echo_datagram(sock, data.upper(), peer)

    with answering(serve) as endpoint:
        tally = await generate(plan(endpoint, mode="request-file", request=b"who is it?"))
    assert replies(tally) > 1
    assert not tally.errors
