"""examples/tcp_flow.py takes the steps of the socket API in their order, for IPv4 and IPv6 alike."""

import re
import socket

import pytest

from tests.programs import command, every_loop, receive_all, run, running

every_host = pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])


def steps(output: str, who: str) -> list[str]:
    """The names of what ``who`` has done, in order."""
    return re.findall(rf"^{who}: (\w+)", output, re.MULTILINE)


@every_loop
@every_host
def test_both_flows_take_their_steps(loop: str, host: str) -> None:
    output = run(*command("tcp_flow.py", "--host", host, loop=loop)).decode()
    rounds = output.count("listening on")  # one for each address
    assert rounds >= 1
    assert steps(output, "server") == ["resolve", *["accept", "recv", "send", "shutdown", "close"] * rounds]
    assert steps(output, "client") == ["resolve", "connect", "send", "shutdown", "recv", "close"] * rounds
    assert "server: recv <- b'hello, server', and the end" in output
    assert "client: recv <- b'HELLO, SERVER', and the end" in output


@every_loop
@every_host
def test_server_and_client_meet_as_programs_of_their_own(loop: str, host: str) -> None:
    with running("tcp_flow.py", "server", "--host", host, loop=loop, ends_by=None) as server:
        place = ("--host", server.host, "--port", str(server.port))
        client = run(*command("tcp_flow.py", "client", *place, loop=loop)).decode()
    assert steps(client, "client") == ["resolve", "connect", "send", "shutdown", "recv", "close"]


@every_loop
def test_any_client_gets_its_reply(loop: str) -> None:
    with (
        running("tcp_flow.py", "server", "--host", "127.0.0.1", loop=loop, ends_by=None) as server,
        server.connect() as client,
    ):
        for piece in (b"in ", b"three ", b"pieces"):
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"IN THREE PIECES"


@every_loop
def test_a_client_says_why_it_could_not_connect(loop: str) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        host, port = bound.getsockname()
        place = ("--host", host, "--port", str(port))
        output = run(*command("tcp_flow.py", "client", *place, loop=loop), status=1).decode()
    assert f"client: connect -> {host}:{port}: " in output
    assert "Connection refused" in output
