"""DatagramSession: the datagrams of one peer, for the handler that serves it.

A datagram for a handler that waits is handed to it at once: the server leaves it in ``_data`` and steps the task, which
takes it from there (system/wakeup.py). Only what comes while the handler does something else is queued, within bounds.
So the usual datagram costs neither a Future nor a turn of the loop.
"""

from __future__ import annotations

import errno
import types
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from aionet.errors import AmplificationError, BusyError, ClosedError, SessionTimeoutError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from aionet.address import Address
    from aionet.datagram.endpoint import DatagramEndpoint
    from aionet.options import SessionOptions
    from aionet.system.types import Buffer
    from aionet.system.wakeup import Wakeup
    from aionet.transport.received import Datagram

__all__ = ["DatagramSession", "SessionQueues"]

# Why there is nothing more to come from a session.
_IDLE: Final = "idle"
_CLOSED: Final = "closed"


class SessionQueues:
    """What waits in the queues of all sessions together, and what was dropped from them."""

    __slots__ = ("bytes_waiting", "dropped_queue", "dropped_unread", "options", "refused_sends", "waiting")

    def __init__(self, options: SessionOptions) -> None:
        self.options = options
        self.waiting = self.bytes_waiting = 0
        self.dropped_queue = self.dropped_unread = self.refused_sends = 0


