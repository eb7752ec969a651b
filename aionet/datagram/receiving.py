"""The receiving half of a datagram endpoint.

The usual case, a datagram that is there and about which nothing was asked but data and peer, is written out where it is
needed: an echo receives as often as it sends, and every call counts.
"""

from __future__ import annotations

import asyncio
import socket
import types
from collections import deque
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Self

from aionet.address import InetAddress
from aionet.datagram.base import EndpointBase
from aionet.datagram.datagram import Datagram, DatagramBatch
from aionet.errors import BusyError, ClosedError
from aionet.options import LARGEST_DATAGRAM
from aionet.system.ancillary import Control, parse, segment_size
from aionet.wire.segments import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from aionet.options import DatagramOptions
    from aionet.transport.datagram_queue import DatagramQueue

__all__ = ["ReceivingEndpoint"]

# A tuple made straight from a tuple, past the constructor, which is a function of Python.
_make: Final[Callable[[Any], Datagram]] = partial(tuple.__new__, Datagram)
# Datagrams that are there already, one after another: after so many the loop comes round.
_UNBROKEN: Final = 512
_MANY: Final = 1024
_NOTHING: Final = Control(None, None, None)


class ReceivingEndpoint(EndpointBase):
    """Receives datagrams: one, many, or a run of them as it came."""

    __slots__ = (
        "_delivered",
        "_gro_batches",
        "_may_use_gro",
        "_port",
        "_receiving",
        "_split",
        "_tells",
        "_truncated",
        "_unbroken",
    )

    def __init__(self, transport: DatagramQueue, options: DatagramOptions) -> None:
        super().__init__(transport, options)
        self._receiving = False
        self._delivered = self._truncated = self._gro_batches = 0
        self._split: deque[Datagram] = deque()  # the rest of a run, of which some were received
        self._unbroken = 0
        self._port = self._local.port if isinstance(self._local, InetAddress) else 0
        self._tells = options.pktinfo or options.receive_ecn or options.timestamps
        self._may_use_gro = options.gro is None and options.max_datagram_size >= LARGEST_DATAGRAM

    async def recvfrom(self) -> Datagram:
        """Receive the next datagram. An empty one is one, too.

        Cancelled: nothing is lost.

        Raises:
            DatagramRefusedError: connected, and the peer's machine said that nobody receives there; told once.
            DatagramError: the system's own error; the endpoint stays open.
            BusyError: another task is receiving.
            ClosedError: you closed the endpoint.

        Source: recvfrom(2), udp(7).

        """
        transport = self._transport
        if transport.queue and transport.plain:
            data, sockaddr = transport.queue.popleft()
            self._delivered += 1
            return _make((data, self._addresses[sockaddr], None, None, None, False))
        return await self._next("recvfrom")

    async def recv(self) -> bytes:
        """Receive the data of the next datagram, for those who need no more: on a connected endpoint there is one peer.

        Otherwise as recvfrom.
        """
        return (await self._next("recv")).data

    def __aiter__(self) -> Self:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[Any, None, Datagram]:
        transport = self._transport
        if transport.queue and transport.plain:
            data, sockaddr = transport.queue.popleft()
            self._delivered += 1
            return _make((data, self._addresses[sockaddr], None, None, None, False))
        return (yield from self._next("recvfrom").__await__())

    async def recv_many(self, max_count: int = _MANY) -> list[Datagram]:
        """Receive what has arrived: at least one datagram, at most ``max_count`` (default 1024).

        From its first call on, the kernel is asked for runs of datagrams (UDP_GRO), unless ``DatagramOptions.gro`` says
        otherwise. Cancelled, and raises: as recvfrom; and ValueError for ``max_count`` below 1.
        """
        if max_count < 1:
            message = f"recv_many: max_count={max_count!r}: expected at least 1"
            raise ValueError(message)
        if self._may_use_gro:
            self._use_gro()
        await self._arrival("recv_many")
        queue, split = self._transport.queue, self._split
        many = list(split)
        split.clear()
        while queue and len(many) < max_count:
            many += self._datagrams(self._batch())
        if len(many) > max_count:
            split.extend(many[max_count:])
            del many[max_count:]
        self._delivered += len(many)
        return many

    async def recv_batch(self) -> DatagramBatch:
        """Receive datagrams of one peer as the kernel hands them over: in one piece, with the size of each.

        A datagram that came alone is a batch of one. Otherwise as recv_many.
        """
        if self._may_use_gro:
            self._use_gro()
        await self._arrival("recv_batch")
        if self._split:
            data, *details = self._split.popleft()
            self._delivered += 1
            return DatagramBatch(data, len(data), *details)
        batch = self._batch()
        self._delivered += batch.datagrams
        return batch

    def _use_gro(self) -> None:
        self._may_use_gro = False
        self._transport.use_gro()

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def _next(self, operation: str) -> Datagram:
        await self._arrival(operation)
        split = self._split
        if not split:
            split.extend(self._datagrams(self._batch()))
        self._delivered += 1
        return split.popleft()

    async def _arrival(self, operation: str) -> None:
        """Return when there is a datagram to take."""
        transport = self._transport
        if self._receiving:
            if transport.is_closing():  # the receiver that waited has not run yet
                raise ClosedError.of(operation, str(self._local))
            raise BusyError(f"{operation} on {self._local} <-: another task is receiving")
        self._unbroken += 1
        if self._unbroken < _UNBROKEN and (transport.queue or self._split):
            return
        self._unbroken = 0
        while True:
            there = transport.queue or self._split
            if not there:
                self._raise_if_over(operation)
            self._receiving = True
            try:
                await (asyncio.sleep(0) if there else transport.readable)
            finally:
                self._receiving = False
            if transport.queue or self._split:
                return

    # --- what came ----------------------------------------------------------------------------------------------------

    def _batch(self) -> DatagramBatch:
        """Take what one system call returned, and make sense of it."""
        transport = self._transport
        received = transport.take()
        data, peer = received[0], self._addresses[received[-1]]
        if not transport.detailed:
            return DatagramBatch(data, len(data), peer)
        _, messages, flags, _ = received
        size = segment_size(messages) if transport.gro else 0
        self._gro_batches += 0 < size < len(data)
        truncated = bool(flags & socket.MSG_TRUNC)
        self._truncated += truncated
        details = parse(messages, self._port) if self._tells else _NOTHING
        return DatagramBatch(data, size or len(data), peer, *details, truncated)

    @staticmethod
    def _datagrams(batch: DatagramBatch) -> list[Datagram]:
        data, size, *details = batch
        if size >= len(data):
            return [_make((data, *details))]
        # What takes the time of receiving in bulk: all of it runs in C.
        return list(map(_make, zip(cut(data, size), *map(repeat, details), strict=False)))
