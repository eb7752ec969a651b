"""What arrives at an endpoint, handed to the session of each peer.

It stands where a receiving task would: it waits for the transport's ``readable``, which calls it from the loop when
datagrams have come. Then it hands them out one after another, and the handlers that wait run right there. With many
peers a handler is stepped for each datagram, where the one task of a plain endpoint is stepped for each event; in
return there is nothing else: no queue, no Future, no turn of the loop.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from aionet.errors import BusyError, ClosedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aionet.address import InetAddress
    from aionet.datagram.endpoint import DatagramEndpoint
    from aionet.datagram.sessions import DatagramSession
    from aionet.system.types import SockAddr

__all__ = ["Arrivals"]


class Arrivals:
    """The receiver of an endpoint, in place of any task.

    ``begin`` makes the session of a new peer, or returns None. ``closed`` is called when somebody has closed the
    endpoint. A session is found by its peer's sockaddr, and by our own address where the endpoint tells that.
    """

    __slots__ = ("_begin", "_closed", "_context", "_endpoint", "_loop", "_sessions", "_transport", "received")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: DatagramEndpoint,
        begin: Callable[[SockAddr, InetAddress | None], DatagramSession | None],
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
        self._sessions: dict[Any, DatagramSession] = {}
        self.received = 0
        # Of its own: handlers are stepped inside it, and each has a copy of it.
        self._context = copy_context()
        self._loop.call_soon(self._on_arrival, context=self._context)  # what has come already

    def close(self) -> None:
        """Close the endpoint."""
        self._transport.readable.callback = None
        self._endpoint._receiving = False  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        self._transport.close()

    def forget(self, session: DatagramSession) -> None:
        """Let the peer's next datagram begin a new session."""
        del self._sessions[session.key]

    def _on_arrival(self, _: object = None) -> None:
        transport = self._transport
        if transport.is_closing():
            if self._endpoint._receiving:  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
                self._closed()
            return
        transport.error = None  # of an earlier send on a connected endpoint: that peer will be silent
        try:
            if transport.plain:
                self._deliver_plain(transport.queue, self._loop.time())
            else:
                self._deliver_detailed(self._loop.time())
        finally:
            if not transport.is_closing():
                transport.readable.add_done_callback(self._on_arrival, context=self._context)

    def _deliver_plain(self, queue: Any, now: float) -> None:  # noqa: ANN401 - the transport's own
        find = self._sessions.get
        while queue:
            data, sockaddr = queue.popleft()
            self.received += 1
            session = find(sockaddr)
            if session is None:
                session = self._new(sockaddr, None, sockaddr)
                if session is None:
                    continue
            session.deliver(data, now)

    def _deliver_detailed(self, now: float) -> None:
        endpoint, transport = self._endpoint, self._transport
        arrived = list(endpoint._split)  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        endpoint._split.clear()  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        while transport.queue:
            arrived += endpoint._datagrams(endpoint._batch())  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        for data, peer, local, *_ in arrived:
            self.received += 1
            key = peer.sockaddr if local is None else (peer.sockaddr, local)
            session = self._sessions.get(key) or self._new(peer.sockaddr, local, key)
            if session is not None:
                session.deliver(data, now)

    def _new(self, sockaddr: SockAddr, local: InetAddress | None, key: object) -> DatagramSession | None:
        session = self._begin(sockaddr, local)
        if session is not None:
            session.key = key
            self._sessions[key] = session
        return session
