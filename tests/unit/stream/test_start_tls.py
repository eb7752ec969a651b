"""start_tls: a stream that began in the clear goes on through TLS, and nothing that came in the clear goes with it."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from aionet.system.secure_socket import RECORD_SIZE
from aionet.system.tls_socket import TLSSocket
from tests.certificates import CLIENT, NAME, SERVER
from tests.contract.pairs import TCPv4, secure
from tests.hellos import client_hello
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def pair() -> AsyncGenerator[tuple[aionet.Stream, aionet.Stream]]:
    async with TCPv4()() as (ours, theirs):
        yield ours, theirs


async def test_what_is_sent_before_is_plain_and_what_is_sent_after_is_not() -> None:
    async with pair() as (ours, theirs):
        await ours.send(b"STARTTLS\r\n")
        assert await theirs.recv_line() == b"STARTTLS\r\n"
        async with running(theirs.start_tls(SERVER, server_side=True, reply=b"go ahead\r\n")) as serving:
            assert await ours.recv_line() == b"go ahead\r\n"
            await ours.start_tls(CLIENT, server_hostname=NAME)
            await serving
        assert ours.tls is not None
        assert theirs.tls is not None
        assert theirs.tls.sni == NAME
        await ours.send(b"secret")
        assert await theirs.recv() == b"secret"
        assert theirs.statistics().bytes_received == len(b"STARTTLS\r\nsecret")


async def test_plain_bytes_that_wait_are_refused_and_the_stream_is_aborted() -> None:
    async with pair() as (ours, theirs):
        await ours.send(b"STARTTLS\r\nDELE 1\r\n")
        assert await theirs.recv_line() == b"STARTTLS\r\n"
        with pytest.raises(aionet.TLSError, match="8 bytes that came in the clear wait"):
            await theirs.start_tls(SERVER, server_side=True)
        with pytest.raises(aionet.StreamResetError):
            await ours.recv()
        with pytest.raises(aionet.ClosedStreamError):
            await theirs.recv()


async def test_plain_bytes_still_in_the_kernel_are_no_handshake() -> None:
    async with pair() as (ours, theirs):
        async with running(theirs.start_tls(SERVER, server_side=True, reply=b"go ahead\r\n")) as serving:
            assert await ours.recv_line() == b"go ahead\r\n"
            await ours.send(b"DELE 1\r\n")
            with pytest.raises(aionet.TLSHandshakeError, match="start_tls on"):
                await serving
        with pytest.raises(aionet.TLSHandshakeError):
            await theirs.send(b"x")


@pytest.mark.parametrize("said", [b"plain", b""], ids=["plain bytes", "nothing"])
async def test_plain_bytes_of_a_client_that_is_gone_are_never_read(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """CVE-2023-40217: bytes that came before the handshake, read as if they had come through it."""
    reads: list[bytes] = []

    async def handler(stream: aionet.Stream) -> None:
        reads.append(await stream.recv())

    async with aionet.serve("tls://127.0.0.1:0", handler, tls=SERVER) as server:
        for _ in range(20):
            with socket.socket() as client:  # gone before it is accepted
                client.connect(server.addresses[0].sockaddr)
                client.sendall(said)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: server.statistics().handshake_failures == 20)
    assert not reads
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_connection_that_is_known_to_be_gone_gets_no_tls() -> None:
    """Where its reset has been told already, the ssl module sees a socket without a connection, and makes no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
            accepted.setblocking(False)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with pytest.raises(ConnectionResetError, match="gone before the handshake"):
                TLSSocket(accepted, context, server_side=True, server_hostname=None, session=None)


@pytest.mark.parametrize("reply", [b"", b"go ahead\r\n"])
async def test_a_peer_that_is_gone_before_the_handshake_is_no_mistake_of_the_handlers(
    reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(stream: aionet.Stream) -> None:
        await stream.recv_line()
        broken = (aionet.BrokenStreamError, aionet.TLSHandshakeError)
        with pytest.raises(broken, match=r"start_tls on 127\.0\.0\.1:") as caught:
            await stream.start_tls(SERVER, server_side=True, reply=reply)
        with pytest.raises(broken, match="recv on"):
            await stream.recv()
        with pytest.raises(broken, match="send on"):
            await stream.send(b"x")
        errors.append(caught.value)
        raise caught.value

    errors: list[BaseException] = []
    async with aionet.serve("tcp://127.0.0.1:0", handler) as server:
        for _ in range(20):
            with socket.socket() as client:
                client.connect(server.addresses[0].sockaddr)
                client.sendall(b"STARTTLS\r\n")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: server.statistics().accepted == 20 and not server.connections)
    assert errors
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_name_that_cannot_be_one_ends_the_stream() -> None:
    async with pair() as (ours, theirs):
        with pytest.raises(aionet.TLSHandshakeError, match=r"start_tls on .*idna"):
            await ours.start_tls(CLIENT, server_hostname=".bad")
        with pytest.raises(aionet.TLSHandshakeError, match=r"recv on .*idna"):
            await ours.recv()
        assert await theirs.recv() == b""


