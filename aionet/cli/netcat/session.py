"""A connection between a peer and stdin and stdout: each half ends on its own."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from aionet.cli.events import counted
from aionet.cli.netcat.lines import LineEndings, LineSplitter
from aionet.cli.tls import shown
from aionet.errors import BrokenStreamError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from aionet.cli.events import Events
    from aionet.cli.stdio import StandardInput, StandardOutput
    from aionet.stream.stream import Stream

__all__ = ["Ends", "Until", "exchange"]


class Until(StrEnum):
    """Whose end is the end of a connection."""

    BOTH = "both"
    PEER = "peer"
    STDIN = "stdin"


@attrs.frozen
class Ends:
    """Our ends of a connection, and when it is over. ``ending`` is what lines end with when they leave.

    None leaves what leaves as it is.
    """

    stdin: StandardInput
    stdout: StandardOutput
    until: Until
    ending: bytes | None = None

    async def outgoing(self) -> AsyncGenerator[bytes]:
        """Give what stdin brings, as it is to leave, until it ends."""
        endings = None if self.ending is None else LineEndings(self.ending)
        while data := await self.stdin.read():
            if piece := endings.feed(data) if endings else data:
                yield piece
        if endings and (rest := endings.end()):
            yield rest

    def lines(self) -> LineSplitter | None:
        """Return what splits stdin into lines, None where it is no text."""
        return None if self.ending is None else LineSplitter(self.ending)


async def exchange(stream: Stream, ends: Ends, events: Events) -> None:
    """Send stdin to the peer and write what it sends to stdout, until both have ended or the one that counts has.

    Then the stream is closed gracefully. Where our side breaks off, the peer gets a reset instead: a clean end would
    tell it that it has seen everything.

    Raises BrokenStreamError and its like where the network broke it, StandardStreamError where stdin or stdout did.
    """
    try:
        with _told(stream, events):
            await _both_halves(stream, ends)
            await stream.aclose()
    finally:
        stream.abort()


@contextmanager
def _told(stream: Stream, events: Events) -> Generator[None]:
    """Say who is connected, and at the end of the block what passed."""
    began = time.monotonic()
    local, peer = str(stream.local), str(stream.peer)
    agreed, facts = shown(stream.tls) if stream.tls else ("", None)
    events.say("connected", f"connected: {local} <-> {peer}{agreed}", local=local, peer=peer, tls=facts)
    try:
        yield
    finally:
        done = stream.statistics()
        seconds = time.monotonic() - began
        received = counted(done.bytes_received, "byte")
        events.say(
            "disconnected",
            f"disconnected: {peer}, {received} received, {done.bytes_sent} sent in {seconds:.3f} s",
            peer=peer,
            received=done.bytes_received,
            sent=done.bytes_sent,
            seconds=round(seconds, 6),
        )


async def _both_halves(stream: Stream, ends: Ends) -> None:
    sending = asyncio.create_task(_send(stream, ends))
    receiving = asyncio.create_task(_receive(stream, ends))
    running: set[asyncio.Task[Any]] = {sending, receiving}
    does_not_count: dict[Until, asyncio.Task[Any]] = {Until.PEER: sending, Until.STDIN: receiving}
    awaited = running - {does_not_count.get(ends.until)}
    try:
        while awaited & running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what it raised, and the other half ends, too
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if sending.done() and not sending.cancelled() and (broken := sending.result()):
        raise broken


async def _send(stream: Stream, ends: Ends) -> BrokenStreamError | None:
    """Send what stdin brings, and then our end.

    A connection that breaks is returned, not raised: the peer's last words are still to be received.
    """
    try:
        async for data in ends.outgoing():
            await stream.send(data)
        await stream.send_eof()
    except BrokenStreamError as error:
        return error
    return None


async def _receive(stream: Stream, ends: Ends) -> None:
    async for data in stream:
        await ends.stdout.write(data)
