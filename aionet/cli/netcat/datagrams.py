"""Datagrams between a peer and stdin and stdout.

A datagram has no end, and neither has an exchange of them: it is over when stdin has ended and nothing has come for a
while, unless it was asked otherwise.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

from aionet.cli.events import counted
from aionet.cli.netcat.lines import pieces
from aionet.cli.netcat.session import Until
from aionet.errors import ConnectTimeoutError, StreamTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aionet.address import Address
    from aionet.cli.events import Events
    from aionet.cli.netcat.options import Netcat
    from aionet.cli.netcat.session import Ends
    from aionet.datagram.endpoint import DatagramEndpoint

__all__ = ["DatagramExchange"]


class DatagramExchange:
    """One endpoint's exchange: with whom it is connected to, or else with the first that sends it something.

    ``changing``: rather with whoever has sent something last. It is used once.
    """

    def __init__(
        self, endpoint: DatagramEndpoint, ends: Ends, asked: Netcat, events: Events, *, changing: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._ends = ends
        self._asked = asked
        self._events = events
        self._changing = changing
        self._clock = asyncio.get_running_loop().time
        self._began = self._active = self._clock()
        self._peer: Address | None = None
        self._has_peer = asyncio.Event()
        self._writing = False  # stdout is slow, and the peer may not be silent at all
        self._received = self._sent = self._ignored = 0

    async def run(self) -> None:
        """Exchange datagrams until it is over.

        Raises DatagramError where the network says that nobody receives them, StreamTimeoutError after ``--idle``,
        ConnectTimeoutError where nobody sends anything within ``--timeout``, StandardStreamError.
        """
        sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive())
        running: set[asyncio.Task[Any]] = {sending, receiving}
        if self._endpoint.peer is not None:
            self._peer_is(self._endpoint.peer)
        try:
            while (seconds := self._left(stdin_ended=sending.done())) is None or seconds > 0:
                done, running = await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            self._tell_end()

    def _left(self, *, stdin_ended: bool) -> float | None:
        """Return the seconds until it is over, if nothing happens by then; None for ever, 0 or less: it is."""
        quiet = 0 if self._writing else self._clock() - self._active
        where = self._peer or self._endpoint.local
        if self._peer is None and self._asked.timeout is not None:
            waiting = self._asked.timeout - (self._clock() - self._began)
            if waiting <= 0:
                message = f"listen on {where}: no datagram within {self._asked.timeout:g} s"
                raise ConnectTimeoutError(errno.ETIMEDOUT, message)
            return waiting
        ends: list[float] = []
        if stdin_ended and self._ends.until is not Until.PEER:
            ends.append(0 if self._ends.until is Until.STDIN else self._asked.wait - quiet)
        if self._asked.idle is not None:
            ends.append(self._asked.idle - quiet)
            if ends[-1] <= 0:
                raise StreamTimeoutError(errno.ETIMEDOUT, f"{where}: nothing came or left for {self._asked.idle:g} s")
        return min(ends, default=None)

    def _peer_is(self, peer: Address) -> None:
        if peer != self._peer:
            self._peer = peer
            local = str(self._endpoint.local)
            self._events.say("connected", f"connected: {local} <-> {peer}", local=local, peer=str(peer))
            self._has_peer.set()

    async def _send(self) -> None:
        await self._has_peer.wait()  # until then stdin is left alone
        async for data in self._outgoing():
            if self._endpoint.peer is not None:
                await self._endpoint.send(data)
            elif self._peer is not None:
                await self._endpoint.sendto(data, self._peer)
            self._sent += 1
            self._active = self._clock()
        self._active = self._clock()

    async def _outgoing(self) -> AsyncGenerator[bytes]:
        lines = self._ends.lines()
        while data := await self._ends.stdin.read():
            for datagram in lines.feed(data) if lines else pieces(data, self._asked.datagram_size):
                yield datagram
        if lines:
            for datagram in lines.end():
                yield datagram

    async def _receive(self) -> None:
        while True:
            many = await self._endpoint.recv_many()
            taken = [datagram.data for datagram in many if self._is_from_peer(datagram.peer)]
            self._ignored += len(many) - len(taken)
            if taken:
                self._received += len(taken)
                self._writing = True
                await self._ends.stdout.write(b"".join(map(self._on_a_line, taken)))
                self._writing = False
                self._active = self._clock()

    def _is_from_peer(self, sender: Address) -> bool:
        if self._peer is None or self._changing:
            self._peer_is(sender)
        return sender == self._peer

    def _on_a_line(self, data: bytes) -> bytes:
        return data + b"\n" if self._asked.eol and not data.endswith(b"\n") else data

    def _tell_end(self) -> None:
        done = self._endpoint.statistics()
        dropped = done.dropped_queue + done.dropped_kernel
        received = counted(self._received, "datagram")
        told = f"{received} received, {self._sent} sent, {dropped} dropped, {self._ignored} of others"
        self._events.say(
            "disconnected",
            f"disconnected: {self._peer or 'nobody'}, {told} in {self._clock() - self._began:.3f} s",
            always=dropped > 0,  # what is lost is not lost silently
            peer=str(self._peer) if self._peer else None,
            received=self._received,
            sent=self._sent,
            dropped=dropped,
            ignored=self._ignored,
            seconds=round(self._clock() - self._began, 6),
        )
