"""openssl s_server, whom an aionet client asks: a server of TLS 1.2 may want a new handshake in the middle."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager, contextmanager
from subprocess import PIPE
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.certificates import CA, CLIENT, NAME, SERVER, write_pem
from tests.tools import require_tool
from tests.turns import running, turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path


@attrs.frozen
class Peer:
    """A server that sends the lines it is told to, and prints those that come."""

    process: subprocess.Popen[str]
    address: str

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self, line: str) -> None:
        assert self.process.stdout is not None
        while line not in next(self.process.stdout):
            pass


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with s_server(tmp_path) as found:
        yield found


@contextmanager
def s_server(folder: Path) -> Iterator[Peer]:
    assert isinstance(SERVER.certificate, bytes)
    pem = write_pem(folder, "server.pem", SERVER.certificate)
    command = [require_tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", pem, "-key", pem, "-tls1_2"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = next(line for line in process.stdout if line.startswith("ACCEPT")).strip().rpartition(":")[2]
            yield Peer(process, f"127.0.0.1:{port}")
        finally:
            process.kill()


@asynccontextmanager
async def connected(
    peer: Peer, tls: aionet.TLSConfig | ssl.SSLContext, *, inside: bool
) -> AsyncGenerator[aionet.Stream]:
    """Connect to the server; ``inside``: by a relay, in another TLS connection, so that this one is in memory."""
    if not inside:
        async with aionet.connect(f"tls://{peer.address}", tls=tls, server_hostname=NAME) as stream:
            yield stream
        return

    async def relay(stream: aionet.Stream) -> None:
        async with aionet.connect(f"tcp://{peer.address}") as target, asyncio.TaskGroup() as group:
            group.create_task(pump(stream, target))
            group.create_task(pump(target, stream))

    async with (
        aionet.serve("tls://127.0.0.1:0", relay, tls=SERVER) as front,
        aionet.connect(f"tls://{front.addresses[0]}", tls=CLIENT, server_hostname=NAME) as stream,
    ):
        await stream.start_tls(tls, server_hostname=NAME)
        yield stream


async def pump(source: aionet.Stream, target: aionet.Stream) -> None:
    async for data in source:
        await target.send(data)
    await target.send_eof()


engines = pytest.mark.parametrize("inside", [False, True], ids=["on the descriptor", "in memory"])


@engines
async def test_a_new_handshake_in_the_middle_loses_nothing(peer: Peer, *, inside: bool) -> None:
    """A context of the user's own allows it: reads then want to write, and writes to read."""
    context = ssl.create_default_context(cadata=CA.decode())
    async with connected(peer, context, inside=inside) as stream:
        for number in range(3):
            peer.tell(f"before {number}")
            assert await stream.recv_line() == b"before %d\n" % number
            async with running(stream.recv_line()) as receiving:
                peer.tell("R")
                await asyncio.to_thread(peer.hear, "SSL_do_handshake -> 1")  # it forgets what comes in one read with R
                await turns()
                peer.tell(f"after {number}")
                assert await receiving == b"after %d\n" % number
        stream.abort()


@engines
async def test_a_new_handshake_is_refused_in_clear_words(peer: Peer, *, inside: bool) -> None:
    """TLSConfig allows none: it has nothing to offer, and the server could have us compute with it."""
    async with connected(peer, CLIENT, inside=inside) as stream:
        peer.tell("before")
        assert await stream.recv_line() == b"before\n"
        peer.tell("R")
        with pytest.raises(aionet.TLSError, match=r"recv_line on .*: .*handshake failure"):
            await stream.recv_line()
