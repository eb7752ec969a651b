"""What comes to a TLS port and is no TLS, or never becomes it: one line each, a count, and no traceback."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from tests.certificates import CLIENT, SERVER
from tests.turns import running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

# A record that announces a ClientHello of 512 bytes, and not all of that.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)


async def echo(stream: aionet.Stream) -> None:
    """Send back whatever comes."""
    async for data in stream:
        await stream.send(data)


@asynccontextmanager
async def serving(seconds: float | None = None) -> AsyncGenerator[aionet.Server]:
    timeouts = aionet.Timeouts(tls_handshake=seconds)
    async with aionet.serve("tls://127.0.0.1:0", echo, tls=SERVER, timeouts=timeouts) as server:
        yield server


async def plain_client(server: aionet.Server, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, server.addresses[0].sockaddr)
    return client


async def receive_all(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 1000):
        pass


async def silent(stream: aionet.Stream) -> None:
    """Say nothing until the server closes."""
    await stream.draining.wait()


async def still_serves(server: aionet.Server) -> None:
    async with aionet.connect(f"tls://{server.addresses[0]}", tls=CLIENT) as stream:
        await stream.send(b"word")
        assert await stream.recv_exactly(4) == b"word"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http request"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "wrong version number"),
        (bytes(1000), "wrong version number"),
        (b"\x16\x03\x01\xff\xff" + bytes(100), "length|record"),
        (b"", "the peer closed the connection"),
        (HALF_A_HELLO, "the peer closed the connection"),
    ],
)
async def test_what_is_no_handshake_is_one_line_and_a_count(
    said: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server:
        with ExitStack() as stack:
            client = await plain_client(server, stack)
            await asyncio.get_running_loop().sock_sendall(client, said)
            client.shutdown(socket.SHUT_WR)
            await receive_all(client)  # perhaps an alert, then the end; no reset
            await until(lambda: server.statistics().handshake_failures == 1)
            await still_serves(server)
        statistics = server.statistics()
        assert (statistics.accepted, statistics.handler_errors, statistics.handshaking) == (1, 0, 0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage().startswith("connection from 127.0.0.1:")
    assert any(each in record.getMessage() for each in reason.split("|"))


@pytest.mark.parametrize("said", [b"", HALF_A_HELLO], ids=["silence", "half a hello"])
async def test_who_never_ends_the_handshake_is_cut_off(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(0.05) as server:
        with ExitStack() as stack:
            client = await plain_client(server, stack)
            await asyncio.get_running_loop().sock_sendall(client, said)
            await until(lambda: server.statistics().handshake_failures == 1)
    assert [record.exc_info for record in caplog.records] == [None]
    assert "no TLS handshake within 0.05 s" in caplog.text


@contextmanager
def descriptors(count: int) -> Generator[None]:
    """Allow as many descriptors in the body, or skip the test where the system does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"at most {hard} descriptors are allowed, and {count} needed")
    if soft == resource.RLIM_INFINITY or soft >= count:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_good_client_is_served_while_a_thousand_are_silent() -> None:
    with descriptors(3000):  # each has two here, and a server takes no more than 80 % of them
        async with serving() as server:
            with ExitStack() as stack:
                for _ in range(1000):
                    await plain_client(server, stack)
                await until(lambda: server.statistics().handshaking == 1000)
                await still_serves(server)
            await until(lambda: server.statistics().handshake_failures == 1000)


async def test_silent_clients_count_as_connections() -> None:
    limits = aionet.Limits(max_connections=2)
    async with aionet.serve("tls://127.0.0.1:0", echo, tls=SERVER, limits=limits) as server:
        with ExitStack() as stack:
            first, _second = [await plain_client(server, stack) for _ in range(2)]
            await until(lambda: server.statistics().handshaking == 2)
            async with running(still_serves(server)) as waiting:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not waiting.done()
                assert server.statistics().handshaking == 2
                first.close()
                await waiting


async def test_tls_to_a_plain_port_says_so() -> None:
    async def answer(stream: aionet.Stream) -> None:
        await stream.recv()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with aionet.serve("tcp://127.0.0.1:0", answer) as server:
        with pytest.raises(aionet.TLSHandshakeError, match="wrong version number"):
            await aionet.connect(f"tls://{server.addresses[0]}", tls=CLIENT)


async def test_a_silent_server_is_given_up() -> None:
    async with aionet.serve("tcp://127.0.0.1:0", silent) as server:
        with pytest.raises(
            aionet.TLSHandshakeTimeoutError, match=r"connect to tls://.*: no TLS handshake within 0\.05 s"
        ):
            await aionet.connect(
                f"tls://{server.addresses[0]}", tls=CLIENT, timeouts=aionet.Timeouts(tls_handshake=0.05)
            )


async def test_a_connect_that_is_cancelled_in_its_handshake_leaves_nothing() -> None:
    async with aionet.serve("tcp://127.0.0.1:0", silent) as server, running(_connect(server)):
        await until(lambda: server.connections)


async def _connect(server: aionet.Server) -> None:
    await aionet.connect(f"tls://{server.addresses[0]}", tls=CLIENT)