async def test_a_receiver_and_a_second_start_are_refused_meanwhile() -> None:
    async with pair() as (ours, theirs):
        async with running(theirs.recv()) as receiving:
            await turns()
            with pytest.raises(aionet.BusyError, match="start_tls"):
                await theirs.start_tls(SERVER, server_side=True)
            await ours.send(b"x")
            await receiving
        async with running(theirs.start_tls(SERVER, server_side=True)) as serving:
            await turns()
            with pytest.raises(aionet.BusyError):
                await theirs.recv()
            with pytest.raises(aionet.BusyError):
                await theirs.start_tls(SERVER, server_side=True)
            await ours.start_tls(CLIENT, server_hostname=NAME)
            await serving


async def test_what_is_sent_during_the_handshake_goes_through_tls() -> None:
    async with (
        pair() as (ours, theirs),
        running(theirs.start_tls(SERVER, server_side=True)) as serving,
        running(ours.start_tls(CLIENT, server_hostname=NAME)) as securing,
    ):
        await turns(1)
        await ours.send(b"early")
        await ours.send_eof()
        await serving
        await securing
        assert await theirs.recv_exactly(5) == b"early"
        assert await theirs.recv() == b""


@pytest.mark.parametrize("how", ["abort", "aclose", "cancel", "peer"])
async def test_an_end_during_the_handshake_ends_it(how: str) -> None:
    async with pair() as (ours, theirs), running(ours.start_tls(CLIENT, server_hostname=NAME)) as securing:
        await turns()
        if how == "abort":
            ours.abort()
        elif how == "aclose":
            await ours.aclose()
        elif how == "cancel":
            securing.cancel()
        else:
            theirs.abort()
        await asyncio.wait([securing])
        if how == "cancel":
            assert securing.cancelled()
        else:
            assert isinstance(securing.exception(), aionet.TLSError if how == "peer" else aionet.ClosedStreamError)
        with pytest.raises(OSError, match=r"start_tls|recv"):
            await ours.recv()


async def test_a_handshake_that_takes_too_long_ends_the_stream() -> None:
    timeouts = aionet.Timeouts(tls_handshake=0.02)
    async with TCPv4()(timeouts=timeouts) as (ours, _):
        with pytest.raises(aionet.TLSHandshakeTimeoutError, match=r"no TLS handshake within 0\.02 s"):
            await ours.start_tls(CLIENT, server_hostname=NAME)


async def test_the_name_of_the_server_has_to_be_said() -> None:
    async with pair() as (ours, _):
        with pytest.raises(aionet.OptionError, match="expected server_hostname"):
            await ours.start_tls(CLIENT)


async def test_deadlines_go_on_through_tls() -> None:
    async with TCPv4()(timeouts=aionet.Timeouts(idle=0.05)) as (ours, theirs):
        await secure(ours, theirs)
        with pytest.raises(aionet.StreamTimeoutError, match="idle"):
            await ours.recv()


async def test_a_server_hands_on_what_it_has_received_of_the_handshake() -> None:
    async with pair() as (ours, theirs):
        async with running(ours.start_tls(CLIENT, server_hostname=NAME)) as connecting:
            await theirs.start_tls(SERVER, server_side=True, received=await theirs.recv())
            await connecting
        await ours.send(b"secret")
        assert await theirs.recv() == b"secret"
        assert theirs.tls is not None
        assert theirs.tls.sni == NAME


async def test_what_is_handed_on_is_read_as_tls_and_never_as_plaintext() -> None:
    async with pair() as (ours, theirs):
        await ours.send(b"DELE 1\r\n")
        with pytest.raises(aionet.TLSHandshakeError, match="start_tls on"):
            await theirs.start_tls(SERVER, server_side=True, received=await theirs.recv())
        with pytest.raises(aionet.TLSHandshakeError):
            await theirs.recv()


async def test_what_is_handed_on_may_be_as_long_as_a_handshake_can_begin() -> None:
    client = attrs.evolve(CLIENT, alpn=[f"{number:0255}" for number in range(255)])
    async with pair() as (ours, theirs), running(ours.start_tls(client, server_hostname=NAME)) as connecting:
        message = 4 + int.from_bytes((await theirs.peek(9))[6:9], "big")
        received = await theirs.recv_exactly(message + 5 * -(-message // RECORD_SIZE))
        assert len(received) > 65536
        await theirs.start_tls(SERVER, server_side=True, received=received)
        await connecting
        await ours.send(b"secret")
        assert await theirs.recv() == b"secret"


async def test_more_than_a_handshake_can_be_is_none() -> None:
    async with pair() as (_, theirs):
        with pytest.raises(aionet.TLSHandshakeError, match="wrong version number"):
            await theirs.start_tls(SERVER, server_side=True, received=b"\x00" * 1_000_000)


async def test_a_handshake_inside_tls_may_have_come_in_the_record_of_the_command() -> None:
    async with pair() as (ours, theirs):
        await secure(ours, theirs)
        await ours.send(b"STARTTLS\r\n" + client_hello(NAME))

        async def answered() -> bytes:
            flight = await ours.recv()
            await ours.send_eof()
            return flight

        async with running(answered()) as answer:
            assert await theirs.recv_into(bytearray(10)) == 10
            with pytest.raises(aionet.TLSHandshakeError, match="the peer closed the connection"):
                await theirs.start_tls(SERVER, server_side=True)
            assert (await answer)[:1] == b"\x16"  # a record of a handshake


async def test_a_client_has_received_nothing_of_a_handshake_that_it_begins() -> None:
    async with pair() as (ours, _):
        with pytest.raises(ValueError, match="received=b'x': expected server_side=True"):
            await ours.start_tls(CLIENT, server_hostname=NAME, received=b"x")
