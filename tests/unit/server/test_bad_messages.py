"""What a peer's bytes make a framed stream raise, and a handler lets out: a line each, and no traceback."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import (
    COBS,
    Chunked,
    Delimited,
    FrameError,
    Framer,
    FrameTooLargeError,
    IncompleteReadError,
    LengthPrefixed,
    Lines,
    MessageError,
    Netstrings,
    VarintPrefixed,
)
from tests.certificates import CLIENT, NAME, SERVER
from tests.turns import until

if TYPE_CHECKING:
    from collections.abc import Callable

JSON_LINES: Framer[Any] = Lines().map(json.loads)

# The framer, what the peer sends it, and what the framer raises for it.
BAD: dict[str, tuple[Framer[Any], bytes, type[Exception]]] = {
    "no netstring": (Netstrings(), b"GET / HTTP/1.1\r\n\r\n", FrameError),
    "no comma": (Netstrings(), b"3:abc;", FrameError),
    "no chunk": (Chunked(), b"hello\r\n", FrameError),
    "no trailer": (Chunked(), b"0\r\nno field\r\n\r\n", FrameError),
    "a varint without end": (VarintPrefixed(), b"\xff" * 11, FrameError),
    "a length before itself": (LengthPrefixed(2, adjustment=-2), b"\x00\x01", FrameError),
    "no JSON": (JSON_LINES, b"nonsense\n", MessageError),
    "no UTF-8": (JSON_LINES, b'"\xff\xfe"\n', MessageError),
    "JSON that nests too deep": (JSON_LINES, b"[" * 50_000 + b"\n", MessageError),
    "a short COBS block": (COBS(), b"\x05ab\0", MessageError),
    "lines on several lines": (Lines().map(int), b"1\r2\n", MessageError),
    "a line too long": (Lines(max_bytes=100), bytes(1000), FrameTooLargeError),
    "a length too large": (LengthPrefixed(8), (2**63).to_bytes(8), FrameTooLargeError),
    "a netstring too large": (Netstrings(max_bytes=100), b"1000:", FrameTooLargeError),
    "a chunk too large": (Chunked(), b"ffffffff\r\n", FrameTooLargeError),
    "half a line": (Lines(), b"half", IncompleteReadError),
    "half a length": (LengthPrefixed(), b"\x00\x00", IncompleteReadError),
    "half a message": (LengthPrefixed(), b"\x00\x00\x00\x05ab", IncompleteReadError),
    "half a delimiter": (Delimited(b"--"), b"text-", IncompleteReadError),
    "half a chunk": (Chunked(), b"5\r\nhel", IncompleteReadError),
}


async def receive_one(stream: aionet.Stream, framer: Framer[Any]) -> None:
    await stream.framed(framer).recv()


async def receive_all(stream: aionet.Stream, framer: Framer[Any]) -> None:
    async for _ in stream.framed(framer):
        pass


@pytest.mark.parametrize("tls", [None, SERVER], ids=["plain", "TLS"])
@pytest.mark.parametrize("receive", [receive_one, receive_all])
@pytest.mark.parametrize(("framer", "said", "expected"), BAD.values(), ids=BAD)
async def test_a_bad_message_is_one_line_without_a_traceback(
    framer: Framer[Any],
    said: bytes,
    expected: type[Exception],
    receive: Callable[[aionet.Stream, Framer[Any]], Any],
    tls: aionet.TLSConfig | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed: list[Exception] = []
    hooks = aionet.Hooks(handler_failed=lambda _stream, error: failed.append(error))

    async def handler(stream: aionet.Stream) -> None:
        await receive(stream, framer)

    async with aionet.serve("tcp://127.0.0.1:0", handler, tls=tls, hooks=hooks) as server:
        secure: dict[str, Any] = {} if tls is None else {"tls": CLIENT, "server_hostname": NAME}
        stream = await aionet.connect(server.addresses[0], **secure)
        await stream.send(said)
        await stream.send_eof()
        await until(lambda: server.statistics().handler_errors)
        ours = stream.local
        stream.abort()
        await until(lambda: not server.connections)
    assert [type(error) for error in failed] == [expected]
    (record,) = caplog.records
    assert (record.levelno, record.exc_info, record.exc_text, record.stack_info) == (logging.WARNING, None, None, None)
    line = record.getMessage()
    assert line.startswith(f"connection from {ours}: recv on {server.addresses[0]} <- {ours}: ")
    assert "\n" not in line
    assert "\r" not in line
    assert line.isprintable()
    assert len(line) < 500


async def test_a_bad_message_that_a_task_of_the_handler_meets_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that receives in a TaskGroup lets out a group, of nothing but what the peer has caused."""

    async def handler(stream: aionet.Stream) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(receive_all(stream, Netstrings()))
            group.create_task(stream.draining.wait())

    async with aionet.serve("tcp://127.0.0.1:0", handler) as server:
        stream = await aionet.connect(server.addresses[0])
        await stream.send(b"nonsense")
        await until(lambda: server.statistics().handler_errors)
        stream.abort()
        await until(lambda: not server.connections)
    assert [record.exc_info for record in caplog.records] == [None]
    assert "no netstring" in caplog.text
