"""Servers that fail: each failure is counted by its name, what was measured is kept, and nothing hangs."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
import time

import pytest

from aionet.bench.expect import Expect
from aionet.bench.generator import NotConnectedError
from tests.bench.generating import generate, milliseconds, plan, replies
from tests.bench.servers import echo, refused, serving, sink
from tests.turns import unless_held_up

HANGING = 0.1  # seconds that a reply may take, in runs that need patience to end


async def test_a_refused_connection_ends_it_with_the_address() -> None:
    endpoint = refused()
    host, port = "127.0.0.1", endpoint.rpartition(":")[2]
    with pytest.raises(NotConnectedError, match=re.escape(f"{endpoint} ({host}:{port}): connect: Connection refused")):
        await generate(plan(endpoint))


async def test_a_server_that_closes_after_one_message_is_counted_and_asked_again() -> None:
    def once(sock: socket.socket) -> None:
        sock.sendall(sock.recv(65536))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with serving(once) as endpoint:
        tally = await generate(plan(endpoint))
    assert replies(tally) > 4
    assert tally.errors["closed by the server"] >= 2
    assert tally.errors["no reply: the connection was lost"] >= 2


async def test_a_server_that_never_answers_is_given_up() -> None:
    with serving(sink) as endpoint:
        tally = await generate(plan(endpoint, timeout=HANGING))
    assert replies(tally) == 0
    assert tally.errors["no reply within 0.1 s"] >= 2


async def test_a_short_answer_and_an_end_is_told_from_an_end() -> None:
    def short(sock: socket.socket) -> None:
        sock.sendall(sock.recv(65536)[:-1])
        sock.shutdown(socket.SHUT_WR)
        sink(sock)

    with serving(short) as endpoint:
        tally = await generate(plan(endpoint))
    assert replies(tally) == 0
    assert tally.errors["closed by the server inside a reply"] >= 2


async def test_wrong_bytes_are_counted() -> None:
    def wrong(sock: socket.socket) -> None:
        echo_once = sock.recv(65536)
        sock.sendall(echo_once)
        while data := sock.recv(65536):
            sock.sendall(data[:10] + bytes([data[10] ^ 1]) + data[11:])

    with serving(wrong) as endpoint:
        tally = await generate(plan(endpoint))
    assert replies(tally) >= 2
    assert tally.errors["wrong bytes in the reply"] >= 2


async def test_more_than_was_asked_for_is_counted() -> None:
    def generous(sock: socket.socket) -> None:
        while sock.recv(65536):
            sock.sendall(b"one\ntwo\n")

    with serving(generous) as endpoint:
        given = plan(endpoint, mode="request-file", request=b"?\n", expect=Expect.parse("line"))
        tally = await generate(given)
    assert tally.errors["more replies than requests"] >= 2


async def test_a_reset_is_counted() -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    with serving(reset) as endpoint:
        tally = await generate(plan(endpoint))
    assert tally.errors["receive: Connection reset by peer"] >= 2


async def test_what_was_measured_before_the_server_was_gone_is_kept() -> None:
    with serving(echo) as endpoint:
        server = threading.Event()

        def fail_later(sock: socket.socket) -> None:
            for _ in range(50):
                sock.sendall(sock.recv(65536))
            server.set()

        with serving(fail_later) as dying:
            tally = await generate(plan(dying, connections=1))
        assert server.is_set()
        assert replies(tally) >= 50
        assert tally.errors.total() >= 1
        assert replies(await generate(plan(endpoint))) > 0


@pytest.mark.parametrize("rate", [None, 200.0])
async def test_in_mode_connect_a_server_that_never_answers_is_given_up(rate: float | None) -> None:
    with serving(sink) as endpoint:
        tally = await generate(plan(endpoint, mode="connect", timeout=HANGING, rate=rate))
    assert replies(tally) == 0
    assert tally.errors["no reply within 0.1 s"] >= 2


async def test_on_schedule_what_finds_no_connection_is_counted() -> None:
    def close_soon(sock: socket.socket) -> None:
        sock.recv(65536)

    with serving(close_soon) as endpoint:
        tally = await generate(plan(endpoint, rate=1000.0, duration=0.4))
    assert tally.errors["closed by the server"] >= 2
    assert tally.errors["not sent: no connection"] > 10


async def test_a_sink_that_speaks_is_counted() -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, mode="sink", size="100"))
    assert tally.errors["bytes from a server that should only take them"] > 0


async def test_a_handshake_with_what_speaks_no_tls_is_counted() -> None:
    with serving(echo) as endpoint, pytest.raises(NotConnectedError, match=r"handshake: \w+"):
        await generate(plan(endpoint.replace("tcp:", "tls:")))


async def test_stopped_early_the_last_replies_are_waited_for() -> None:
    with serving(echo) as endpoint:
        tally = await generate(plan(endpoint, duration=60), stop_after=0.1)
    assert not tally.errors
    assert replies(tally) > 0
    assert tally.settled()[-1].at < 30


@unless_held_up(0.03)
async def test_a_stall_shows_in_an_open_loop_and_not_in_a_closed_one() -> None:
    """A server that sleeps 100 ms once a second: a tenth of those who come at any time meet it."""
    stall = 0.1

    def stalling(sock: socket.socket) -> None:
        sleep_now = threading.Event()
        timer = threading.Timer(0.5, sleep_now.set)
        timer.start()
        try:
            while data := sock.recv(65536):
                if sleep_now.is_set():
                    sleep_now.clear()
                    time.sleep(stall)
                sock.sendall(data)
        finally:
            timer.cancel()

    with serving(stalling) as endpoint:
        closed = await generate(plan(endpoint, connections=1, duration=1.0))
        opened = await generate(plan(endpoint, connections=1, duration=1.0, rate=200.0))
    assert max(closed.latency) / 1e6 >= stall * 1000  # one message met it
    assert milliseconds(closed, 0.99) < stall * 1000 / 2
    assert milliseconds(opened, 0.99) > stall * 1000 / 2
    assert milliseconds(opened, 0.5) < stall * 1000 / 2


@unless_held_up(0.25)  # longer than the test itself holds it up
async def test_in_an_open_loop_a_latency_counts_from_when_the_message_was_due() -> None:
    """The generator itself is held up: what was due in the meantime has waited, though it was answered at once."""
    held_up = 0.2
    with serving(echo) as endpoint:
        asyncio.get_running_loop().call_later(0.1, time.sleep, held_up)
        tally = await generate(plan(endpoint, connections=1, duration=0.5, rate=200.0))
    long = held_up / 2 * 1e9
    waited = sum(count for latency, count in tally.latency.items() if latency > long)
    late = sum(count for lag, count in tally.lag.items() if lag > long)
    assert 0.7 * 200 * held_up / 2 < late <= waited  # a machine that is busy makes more of them late
