"""StreamTransport: a connected stream socket, driven by the loop's readiness callbacks.

Its two halves are reading.py and writing.py; here is how it closes. The peer must be able to read all that was sent.
The kernel answers bytes that arrive at a closed socket with a reset, and a reset destroys what the kernel has not yet
sent and what the peer has not yet read. So ``close`` flushes, sends our end (shutdown), and reads on, throwing away
what comes, until the peer has ended too; at most ``close_timeout``, then it aborts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from aionet.transport.writing import WritingTransport
from aionet.wire.lifecycle import CLOSING_STATES, Event, State, advance

if TYPE_CHECKING:
    import asyncio
    import socket
    from contextvars import Context

    from aionet.options import Limits
    from aionet.system.types import SockAddr
    from aionet.tls import TLSInfo

__all__ = ["Keeper", "StreamTransport"]

_CLOSE_TIMEOUT: Final = 5.0  # seconds


class Keeper(Protocol):
    """Who has to know of a transport: a server."""

    def transport_ended(self, transport: asyncio.Transport) -> None:
        """The connection is over."""

    def transport_replaced(self, former: asyncio.Transport, latter: asyncio.Transport) -> None:
        """The connection goes on in another transport."""


class StreamTransport(WritingTransport):
    """asyncio's Transport over a connected, non-blocking stream socket, on any event loop.

    The loop calls the protocol in ``context``; None, for a protocol that has no use for one, saves the switch.
    ``limits`` gives the write queue's high and low water in bytes (64 and 16 KiB), ``close_timeout`` how many seconds a
    close may wait for the peer before it becomes an abort (5; None: for ever). Call ``start`` to begin.
    """

    __slots__ = ("_close_handle", "_close_timeout")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        *,
        peer: SockAddr | None = None,
        context: Context | None = None,
        limits: Limits | None = None,
        close_timeout: float | None = _CLOSE_TIMEOUT,
    ) -> None:
        super().__init__(loop, sock, protocol, peer, context, limits)
        self._close_timeout = close_timeout
        self._close_handle: asyncio.TimerHandle | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose callbacks it is driven by."""
        return self._loop

    @property
    def keeper(self) -> Keeper | None:
        """Who has to know of it."""
        return None

    @property
    def context(self) -> Context | None:
        """What the protocol is called in."""
        return self._context

    @property
    def tls(self) -> TLSInfo | None:
        """What the two ends have agreed on, None without TLS."""
        return None

    def close(self) -> None:
        """Flush, send our end, read until the peer's, then call connection_lost(None). At most ``close_timeout``."""
        if self._state in CLOSING_STATES:
            return
        following = advance(self._state, Event.CLOSE)
        if following is State.CLOSED or self._error is not None:
            self._lost(self._error)
            return
        self._state = following
        self._discard_rest()
        self._finish_sending()
        if self._close_timeout is not None and self.state is not State.CLOSED:
            self._close_handle = self._loop.call_later(self._close_timeout, self.abort)

    def detach(self) -> socket.socket:
        """Give the descriptor away, to whoever begins TLS on it; nothing more is called. The queue must be empty."""
        _ = self.local_sockaddr, self.peer_sockaddr  # as in _lost
        self._state = State.CLOSED
        self._release()
        return self._sock

    def detached_in_vain(self, exc: OSError) -> None:
        """Tell the protocol that the descriptor was given away and has been closed, and why."""
        self._error = exc
        self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def _release(self) -> None:
        super()._release()
        if self._close_handle is not None:
            self._close_handle.cancel()
            self._close_handle = None
