"""stdin and stdout for tasks, whatever they are."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import socket
from typing import TYPE_CHECKING

import pytest

from aionet.cli.stdio import StandardInput, StandardOutput, StandardStreamError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MUCH = os.urandom(1_000_000)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        try:
            os.close(fd)
        except OSError:
            pass


async def all_of(stdin: StandardInput) -> bytes:
    chunks: list[bytes] = []
    while data := await stdin.read():
        chunks.append(data)
    return b"".join(chunks)


async def test_a_file_is_read_to_its_end_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(MUCH)
    with (tmp_path / "file").open("rb") as file:
        stdin = StandardInput(file.fileno())
        assert await all_of(stdin) == MUCH
        assert await stdin.read() == b""
        stdin.close()


async def test_a_file_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        stdout = StandardOutput(file.fileno())
        await stdout.write(MUCH)
        stdout.close()
    assert (tmp_path / "file").read_bytes() == MUCH


async def test_what_goes_into_a_pipe_comes_out_of_it(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stdin, stdout = StandardInput(reading), StandardOutput(writing)

    async def write() -> None:
        await stdout.write(MUCH)
        os.close(writing)

    received, _ = await asyncio.gather(all_of(stdin), write())
    assert received == MUCH
    stdin.close()
    stdout.close()


async def test_descriptors_that_somebody_made_non_blocking_serve_as_well(pipe: tuple[int, int]) -> None:
    for fd in pipe:
        os.set_blocking(fd, False)
    await test_what_goes_into_a_pipe_comes_out_of_it(pipe)


async def test_the_flags_of_the_descriptor_are_left_alone(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stdin, stdout = StandardInput(reading), StandardOutput(writing)
    await stdout.write(b"data")
    assert await stdin.read() == b"data"
    assert os.get_blocking(reading)
    assert os.get_blocking(writing)
    stdin.close()
    stdout.close()


async def test_a_terminal_is_read_line_by_line() -> None:
    ours, theirs = pty.openpty()
    try:
        stdin = StandardInput(theirs)
        assert stdin.is_terminal
        os.write(ours, b"a line\n")
        assert await stdin.read() == b"a line\n"
        os.write(ours, b"\x04")  # Ctrl-D
        assert await stdin.read() == b""
        stdin.close()
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_socket_serves_both_ways() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stdin, stdout = StandardInput(theirs.fileno()), StandardOutput(theirs.fileno())
        ours.sendall(b"in")
        assert await stdin.read() == b"in"
        await stdout.write(b"out")
        assert ours.recv(10) == b"out"
        stdin.close()
        stdout.close()


async def test_what_comes_after_a_read_was_cancelled_is_for_the_next(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stdin = StandardInput(reading)
    waiting = asyncio.create_task(stdin.read())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    os.write(writing, b"kept")
    assert await stdin.read() == b"kept"
    stdin.close()


async def test_a_pipe_that_nobody_reads_is_an_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    stdout = StandardOutput(writing)
    with pytest.raises(StandardStreamError, match=r"^stdout: Broken pipe$") as caught:
        await stdout.write(b"data")
    assert caught.value.errno == errno.EPIPE
    stdout.close()


async def test_what_cannot_be_read_is_an_error_and_then_the_end(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        stdin = StandardInput(directory)
        with pytest.raises(StandardStreamError, match=r"^stdin: Is a directory$"):
            await stdin.read()
        assert await stdin.read() == b""
        stdin.close()
    finally:
        os.close(directory)
