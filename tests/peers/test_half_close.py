"""Half-close both ways with socat and ncat, over TCP and Unix sockets, straight and through the relay.

A reply that can only be computed once the request has ended is a checksum of it.
"""

import hashlib
import socket
from pathlib import Path

import pytest

import aionet
from tests.peers.listening import ncat_sends, socat_answers
from tests.programs import PATIENCE, Program, every_loop, receive_all, run, running
from tests.tools import require_tool

REQUEST = bytes(range(256)) * 8000  # more than the buffers between two processes hold
CHECKSUM = hashlib.sha256(REQUEST).hexdigest().encode() + b"  -\n"

CLIENTS = ("socat", "ncat")
every_transport = pytest.mark.parametrize("transport", ["tcp", "unix"])


def listens_on(transport: str, path: Path) -> list[str]:
    return ["--unix", str(path)] if transport == "unix" else []


def connects_to(server: Program, client: str) -> list[str]:
    unix = "/" in server.address
    if client == "ncat":
        return [require_tool("ncat"), *(["-U", server.address] if unix else [server.host, str(server.port)])]
    return [
        require_tool("socat"), "-t", str(PATIENCE), "-",
        f"UNIX-CONNECT:{server.address}" if unix else f"TCP:{server.address}",
    ]  # fmt: skip


@every_loop
@every_transport
def test_a_client_that_shuts_down_after_sending_reads_the_whole_echo(loop: str, transport: str, tmp_path: Path) -> None:
    with running("echo.py", *listens_on(transport, tmp_path / "echo"), loop=loop) as echo:
        for client in CLIENTS:
            assert run(*connects_to(echo, client), stdin=REQUEST) == REQUEST, client


@every_loop
@every_transport
def test_a_request_that_ends_is_answered_through_the_relay(loop: str, transport: str, tmp_path: Path) -> None:
    unix = tmp_path / "target" if transport == "unix" else None
    with (
        socat_answers("sha256sum", unix) as target,
        running("proxy.py", *listens_on(transport, tmp_path / "proxy"), str(target), loop=loop) as proxy,
    ):
        for client in CLIENTS:
            assert run(*connects_to(proxy, client), stdin=REQUEST) == CHECKSUM, client


@every_loop
@every_transport
def test_a_server_that_ends_first_still_gets_what_is_sent_to_it_through_the_relay(
    loop: str, transport: str, tmp_path: Path
) -> None:
    reply, received = tmp_path / "reply", tmp_path / "received"
    reply.write_bytes(REQUEST)
    unix = tmp_path / "target" if transport == "unix" else None
    with (
        ncat_sends(reply, received, unix) as target,
        running("proxy.py", *listens_on(transport, tmp_path / "proxy"), str(target), loop=loop) as proxy,
        proxy.connect() as client,
    ):
        assert receive_all(client) == REQUEST
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
    assert received.read_bytes() == REQUEST


@every_transport
async def test_a_stream_that_sends_its_end_reads_the_reply(transport: str, tmp_path: Path) -> None:
    with socat_answers("sha256sum", tmp_path / "target" if transport == "unix" else None) as target:
        async with aionet.connect(target) as stream:
            await stream.send(REQUEST)
            await stream.send_eof()
            assert b"".join([data async for data in stream]) == CHECKSUM


@every_transport
async def test_a_stream_whose_peer_has_ended_goes_on_sending(transport: str, tmp_path: Path) -> None:
    reply, received = tmp_path / "reply", tmp_path / "received"
    reply.write_bytes(REQUEST)
    with ncat_sends(reply, received, tmp_path / "target" if transport == "unix" else None) as target:
        async with aionet.connect(target) as stream:
            assert b"".join([data async for data in stream]) == REQUEST
            await stream.send(REQUEST)
    assert received.read_bytes() == REQUEST
