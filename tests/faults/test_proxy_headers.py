"""Headers that are absent, bad, cut off or late, and those who may not send one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from aionet import InetAddress
from tests.faults.peers import every_kind, receive, reset
from tests.turns import turns, until
from tests.unit.server.proxied import (
    SHORT,
    V1,
    V2,
    both_versions,
    is_reset,
    refusals,
    serving,
)


async def test_whoever_is_not_trusted_is_refused_by_its_real_address(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(trusted=["192.0.2.0/24"]) as scene, scene.client() as client:
        await is_reset(client)
        local, peer = scene.server.addresses[0], InetAddress(*client.getsockname())
        assert refusals(caplog) == [
            f"connection refused: PROXY header on {local} <- {peer}: the peer is no trusted proxy"
        ]
        assert (scene.statistics.refused_proxies, scene.statistics.refused_headers) == (1, 0)
        assert (scene.statistics.accepted, scene.streams) == (0, [])


async def test_a_unix_socket_is_trusted_only_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with serving("unix", trusted=["0.0.0.0/0"]) as scene, scene.client() as client:
        await is_reset(client)
        assert scene.statistics.refused_proxies == 1
    assert "no trusted proxy" in refusals(caplog)[0]


@every_kind
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "not a PROXY header: it begins with b'GET / HTTP/1"),
        (b"\x16\x03\x01\x02\x00", "not a PROXY header"),
        (V1[:-2] + b"\r\r\n", "bad PROXY header"),
        (b"PROXY UNKNOWN " + b"x" * 100, "no CRLF within 107 bytes"),
        (V2[:-1] + b"\xff", "bad checksum"),
        (V2[:14] + b"\xff\xff", "a PROXY header of 65551 bytes: at most 4096 are allowed"),
        (V2[:14] + b"\x00\x0f" + V2[16:28] + b"\x04\xff\xff", "reaches beyond the PROXY header"),
        (V2[:14] + b"\x00\x0b" + V2[16:27], "its addresses alone need 28"),
    ],
    ids=["absent", "TLS", "no CRLF", "long line", "checksum", "long", "TLV", "short"],
)
async def test_a_bad_header_is_refused_in_one_line(
    data: bytes, reason: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(kind) as scene, scene.client() as client:
        client.send(data)
        await is_reset(client)
        assert (scene.statistics.refused_headers, scene.statistics.accepted) == (1, 0)
        (line,) = refusals(caplog)
        assert reason in line
        if kind == "tcp":
            assert f"{scene.server.addresses[0]} <- {InetAddress(*client.getsockname())}" in line


@pytest.mark.parametrize(("mode", "header"), [("v1", V2), ("v2", V1)])
async def test_the_other_version_is_refused(mode: str, header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(mode=mode) as scene, scene.client() as client:
        client.send(header)
        await is_reset(client)
    assert f"not a PROXY header of version {mode[1]}" in refusals(caplog)[0]


@both_versions
async def test_a_header_cut_off_at_any_byte_is_refused(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene:
        for cut in range(len(header)):
            async with scene.client() as client:
                client.send(header[:cut])
                client.shutdown(socket.SHUT_WR)
                await is_reset(client)
        assert (scene.statistics.refused_headers, scene.statistics.accepted) == (len(header), 0)
    assert all("the peer ended after" in line for line in refusals(caplog))


async def test_a_proxy_that_resets_is_refused_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as scene, scene.client() as client:
        client.send(V2[:5])
        await turns()
        reset(client)
        await scene.refused()
    assert "Connection reset by peer" in refusals(caplog)[0]


@pytest.mark.parametrize("begin", [b"", V1[:7], V2[:20]])
async def test_a_header_that_does_not_come_in_time_is_refused(begin: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(timeout=SHORT) as scene, scene.client() as client:
        if begin:
            client.send(begin)
        await is_reset(client)
        assert scene.statistics.refused_headers == 1
    assert f"no whole header within {SHORT:g} s" in refusals(caplog)[0]


async def test_drips_do_not_move_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(timeout=SHORT) as scene, scene.client() as client:
        client.send(b"PROXY UNKNOWN ")
        while not scene.statistics.refused_headers:
            try:
                client.send(b"x")
            except OSError:
                break
            await asyncio.sleep(SHORT / 10)
        await scene.refused()
    assert f"within {SHORT:g} s" in refusals(caplog)[0]


async def test_half_a_header_does_not_keep_the_loop_busy() -> None:
    async with serving() as scene, scene.client() as client:
        arrivals = scene.server._arrivals
        assert arrivals is not None
        client.send(V2[:20])
        await until(lambda: len(arrivals))
        await turns()
        (arrival,) = arrivals._waiting.values()
        assert bytes(arrival.received) == V2[:20]
        # All that came has been taken: the socket is not readable, and the loop sleeps.
        with pytest.raises(BlockingIOError):
            arrival.sock.recv(1, socket.MSG_PEEK)
        client.send(V2[20:] + b"x")
        assert await receive(client, 1) == b"x"
