"""openssl's client speaks with TLS in memory: through a relay, inside another TLS connection."""

from __future__ import annotations

import asyncio
import re
import subprocess
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import TYPE_CHECKING

import attrs
import pytest

import aionet
from tests.certificates import CA, CLIENT, NAME, SERVER, write_pem
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


async def echo_inside(stream: aionet.Stream) -> None:
    """Begin TLS inside TLS, then send everything back."""
    await stream.start_tls(attrs.evolve(SERVER, alpn="echo"), server_side=True)
    async for data in stream:
        await stream.send(data)


@asynccontextmanager
async def relaying() -> AsyncGenerator[str]:
    """Run the server, and in front of it a relay that wraps each connection in TLS; yield where that listens."""

    async def relay(stream: aionet.Stream) -> None:
        async with aionet.connect(f"tls://{server.addresses[0]}", tls=CLIENT) as target, asyncio.TaskGroup() as group:
            group.create_task(pump(stream, target))
            group.create_task(pump(target, stream))

    async with (
        aionet.serve("tls://127.0.0.1:0", echo_inside, tls=SERVER) as server,
        aionet.serve("tcp://127.0.0.1:0", relay) as front,
    ):
        yield str(front.addresses[0])


async def pump(source: aionet.Stream, target: aionet.Stream) -> None:
    async for data in source:
        await target.send(data)
    await target.send_eof()


def converse(address: str, ca: str, *options: str, lines: list[tuple[str, str]]) -> list[str]:
    """Have s_client send lines, each when the one before is answered; return all that it says."""
    client = [require_tool("openssl"), "s_client", "-connect", address, "-CAfile", ca, "-verify_return_error"]
    command = [*client, "-servername", NAME, "-verify_hostname", NAME, "-msg", *options]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said: list[str] = []
        for line, answer in lines:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            while not said or said[-1] != answer:
                said.append(next(process.stdout).strip())
        process.stdin.write("Q\n")
        process.stdin.close()
        said += [line.strip() for line in process.stdout]
    return said


@pytest.mark.parametrize("version", ["1_2", "1_3"])
async def test_s_client_is_served_in_memory(version: str, tmp_path: Path) -> None:
    ca = write_pem(tmp_path, "ca.pem", CA)
    async with relaying() as address:
        options = [f"-tls{version}", "-alpn", "other,echo"]
        said = await asyncio.to_thread(converse, address, ca, *options, lines=[("hello", "hello"), ("again", "again")])
    assert "Verify return code: 0 (ok)" in said
    assert "ALPN protocol: echo" in said


@pytest.mark.parametrize("command", ["k", "K"], ids=["its own keys", "both ends' keys"])
async def test_s_client_changes_keys_in_memory(command: str, tmp_path: Path) -> None:
    """KeyUpdate, RFC 8446 4.6.3: K asks us for one of our own, which leaves before what we send next."""
    ca = write_pem(tmp_path, "ca.pem", CA)
    lines = [("one", "one"), (command, "KEYUPDATE"), ("two", "two"), (command, "KEYUPDATE"), ("three", "three")]
    async with relaying() as address:
        said = await asyncio.to_thread(converse, address, ca, "-tls1_3", lines=lines)
    assert [line for line in said if line in {"one", "two", "three"}] == ["one", "two", "three"]
    ours = sum(bool(re.match(r"<<< .*KeyUpdate", line)) for line in said)
    assert ours == (0 if command == "k" else 2)
