"""ssl_handshake_timeout: a peer that is silent, or stops in the middle, is given up."""

from __future__ import annotations

import asyncio

import pytest

import aionet
from tests.certificates import CLIENT, NAME, SERVER
from tests.faults.peers import listening_socket, receive, receive_to_end
from tests.unit.transport.test_tls_protocols import Recorder

SHORT = 0.02
NO_HANDSHAKE = r"no TLS handshake within 0\.02 s"
# The beginning of a record, and no more.
HALF = b"\x16\x03\x03\x01\x00"
every_peer = pytest.mark.parametrize("said", [b"", HALF], ids=["silence", "half a record"])


def never_made() -> Recorder:
    raise AssertionError


@every_peer
async def test_create_connection_gives_up(said: bytes) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket("tcp") as listening:

        async def answer() -> bytes:
            peer, _ = await loop.sock_accept(listening)
            with peer:
                assert (await receive(peer, 3))[:2] == b"\x16\x03"  # a ClientHello
                await loop.sock_sendall(peer, said)
                return await receive_to_end(peer)

        answering = asyncio.create_task(answer())
        with pytest.raises(aionet.TLSHandshakeTimeoutError, match=NO_HANDSHAKE) as caught:
            await aionet.create_connection(
                never_made, *listening.getsockname(), ssl=CLIENT, server_hostname=NAME, ssl_handshake_timeout=SHORT
            )
        assert isinstance(caught.value, TimeoutError)
        await asyncio.wait([answering])  # to its end, or to a reset: the connection is closed


@every_peer
@pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])
async def test_start_tls_gives_up_and_tells_the_protocol(said: bytes, *, server_side: bool) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket("tcp") as listening:
        transport, protocol = await aionet.create_connection(Recorder, *listening.getsockname())
        peer, _ = await loop.sock_accept(listening)
        with peer:
            transport.pause_reading()  # or what is said could come as plain bytes
            await loop.sock_sendall(peer, said)
            upgrading = aionet.start_tls(
                transport,
                protocol,
                SERVER if server_side else CLIENT,
                server_side=server_side,
                server_hostname=None if server_side else NAME,
                ssl_handshake_timeout=SHORT,
            )
            with pytest.raises(aionet.TLSHandshakeTimeoutError, match=NO_HANDSHAKE):
                await upgrading
            assert isinstance(await protocol.lost, aionet.TLSHandshakeTimeoutError)
            assert protocol.heard == ["made", "lost"]
            assert protocol.data == b""
