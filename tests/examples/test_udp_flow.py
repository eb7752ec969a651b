"""examples/udp_flow.py takes the steps of the socket API in their order, for IPv4 and IPv6 alike."""

import re
import socket

import pytest

from tests.programs import PATIENCE, command, every_loop, run, running

every_host = pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])

SERVER = ["recvfrom", "sendto"] * 2 + ["close"]
CLIENT = ["resolve", "connect", "send", "recv", "close", "sendto", "recvfrom", "close"]


def steps(output: str, who: str) -> list[str]:
    """The names of what ``who`` has done, in order."""
    return re.findall(rf"^{who}: (\w+)", output, re.MULTILINE)


@every_loop
@every_host
def test_both_flows_take_their_steps(loop: str, host: str) -> None:
    output = run(*command("udp_flow.py", "--host", host, loop=loop)).decode()
    rounds = output.count("listening on")  # one for each address
    assert rounds >= 1
    assert steps(output, "server") == ["resolve", *SERVER * rounds]
    assert steps(output, "client") == CLIENT * rounds
    assert "client: recv <- b'HELLO, SERVER'" in output


@every_loop
@every_host
def test_server_and_client_meet_as_programs_of_their_own(loop: str, host: str) -> None:
    with running("udp_flow.py", "server", "--host", host, loop=loop, ends_by=None) as server:
        place = ("--host", server.host, "--port", str(server.port))
        client = run(*command("udp_flow.py", "client", *place, loop=loop)).decode()
    assert steps(client, "client") == CLIENT


@every_loop
def test_any_client_gets_its_answer(loop: str) -> None:
    with (
        running("udp_flow.py", "server", "--host", "127.0.0.1", loop=loop, ends_by=None) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        for request in (b"a datagram", b""):
            client.sendto(request, (server.host, server.port))
            assert client.recv(100) == request.upper()


@every_loop
def test_a_connected_client_is_told_that_nobody_is_there(loop: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        host, port = bound.getsockname()
    place = ("--host", host, "--port", str(port))
    output = run(*command("udp_flow.py", "client", *place, loop=loop), status=1).decode()
    assert f"client: recv <- {host}:{port}: nobody receives there" in output