class DatagramSession:
    """One peer of a datagram server. The server makes it, and closes it when the handler has returned.

    ``async for data in session`` receives until the peer has been silent for ``SessionOptions.idle`` seconds. ``proxy``
    is the PROXY protocol's header that the first datagram came with, or None.
    """

    __slots__ = (
        "_amplification",
        "_answered",
        "_bytes_waiting",
        "_data",
        "_draining",
        "_endpoint",
        "_forget",
        "_heard_at",
        "_key",
        "_local",
        "_over",
        "_peer",
        "_queue",
        "_queues",
        "_receiving",
        "_wakeup",
        "proxy",
        "received_bytes",
        "sent_bytes",
        "validated",
    )

    def __init__(
        self,
        endpoint: DatagramEndpoint,
        first: Datagram,
        queues: SessionQueues,
        draining: asyncio.Event,
        wakeup: Wakeup,
        key: object,
        forget: Callable[[object], None],
    ) -> None:
        self._endpoint = endpoint
        self._peer = first.source
        self._answered = first.peer
        self._local = first.local
        self.proxy = first.proxy
        self._queues = queues
        self._draining = draining
        self._wakeup = wakeup
        self._key = key  # by which the server finds the session
        self._forget = forget
        self._amplification = queues.options.amplification
        self.validated = self._amplification is None
        self._data: bytes | None = None
        self._queue: deque[bytes] | None = None  # most sessions never need one
        self._bytes_waiting = 0
        self._receiving = False
        self._over = ""
        self.received_bytes = self.sent_bytes = 0
        self._heard_at = 0.0  # by the loop's clock

    def __repr__(self) -> str:
        return f"<DatagramSession {self._endpoint.local} <-> {self._who()}{self._over and ' ' + self._over.upper()}>"

    def _who(self) -> str:
        return str(self._peer) if self._peer is self._answered else f"{self._peer} via {self._answered}"

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def recv(self) -> bytes:
        """Receive the data of the peer's next datagram. An empty one is one, too.

        Cancelled: nothing is lost.

        Raises:
            SessionTimeoutError: the peer has been silent for ``SessionOptions.idle`` seconds; the session is over.
            BusyError: another task is receiving.
            ClosedError: you, or the server, closed the session.

        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise self._ended("recv") from None

    def __aiter__(self) -> Self:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[Any, None, bytes]:
        if self._queue:
            return self._dequeue()
        if self._receiving:
            raise BusyError(f"recv on {self._endpoint.local} <- {self._who()}: another task is receiving")
        if not self._over:
            wakeup = self._wakeup
            self._receiving = True
            try:
                wakeup._asyncio_future_blocking = True  # noqa: SLF001 - as in Wakeup  # pyright: ignore[reportPrivateUsage]
                yield wakeup
            finally:
                self._receiving = False
            data = self._data
            if data is not None:
                self._data = None
                return data
        if self._over == _IDLE:
            raise StopAsyncIteration
        raise self._ended("recv")

    def _deliver(self, data: bytes, now: float) -> None:
        """Hand a datagram to the handler now, or queue it. For the server, from a callback of the loop."""
        self._heard_at = now
        self.received_bytes += len(data)
        wakeup = self._wakeup
        if wakeup.callback is not None:
            self._data = data
            wakeup.wake()
            if self._data is None:  # taken: the handler has run  # pyright: ignore[reportUnnecessaryComparison]
                return
            self._data = None
        self._enqueue(data)

    def _enqueue(self, data: bytes) -> None:
        queues = self._queues
        options = queues.options
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        size = len(data)
        if (
            len(queue) >= options.session_queue
            or self._bytes_waiting + size > options.session_queue_bytes
            or queues.bytes_waiting + size > options.queue_bytes
        ):
            queues.dropped_queue += 1
            return
        queue.append(data)
        self._bytes_waiting += size
        queues.waiting += 1
        queues.bytes_waiting += size

    def _dequeue(self) -> bytes:
        queue = self._queue
        assert queue is not None  # noqa: S101 - for the type checkers: whoever calls has looked
        data = queue.popleft()
        if not queue:
            self._queue = None
        self._bytes_waiting -= len(data)
        self._queues.waiting -= 1
        self._queues.bytes_waiting -= len(data)
        return data

    # --- sending ------------------------------------------------------------------------------------------------------

    async def send(self, data: Buffer) -> None:
        """Send one datagram to the peer; wait while the kernel has no room, in the order of the calls.

        It leaves from the address at which the peer's came, if ``DatagramOptions.pktinfo`` tells that. Cancelled while
        it waits: nothing was sent.

        Raises:
            AmplificationError: more than ``SessionOptions.amplification`` times what the peer has sent; validate it.
            DatagramTooLargeError: it is larger than the protocol or the path takes.
            DatagramError: the system refuses.
            SessionTimeoutError: the peer was silent, and the session is over.
            ClosedError: you, or the server, closed the session.

        """
        if self._over:
            raise self._ended("send")
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if not self.validated:
            self._refuse_more_than_allowed(size)
        self.sent_bytes += size  # before it waits: those who send meanwhile have to know
        if self._local is None:
            await self._endpoint.sendto(data, self._answered)
        else:
            await self._endpoint.sendto(data, self._answered, local=self._local)

    def _refuse_more_than_allowed(self, size: int) -> None:
        allowed = self.received_bytes * (self._amplification or 0)
        if self.sent_bytes + size > allowed:
            self._queues.refused_sends += 1
            raise AmplificationError(
                f"send on {self._endpoint.local} -> {self._who()}: {size} bytes after {self.sent_bytes}: at most "
                f"{allowed:g} go to a peer that has sent {self.received_bytes} and is not validated"
            )

    def validate(self) -> None:
        """Say that the peer has proved to be where it says it is: from now on, any amount may be sent to it.

        Proof is whatever it could not know without having received it: a cookie, a token, a random number of ours.
        """
        self.validated = True

    # --- the end ------------------------------------------------------------------------------------------------------

    def _ended(self, operation: str) -> ClosedError | SessionTimeoutError:
        what = f"{self._endpoint.local} <-> {self._who()}"
        if self._over == _IDLE:
            seconds = self._queues.options.idle
            return SessionTimeoutError(errno.ETIMEDOUT, f"{operation} on {what}: nothing came for {seconds:g} s")
        return ClosedError.of(operation, what)

    def abort(self) -> None:
        """Close now; whoever waits gets ClosedError. A later datagram of the peer begins a new session. Idempotent."""
        self._end(_CLOSED)
        if self._queue:
            queues = self._queues
            queues.dropped_unread += len(self._queue)
            queues.waiting -= len(self._queue)
            queues.bytes_waiting -= self._bytes_waiting
            self._queue, self._bytes_waiting = None, 0

    async def aclose(self) -> None:
        """Close. What the handler has not received is dropped, and counted. Idempotent."""
        self.abort()

    def _expire(self, silent_since: float) -> bool:
        """End if the peer has been silent since then; say so. What is queued can still be received. For the server."""
        if self._over or self._heard_at > silent_since:
            return False
        self._end(_IDLE)
        return True

    def _end(self, why: str) -> None:
        if not self._over:
            self._forget(self._key)
        self._over = why
        self._wakeup.wake_soon()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Address:
        """The peer's address: behind a proxy that of the client, where the proxy's header names it."""
        return self._peer

    @property
    def local(self) -> Address:
        """Our address: the one that the peer sent to, if ``DatagramOptions.pktinfo`` tells that."""
        return self._local or self._endpoint.local

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return what asyncio's transports call ``peername``, ``socket`` and ``sockname``, or ``default``.

        ``peername`` is who is answered: behind a proxy, the proxy.
        """
        if name == "peername":
            return self._answered.sockaddr
        return self._endpoint.get_extra_info(name, default)

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server drains: finish what matters, and return."""
        return self._draining

    @property
    def closed(self) -> bool:
        """Whether the session is closed; one whose peer was silent too long is not yet."""
        return self._over == _CLOSED
