"""``aionet connect`` and ``aionet listen``, as their users run them; the peer is a plain socket."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands import COMMAND, aionet, running
from tests.programs import PATIENCE, every_loop, receive_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERY_BYTE = bytes(range(256)) * 100


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


def endpoint_of(server: socket.socket) -> str:
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def accept(server: socket.socket) -> socket.socket:
    sock, _ = server.accept()
    sock.settimeout(PATIENCE)
    return sock


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def is_reset(sock: socket.socket) -> bool:
    try:
        receive_all(sock)
    except ConnectionResetError:
        return True
    return False


# --- both halves ------------------------------------------------------------------------------------------------------


@every_loop
def test_the_end_of_stdin_is_sent_and_the_reply_still_read(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--loop", loop) as command, accept(server) as peer:
        command.stdin.write(EVERY_BYTE)
        command.stdin.close()
        assert receive_all(peer) == EVERY_BYTE
        peer.sendall(EVERY_BYTE[::-1])
        peer.close()
        assert command.stdout.read() == EVERY_BYTE[::-1]
        assert command.process.wait(PATIENCE) == 0


@every_loop
def test_after_the_end_of_the_peer_stdin_is_still_sent(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--loop", loop) as command, accept(server) as peer:
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        assert command.stdout.read(3) == b"bye"
        command.stdin.write(EVERY_BYTE)
        command.stdin.close()
        assert receive_all(peer) == EVERY_BYTE
        assert command.process.wait(PATIENCE) == 0


def test_until_peer_the_end_of_the_peer_is_the_end(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--until", "peer") as command, accept(server) as peer:
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        assert command.stdout.read() == b"bye"
        assert command.process.wait(PATIENCE) == 0  # stdin is still open
        assert receive_all(peer) == b""


def test_until_stdin_the_end_of_stdin_is_the_end(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--until", "stdin") as command, accept(server) as peer:
        command.stdin.write(b"all there is")
        command.stdin.close()
        assert receive_all(peer) == b"all there is"
        peer.close()
        assert command.process.wait(PATIENCE) == 0


def test_at_a_terminal_the_end_of_the_peer_is_the_end(server: socket.socket) -> None:
    ours, theirs = pty.openpty()
    try:
        with running("connect", endpoint_of(server), stdin=theirs) as command, accept(server) as peer:
            os.write(ours, b"typed\n")
            assert peer.recv(100) == b"typed\n"
            peer.close()
            assert command.process.wait(PATIENCE) == 0
    finally:
        os.close(ours)
        os.close(theirs)


@every_loop
def test_listen_gives_stdin_to_who_connects_and_writes_what_they_send(loop: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(EVERY_BYTE)
    with (
        (tmp_path / "in").open("rb") as stdin,
        (tmp_path / "out").open("wb") as stdout,
        running("listen", "tcp://127.0.0.1:0", "--loop", loop, stdin=stdin, stdout=stdout) as command,
    ):
        with connect(command.port()) as peer:
            assert receive_all(peer) == EVERY_BYTE
            peer.sendall(b"thanks")
        assert command.end().status == 0
    assert (tmp_path / "out").read_bytes() == b"thanks"


def test_connect_and_listen_understand_each_other_over_a_unix_socket(tmp_path: Path) -> None:
    endpoint = f"unix:{tmp_path / 'socket'}"
    with running("listen", endpoint) as listening:
        listening.hear("listening on")
        listening.stdin.write(b"from the server")
        listening.stdin.close()
        assert aionet("connect", endpoint, stdin=b"from the client").output == b"from the server"
        assert listening.stdout.read() == b"from the client"
        assert listening.process.wait(PATIENCE) == 0
    assert not (tmp_path / "socket").exists()


# --- listening --------------------------------------------------------------------------------------------------------


def test_once_refuses_whoever_comes_second() -> None:
    with running("listen", "tcp://127.0.0.1:0", "-v") as command:
        port = command.port()
        with connect(port):
            command.hear("connected:")
            with pytest.raises(ConnectionRefusedError):
                connect(port)
        command.stdin.close()
        assert command.process.wait(PATIENCE) == 0


@every_loop
def test_keep_open_serves_one_peer_after_the_other_and_outlives_a_reset(loop: str) -> None:
    with running("listen", "tcp://127.0.0.1:0", "--keep-open", "--loop", loop) as command:
        port = command.port()
        with connect(port) as broken:
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert "reset by peer" in command.hear("aionet:")
        command.stdin.close()
        for said in (b"first", b"second"):
            with connect(port) as peer:
                assert receive_all(peer) == b""
                peer.sendall(said)
                peer.shutdown(socket.SHUT_WR)
                assert command.stdout.read(len(said)) == said
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(PATIENCE) == 130


def test_what_is_typed_between_two_peers_is_for_the_second() -> None:
    with running("listen", "tcp://127.0.0.1:0", "--keep-open", "--until", "peer", "-v") as command:
        port = command.port()
        with connect(port):
            pass
        command.hear("disconnected:")
        command.stdin.write(b"for the second")
        with connect(port) as second:
            assert second.recv(100) == b"for the second"
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(PATIENCE) == 143


# --- line mode --------------------------------------------------------------------------------------------------------


def test_eol_gives_lines_another_ending(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--eol", "crlf") as command, accept(server) as peer:
        command.stdin.write(b"GET / HTTP/1.0\n\nlast")
        command.stdin.close()
        assert receive_all(peer) == b"GET / HTTP/1.0\r\n\r\nlast\r\n"


# --- what it says -----------------------------------------------------------------------------------------------------


def test_json_tells_who_was_connected_and_how_much_passed(server: socket.socket) -> None:
    with running("connect", endpoint_of(server), "--json") as command, accept(server) as peer:
        peer.sendall(b"12345")
        peer.close()
        command.stdin.close()
        command.process.wait(PATIENCE)
        assert command.process.stderr is not None
        connected, disconnected = map(json.loads, command.process.stderr)
    assert connected == {
        "event": "connected",
        "local": connected["local"],
        "peer": endpoint_of(server).removeprefix("tcp://"),
        "tls": None,
    }
    assert (disconnected["event"], disconnected["received"], disconnected["sent"]) == ("disconnected", 5, 0)


def test_json_tells_where_it_listens() -> None:
    with running("listen", "tcp://127.0.0.1:0", "--json") as command:
        said = json.loads(command.hear("listening"))
        assert said.keys() == {"event", "addresses"}
        with connect(int(said["addresses"][0].rpartition(":")[2])):
            command.stdin.close()
        assert command.process.wait(PATIENCE) == 0


# --- how it ends ------------------------------------------------------------------------------------------------------


@every_loop
def test_a_refused_connection_is_one_line_and_status_1(server: socket.socket, loop: str) -> None:
    endpoint = endpoint_of(server)
    server.close()
    done = aionet("connect", endpoint, "--loop", loop)
    address = endpoint.removeprefix("tcp://")
    assert (done.status, done.errors) == (1, f"aionet: connect to {endpoint}: {address}: Connection refused\n")


def test_an_endpoint_that_cannot_be_is_status_2() -> None:
    done = aionet("connect", "tcp://nowhere")
    assert done.status == 2
    assert "bad endpoint 'tcp://nowhere'" in done.errors


def test_an_address_in_use_is_status_1(server: socket.socket) -> None:
    done = aionet("listen", endpoint_of(server))
    assert done.status == 1
    assert "Address already in use" in done.errors
    assert len(done.errors.splitlines()) == 1


@every_loop
def test_a_reset_is_status_1_after_what_came_before_it(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--loop", loop) as command:
        with accept(server) as peer:
            peer.sendall(b"so far")
            assert command.stdout.read(6) == b"so far"
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert command.process.wait(PATIENCE) == 1
        assert "reset by peer" in command.hear("aionet:")


@every_loop
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_resets_the_connection_and_is_in_the_status(
    server: socket.socket, loop: str, number: signal.Signals, status: int
) -> None:
    with running("connect", endpoint_of(server), "-v", "--loop", loop) as command, accept(server) as peer:
        command.hear("connected:")
        command.process.send_signal(number)
        assert is_reset(peer)
        done = command.end()
        assert done.status == status
        assert done.errors.startswith("disconnected: ")
        assert done.errors.count("\n") == 1


def test_a_file_that_cannot_be_read_resets_the_connection(server: socket.socket) -> None:
    with (
        open("/proc/self/mem", "rb") as unreadable,  # noqa: PTH123 - at its beginning there is no memory
        running("connect", endpoint_of(server), stdin=unreadable) as command,
        accept(server) as peer,
    ):
        assert is_reset(peer)
        assert command.process.wait(PATIENCE) == 1
        assert command.hear("aionet:") == "aionet: stdin: Input/output error\n"


def test_an_output_that_is_full_is_named(server: socket.socket) -> None:
    with (
        open("/dev/full", "wb") as full,  # noqa: PTH123 - a device
        running("connect", endpoint_of(server), stdout=full) as command,
        accept(server) as peer,
    ):
        peer.sendall(b"data")
        assert command.process.wait(PATIENCE) == 1
        assert command.hear("aionet:") == "aionet: stdout: No space left on device\n"


@every_loop
def test_whoever_reads_its_output_may_leave(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--loop", loop) as command, accept(server) as peer:
        command.stdout.close()
        peer.sendall(b"data")
        assert command.process.wait(PATIENCE) == 1
        assert command.process.stderr is not None
        assert command.process.stderr.read() == b""


@every_loop
def test_a_closed_stdin_is_an_empty_one(server: socket.socket, loop: str) -> None:
    command = ["bash", "-c", 'exec "$@" <&-', "bash", *COMMAND, "connect", endpoint_of(server), "--loop", loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, accept(server) as peer:
        assert receive_all(peer) == b""
        peer.sendall(b"reply")
        peer.close()
        assert process.communicate(timeout=PATIENCE)[0] == b"reply"
        assert process.returncode == 0


def test_to_a_closed_stdout_nothing_can_be_written(server: socket.socket) -> None:
    command = ["bash", "-c", 'exec "$@" >&-', "bash", *COMMAND, "connect", endpoint_of(server)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, accept(server) as peer:
        peer.sendall(b"lost")
        assert process.communicate(timeout=PATIENCE)[1] == "aionet: stdout: Bad file descriptor\n"
        assert process.returncode == 1


@every_loop
def test_a_connection_that_is_idle_is_broken_off(server: socket.socket, loop: str) -> None:
    with running("connect", endpoint_of(server), "--idle", "0.1", "--loop", loop) as command, accept(server):
        assert command.process.wait(PATIENCE) == 1
        assert "0.1 s" in command.hear("aionet:")


def test_connecting_ends_with_its_timeout() -> None:
    # A full backlog answers nobody.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        done = aionet("connect", endpoint_of(full), "--timeout", "0.2")
    assert done.status == 1
    assert "no answer within 0.2 s" in done.errors


def test_waiting_for_a_peer_ends_with_its_timeout() -> None:
    done = aionet("listen", "tcp://127.0.0.1:0", "--timeout", "0.1")
    assert done.status == 1
    assert "no peer within 0.1 s" in done.errors
