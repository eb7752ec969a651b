"""What arrives at an endpoint, handed to the session of each peer.

It stands where a receiving task would: it waits for the transport's ``readable``, which calls it from the loop when
datagrams have come. Then it hands them out one after another, and the handlers that wait run right there. With many
peers a handler is stepped for each datagram, where the one task of a plain endpoint is stepped for each event; in
return there is nothing else: no queue, no Future, no turn of the loop.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

from aionet.errors import BusyError, ClosedError

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable

    from aionet.datagram.endpoint import DatagramEndpoint
    from aionet.datagram.sessions import DatagramSession
    from aionet.transport.received import Datagram

__all__ = ["Arrivals"]


class Arrivals:
    """The receiver of an endpoint, in place of any task.

    ``begin`` makes the session of a new peer, or returns None. ``closed`` is called when somebody has closed the
    endpoint. A session is found by its peer's sockaddr, by our own address where the endpoint tells that, and by the
    client's that a proxy names: one socket of a proxy may stand for many clients, and each of its sockets wants the
    answers to what came from it.
    """

    __slots__ = ("_begin", "_closed", "_context", "_endpoint", "_loop", "_sessions", "_transport", "received")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: DatagramEndpoint,
        begin: Callable[[Datagram, object], DatagramSession | None],
        closed: Callable[[], None],
    ) -> None:
        if endpoint.closed:
            raise ClosedError.of("serve_datagram", str(endpoint.local))
        if endpoint._receiving:  # noqa: SLF001 - this is the endpoint's own receiver  # pyright: ignore[reportPrivateUsage]
            raise BusyError(f"serve_datagram on {endpoint.local}: another task is receiving")
        endpoint._receiving = True  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        self._endpoint = endpoint
        self._transport = endpoint._transport  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        self._loop = loop
        self._begin = begin
        self._closed = closed
        self._sessions: dict[object, DatagramSession] = {}
        self.received = 0
        # Of its own: handlers are stepped inside it, and each has a copy of it.
        self._context = copy_context()
        self._loop.call_soon(self._on_arrival, context=self._context)  # what has come already

    def close(self) -> None:
        """Close the endpoint."""
        self._transport.readable.callback = None
        self._endpoint._receiving = False  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        self._transport.close()

    def forget(self, key: object) -> None:
        """Let the next datagram with this key begin a new session."""
        del self._sessions[key]

    def _on_arrival(self, _: object = None) -> None:
        transport = self._transport
        if transport.is_closing():
            if self._endpoint._receiving:  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
                self._closed()
            return
        transport.error = None  # of an earlier send on a connected endpoint: that peer will be silent
        try:
            while transport.batches:  # of one who received them before
                transport.queue.extend(transport.batches.popleft().split())
            self._deliver(transport.queue, self._loop.time())
        finally:
            if not transport.is_closing():
                transport.readable.add_done_callback(self._on_arrival, context=self._context)

    def _deliver(self, queue: deque[Datagram], now: float) -> None:
        sessions = self._sessions
        while queue:
            datagram = queue.popleft()
            peer, local = datagram.peer, datagram.local
            self.received += 1
            # The sockaddr, since a tuple is hashed without a step of Python.
            key: object = peer.sockaddr if local is None else (peer.sockaddr, local)
            if datagram.proxy is not None:
                key = (key, datagram.source)
            session = sessions.get(key)
            if session is None:
                session = self._begin(datagram, key)
                if session is None:
                    continue
                sessions[key] = session
            session._deliver(datagram.data, now)  # noqa: SLF001 - not for handlers  # pyright: ignore[reportPrivateUsage]
