"""``aionet connect`` and ``aionet listen`` over UDP; the peer is a plain socket."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.commands import Running, aionet, running
from tests.programs import PATIENCE, every_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = ["--wait", "0.1"]


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    return sock


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with udp() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def endpoint_of(server: socket.socket) -> str:
    return f"udp://127.0.0.1:{server.getsockname()[1]}"


def said(command: Running) -> list[dict[str, object]]:
    assert command.process.stderr is not None
    return [json.loads(line) for line in command.process.stderr]


@every_loop
def test_what_stdin_brings_is_a_datagram_and_the_answer_is_written(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), *SOON, "--loop", loop) as command:
        command.stdin.write(b"\0request\n")
        data, client = server.recvfrom(100)
        assert data == b"\0request\n"
        server.sendto(b"answer", client)
        server.sendto(b"", client)
        server.sendto(b", twice", client)
        done = command.end()
    assert (done.status, done.output, done.errors) == (0, b"answer, twice", "")


@every_loop
def test_in_line_mode_a_line_is_a_datagram_both_ways(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--eol", "none", *SOON, "--loop", loop) as command:
        command.stdin.write(b"one\ntwo\r\nthree")
        (one, client), (two, _) = server.recvfrom(100), server.recvfrom(100)
        assert (one, two) == (b"one", b"two")
        server.sendto(b"first", client)
        assert command.stdout.read(6) == b"first\n"
        server.sendto(b"second\n", client)
        assert command.stdout.read(7) == b"second\n"
        command.stdin.close()
        assert server.recv(100) == b"three"
        assert command.process.wait(PATIENCE) == 0


def test_a_datagram_has_at_most_the_size_that_was_asked_for(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--datagram-size", "1000", *SOON) as command:
        command.stdin.write(bytes(2500))
        assert [len(server.recv(9999)) for _ in range(3)] == [1000, 1000, 500]
        assert command.end().status == 0


@every_loop
def test_where_nobody_receives_is_one_line_and_status_1(server: socket.socket, loop: str) -> None:
    endpoint = endpoint_of(server)
    server.close()
    done = aionet("connect", endpoint, "--loop", loop, stdin=b"hello?")
    assert done.status == 1
    assert done.errors.endswith("nobody receives there\n")
    assert done.errors.count("\n") == 1


@every_loop
def test_listen_answers_the_first_that_sends_something_and_nobody_else(loop: str) -> None:
    with running("listen", "udp://127.0.0.1:0", "--json", *SOON, "--loop", loop) as command, udp() as first:
        address = json.loads(command.hear("listening"))["addresses"][0]
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        command.stdin.write(b"answer")
        first.sendto(b"first", place)
        assert first.recv(100) == b"answer"
        assert command.stdout.read(5) == b"first"
        with udp() as second:
            second.sendto(b"second", place)
            first.sendto(b", again", place)
            assert command.stdout.read(7) == b", again"
            command.stdin.close()
            assert command.process.wait(PATIENCE) == 0
        connected, disconnected = said(command)
        assert connected["peer"] == disconnected["peer"]
    assert {key: disconnected[key] for key in ("received", "sent", "dropped", "ignored")} == {
        "received": 2, "sent": 1, "dropped": 0, "ignored": 1
    }  # fmt: skip


def test_with_keep_open_everybody_is_heard_and_the_last_is_answered() -> None:
    with running("listen", "udp://127.0.0.1:0", "--keep-open", *SOON) as command, udp() as first, udp() as second:
        place = ("127.0.0.1", command.port())
        for sock, data in ((first, b"1"), (second, b"2")):
            sock.sendto(data, place)
            assert command.stdout.read(1) == data
        command.stdin.write(b"for the last")
        assert second.recv(100) == b"for the last"
        command.stdin.close()
        first.sendto(b"3", place)
        assert command.stdout.read(1) == b"3"
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(PATIENCE) == 130


def test_silence_ends_it_where_that_was_asked_for(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--idle", "0.1") as command:
        assert command.process.wait(PATIENCE) == 1
        assert "nothing came or left for 0.1 s" in command.hear("aionet:")


def test_waiting_for_the_first_datagram_ends_with_its_timeout() -> None:
    done = aionet("listen", "udp://127.0.0.1:0", "--timeout", "0.1")
    assert done.status == 1
    assert "no datagram within 0.1 s" in done.errors


def test_at_a_terminal_the_end_of_stdin_is_the_end(server: socket.socket) -> None:
    ours, theirs = pty.openpty()
    try:
        with running("connect", endpoint_of(server), *SOON, stdin=theirs) as command:
            os.write(ours, b"typed\n\x04")
            assert server.recv(100) == b"typed\n"
            assert command.process.wait(PATIENCE) == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_dropped_is_said_unasked(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), *SOON) as command:
        command.stdin.write(b"go")
        _, client = server.recvfrom(100)
        for _ in range(20_000):
            server.sendto(bytes(8000), client)  # 160 MB, and nobody reads stdout
        received = 0
        command.stdin.close()
        while data := command.stdout.read(65536):
            received += len(data)
        line = command.hear("disconnected:")
        assert command.process.wait(PATIENCE) == 0
    dropped = int(line.partition(" sent, ")[2].split()[0])
    assert dropped > 0
    assert dropped == 20_000 - received // 8000
