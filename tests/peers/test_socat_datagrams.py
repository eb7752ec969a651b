"""socat as the other end: UDP over IPv4 and IPv6, Unix datagram sockets; each side once the one that begins."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import InetAddress
from tests.ports import free_port
from tests.programs import PATIENCE
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aionet import DatagramEndpoint

each_host = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


@asynccontextmanager
async def socat(*words: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run socat until the block ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        require_tool("socat"), *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), PATIENCE)


async def answered(endpoint: DatagramEndpoint, question: bytes) -> bytes:
    """Ask until there is an answer: socat may not have bound its socket yet."""
    while True:
        try:
            await endpoint.send(question)
            async with asyncio.timeout(0.1):
                return await endpoint.recv()
        except (TimeoutError, aionet.DatagramRefusedError):
            await asyncio.sleep(0.01)


@each_host
async def test_socat_asks_and_we_answer(host: str) -> None:
    async with aionet.bind_datagram(f"udp://{host}:0") as endpoint:
        address = f"UDP{'6' if ':' in host else '4'}:{endpoint.local}"
        async with socat("-", address) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for question in (b"one", b"two", b"x" * 1400):
                process.stdin.write(question)
                datagram = await endpoint.recvfrom()
                assert datagram.data == question
                await endpoint.sendto(question.upper(), datagram.peer)
                assert await process.stdout.readexactly(len(question)) == question.upper()


@each_host
async def test_we_ask_and_socat_answers(host: str) -> None:
    address = InetAddress(host.strip("[]"), free_port())
    listen = f"UDP{'6' if ':' in host else '4'}-RECVFROM:{address.port},bind={host},fork"
    async with socat(listen, "EXEC:tr a-z A-Z"), aionet.connect_datagram(address) as endpoint:
        assert await answered(endpoint, b"question") == b"QUESTION"
        assert await answered(endpoint, b"again") in {b"AGAIN", b"QUESTION"}  # the first may have been asked twice


async def test_socat_asks_over_a_unix_socket(tmp_path: Path) -> None:
    async with aionet.bind_datagram(f"unix:{tmp_path / 'ours'}") as endpoint:
        theirs = tmp_path / "theirs"
        async with socat("-", f"UNIX-SENDTO:{tmp_path / 'ours'},bind={theirs}") as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"question")
            datagram = await endpoint.recvfrom()
            assert (datagram.data, datagram.peer) == (b"question", aionet.UnixAddress(theirs))
            await endpoint.sendto(b"answer", datagram.peer)
            assert await process.stdout.readexactly(6) == b"answer"


async def test_socat_receives_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "theirs"
    async with socat("-u", f"UNIX-RECV:{path}", "-") as process:
        assert process.stdout is not None
        while not path.exists():  # noqa: ASYNC110 - socat tells nobody
            await asyncio.sleep(0.01)
        async with aionet.connect_datagram(f"unix:{path}") as endpoint:
            await endpoint.send_many([b"one ", b"two ", b"three"])
            assert await process.stdout.readexactly(13) == b"one two three"
