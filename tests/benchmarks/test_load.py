"""The load generator believes nobody: each reply is counted only if its bytes are the right ones."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import native

pytestmark = pytest.mark.usefixtures("cc")

Reply = Callable[[bytes], bytes]


@contextmanager
def answering(reply: Reply, listener: socket.socket) -> Iterator[None]:
    """Answer each piece that comes with what ``reply`` makes of it, one connection at a time; b"" closes it."""

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(100_000):
                if not (made := reply(data)):
                    return
                client.sendall(made)

    def run() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # shut down: the test is over
                return
            try:
                answer(client)
            except ConnectionError:  # the generator left in protest
                continue

    with listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(native.build("load.c")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)


def drive(reply: Reply, mode: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    with answering(reply, listener):
        short = ("--connections", "1", "--warmup", "0.01", "--seconds", "0.02", "--patience", "5")
        return load(mode, "--address", address, *short, *arguments)


def altered_at(place: int) -> Reply:
    """Echo, except for one bit of the byte at ``place`` of the stream."""
    seen = 0

    def reply(data: bytes) -> bytes:
        nonlocal seen
        changed = bytearray(data)
        if seen <= place < seen + len(data):
            changed[place - seen] ^= 1
        seen += len(data)
        return bytes(changed)

    return reply


def test_counts_the_messages_and_the_time_and_the_cpu_of_an_honest_echo() -> None:
    done = drive(bytes, "echo")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["messages"] > 0
    assert found["seconds"] >= 0.02
    assert 0 < found["client_cpu"] < 30
    assert "server_cpu" not in found


def test_counts_lines_and_not_bursts() -> None:
    lengths: set[int] = set()

    def reply(data: bytes) -> bytes:
        lengths.update(len(line) for line in data.splitlines(keepends=True))
        return data

    done = drive(reply, "lines", "--size", "64", "--burst", "16")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"] % 16 == 0
    assert lengths == {64}


@pytest.mark.parametrize("size", [1, 100, 300])
def test_keeps_so_many_prefixed_messages_in_flight(size: int) -> None:
    received = bytearray()

    def reply(data: bytes) -> bytes:
        received.extend(data)
        return data

    done = drive(reply, "prefixed", "--size", str(size), "--burst", "64")
    assert done.returncode == 0, done.stderr
    prefix = size.to_bytes(4)
    assert len(received) % (size + 4) == 0
    assert all(received.startswith(prefix, place) for place in range(0, len(received), size + 4))
    assert 0 < json.loads(done.stdout)["messages"] <= len(received) // (size + 4)


def test_a_wrong_byte_of_a_prefixed_message_ends_the_run() -> None:
    done = drive(altered_at(104 * 1021 + 50), "prefixed", "--size", "100", "--burst", "64", "--seconds", "5")
    assert done.returncode == 2
    assert "wrong bytes in the reply" in done.stderr


def test_makes_a_new_connection_for_each_message_in_accept_mode() -> None:
    exchanges = 0
    connections = 0
    listener = socket.create_server(("127.0.0.1", 0))

    class Counting(socket.socket):
        def accept(self) -> tuple[socket.socket, tuple[str, int]]:
            nonlocal connections
            accepted: tuple[socket.socket, tuple[str, int]] = super().accept()
            connections += 1
            return accepted

    def reply(data: bytes) -> bytes:
        nonlocal exchanges
        exchanges += 1
        return data

    counting = Counting(fileno=listener.detach())
    address = f"127.0.0.1:{counting.getsockname()[1]}"
    with answering(reply, counting):
        done = load(
            "accept", "--address", address, "--size", "64", "--warmup", "0", "--seconds", "0.02", "--connections", "1"
        )
    assert done.returncode == 0, done.stderr
    assert connections == exchanges >= json.loads(done.stdout)["messages"] > 0


def test_no_two_messages_in_a_row_are_the_same() -> None:
    seen: list[bytes] = []

    def reply(data: bytes) -> bytes:
        seen.append(data)
        return data

    assert drive(reply, "echo", "--size", "64").returncode == 0
    assert len(seen) > 1
    assert all(one != other for one, other in pairwise(seen))


def test_speaks_over_a_unix_socket(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "echo"))
    listener.listen()
    with answering(bytes, listener):
        done = load(
            "echo", "--address", f"unix:{tmp_path / 'echo'}", "--warmup", "0", "--seconds", "0", "--connections", "1"
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mode", ["echo", "lines", "accept", "hold"])
@pytest.mark.parametrize("place", [0, 500, 999], ids="the byte at {}".format)
def test_a_single_wrong_bit_is_found(mode: str, place: int) -> None:
    done = drive(altered_at(place), mode, "--size", "1000", "--burst", "2")
    assert done.returncode == 2
    assert "wrong bytes in the reply" in done.stderr
    assert done.stdout == ""


def test_an_earlier_reply_sent_again_is_found() -> None:
    first: list[bytes] = []

    def reply(data: bytes) -> bytes:
        first.append(data)
        return first[0]

    assert "wrong bytes in the reply" in drive(reply, "echo", "--size", "64").stderr


def test_a_surplus_byte_is_found() -> None:
    done = drive(lambda data: data + b"x", "echo", "--size", "64")
    assert done.returncode == 2
    assert "the reply is longer than the message of 64 bytes" in done.stderr


def test_an_early_end_is_found() -> None:
    done = drive(lambda _: b"", "echo", "--size", "64")
    assert done.returncode == 2
    assert "the server closed after 0 of 64 bytes" in done.stderr


def test_a_missing_byte_is_found() -> None:
    done = drive(lambda data: data[1:], "echo", "--size", "64", "--patience", "0.05")
    assert done.returncode == 2
    assert "wrong bytes" in done.stderr
    done = drive(lambda data: data[:-1], "echo", "--size", "64", "--patience", "0.05")
    assert done.returncode == 2
    assert "1 connections had no reply for 0.05 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the first argument is one of echo, lines, prefixed, accept, hold"),
        (["echo"], "--address is missing"),
        (["echo", "--address", "localhost"], "--address localhost: expected 127.0.0.1:PORT or unix:/path"),
        (["echo", "--address", "127.0.0.1:65536"], "--address 127.0.0.1:65536: expected"),
        (["echo", "--address", "127.0.0.1:1", "--size", "0"], "--size 0: expected a number from 1"),
        (["echo", "--address", "127.0.0.1:1", "--seconds", "soon"], "--seconds soon: expected a number from 0"),
    ],
)
def test_a_bad_argument_is_named(arguments: list[str], complaint: str) -> None:
    done = load(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(native.CompilerError, match=r"no C compiler: 'no-such-compiler' .* apt install gcc"):
        native.build("load.c", tmp_path)


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "failing"
    compiler.write_text("#!/bin/sh\necho it cannot be done >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(native.CompilerError, match="it cannot be done"):
        native.build("load.c", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
