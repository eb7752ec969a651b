"""The receiving half of a datagram endpoint.

A receiver that need not wait does not. It cannot keep others from running for long: only the loop fills the queue,
which is bounded, and an empty one waits for the loop.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Final, Self

from aionet.datagram.base import EndpointBase
from aionet.errors import BusyError, ClosedError
from aionet.options import LARGEST_DATAGRAM
from aionet.transport.received import DatagramBatch

if TYPE_CHECKING:
    from collections.abc import Generator

    from aionet.options import DatagramOptions
    from aionet.transport.datagram_queue import DatagramQueue
    from aionet.transport.received import Datagram

__all__ = ["ReceivingEndpoint"]

_MANY: Final = 1024


class ReceivingEndpoint(EndpointBase):
    """Receives datagrams: one, many, or a batch of them as it came."""

    __slots__ = ("_may_use_gro", "_queue", "_receiving")

    def __init__(self, transport: DatagramQueue, options: DatagramOptions) -> None:
        super().__init__(transport, options)
        self._queue = transport.queue
        self._receiving = False
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
        if self._queue:
            return self._queue.popleft()
        return await self._next("recvfrom")

    async def recv(self) -> bytes:
        """Receive the data of the next datagram, for those who need no more: a connected endpoint has one peer.

        Otherwise as recvfrom.
        """
        return (await self._next("recv")).data

    def __aiter__(self) -> Self:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[Any, None, Datagram]:
        # As recvfrom. A generator is a step less for each datagram than a coroutine that it would await.
        if self._queue:
            return self._queue.popleft()
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
        queue, batches = self._queue, self._transport.batches
        while batches and len(queue) < max_count:
            queue.extend(batches.popleft().split())
        if len(queue) <= max_count:
            many = list(queue)
            queue.clear()
            return many
        return [queue.popleft() for _ in range(max_count)]

    async def recv_batch(self) -> DatagramBatch:
        """Receive datagrams of one peer as the kernel hands them over: in one piece, with the size of each.

        A datagram that came alone is a batch of one. From its first call on, what arrives is kept in batches; the other
        functions split them. Otherwise as recv_many.
        """
        if self._may_use_gro:
            self._use_gro()
        self._transport.keep_batches()
        await self._arrival("recv_batch")
        if not self._queue:
            return self._transport.batches.popleft()
        first = self._queue.popleft()
        details = (first.local, first.ecn, first.timestamp, first.truncated, first.proxy)
        return DatagramBatch(first.data, len(first.data), first.peer, *details)

    def _use_gro(self) -> None:
        self._may_use_gro = False
        self._transport.use_gro()

    async def _next(self, operation: str) -> Datagram:
        await self._arrival(operation)
        if not self._queue:
            self._queue.extend(self._transport.batches.popleft().split())
        return self._queue.popleft()

    async def _arrival(self, operation: str) -> None:
        """Return when there is a datagram to take."""
        transport = self._transport
        if self._receiving:
            if transport.is_closing():  # the receiver that waited has not run yet
                raise ClosedError.of(operation, str(self._local))
            raise BusyError(f"{operation} on {self._local} <-: another task is receiving")
        while not self._queue and not transport.batches:
            self._raise_if_over(operation)
            self._receiving = True
            try:
                await transport.readable
            finally:
                self._receiving = False
