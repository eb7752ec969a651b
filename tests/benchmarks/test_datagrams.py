"""The load generator for UDP believes nobody, either."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks import native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reply = Callable[[bytes], bytes | None]

pytestmark = pytest.mark.usefixtures("cc")

SHORT = ("--warmup", "0.01", "--seconds", "0.05", "--patience", "5")


@contextmanager
def answering(reply: Reply) -> Iterator[str]:
    """Answer each datagram with what ``reply`` makes of it, or not at all."""
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)

        def run() -> None:
            while not stop.is_set():
                try:
                    data, peer = sock.recvfrom(65536)
                    if (made := reply(data)) is not None:
                        sock.sendto(made, peer)
                except (TimeoutError, ConnectionError):
                    continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(native.build("datagrams.c")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)


def test_counts_what_an_honest_echo_answers() -> None:
    answered = 0

    def reply(data: bytes) -> bytes:
        nonlocal answered
        answered += 1
        return data

    with answering(reply) as address:
        done = generate("udp_echo", "--address", address, "--connections", "3", "--burst", "2", *SHORT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 0 < found["messages"] <= answered
    assert found["seconds"] >= 0.05


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (lambda data: data[:-1], "a reply of 199 bytes is not datagram 0 of 200 bytes"),
        (lambda data: data[:-1] + b"\0", "a reply of 200 bytes is not datagram 0 of 200 bytes"),
        (lambda data: bytes(8) + data[8:], "is not datagram 1 of 200 bytes"),
        (lambda _: None, "datagrams had no reply for 0.1 s"),
    ],
    ids=["short", "changed", "an earlier one", "lost"],
)
def test_a_reply_that_is_wrong_or_missing_is_found(reply: Reply, complaint: str) -> None:
    with answering(reply) as address:
        done = generate("udp_echo", "--address", address, "--connections", "1", *SHORT, "--patience", "0.1")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stdout == ""


def test_what_counts_is_what_the_server_says_it_was_handed() -> None:
    answers = iter((b"1000", b"1234"))

    def reply(data: bytes) -> bytes | None:
        return None if data else next(answers, b"1234")

    with answering(reply) as address:
        done = generate("udp_receive", "--address", address, *SHORT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"] == 234


def test_what_arrives_is_counted_with_what_there_was_no_room_for() -> None:
    sent = 0
    flooding = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def flood() -> None:
            nonlocal sent
            _, peer = sock.recvfrom(10)
            while not flooding.is_set():
                try:
                    sock.sendto(bytes(1200), peer)
                except ConnectionRefusedError:  # the generator has ended
                    return
                sent += 1

        thread = threading.Thread(target=flood)
        thread.start()
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        done = generate("udp_send", "--address", address, "--size", "1200", *SHORT)
        flooding.set()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["messages"] <= sent


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the first argument is one of udp_echo, udp_receive, udp_send"),
        (["udp_echo"], "--address is missing"),
        (["udp_echo", "--address", "localhost"], "--address localhost: expected 127.0.0.1:PORT"),
        (["udp_echo", "--address", "127.0.0.1:1", "--size", "65508"], "no datagram is larger than 65507 bytes"),
        (["udp_echo", "--address", "127.0.0.1:1", "--burst", "0"], "--burst 0: expected a number from 1"),
    ],
)
def test_a_bad_argument_is_named(arguments: list[str], complaint: str) -> None:
    done = generate(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
