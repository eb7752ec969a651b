"""What OpenSSL waits for may be the other direction: a read that has to write first, a write that has to read."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, cast

from tests.contract.pairs import TLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet import Stream
    from aionet.transport.tls import TLSTransport


class WantingRead:
    """A read that wants to write first: what it has taken off the socket by then is announced by nobody again."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read
        self.held: bytes | None = None
        self.wanted = 0

    def __call__(self, size: int) -> bytes:
        if self.held is None:
            self.held = self.read(size)
            self.wanted += 1
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "as the test wants it")
        held, self.held = self.held, None
        return held


class WantingWrite:
    """A write that wants to read first, once."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write
        self.wanted = 0

    def __call__(self, data: bytes) -> int:
        if not self.wanted:
            self.wanted += 1
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "as the test wants it")
        return self.write(data)


def transport_of(stream: Stream) -> TLSTransport:
    return cast("TLSTransport", stream._transport)


async def test_a_read_that_wants_to_write_is_made_again_when_there_is_room() -> None:
    async with TLS()() as (ours, theirs):
        transport = transport_of(ours)
        recv = transport._recv = WantingRead(transport._recv)  # type: ignore[assignment]
        for data in (b"one", b"two"):
            await theirs.send(data)
            assert await ours.recv() == data
        assert recv.wanted == 2
        await ours.send(b"and back")
        assert await theirs.recv() == b"and back"
        assert not transport._crossed  # what is always writable would be an event in each turn


async def test_a_write_that_wants_to_read_is_made_again_and_nothing_is_lost() -> None:
    async with TLS()() as (ours, theirs):
        transport = transport_of(ours)
        send = transport._send = WantingWrite(transport._send)  # type: ignore[assignment]
        await ours.send(b"one")
        assert await theirs.recv() == b"one"
        assert send.wanted == 1
        await theirs.send(b"back")
        assert await ours.recv() == b"back"
        assert not transport._crossed


async def test_both_at_once_do_not_stop_each_other() -> None:
    async with TLS()() as (ours, theirs):
        transport = transport_of(ours)
        transport._recv = WantingRead(transport._recv)  # type: ignore[assignment]
        transport._send = WantingWrite(transport._send)  # type: ignore[assignment]
        await theirs.send(b"there")
        await ours.send(b"here")
        assert await ours.recv() == b"there"
        assert await theirs.recv() == b"here"
