"""The life of a server, of streams or of datagrams: serving -> draining -> closed.

Draining loses nothing that it need not: what waits to be accepted is accepted, then nothing more is, the handlers are
told (``draining``) and have until the deadline.
"""

from __future__ import annotations

import asyncio
import signal
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import attrs

from aionet.server.connections import Connections, logger
from aionet.server.signals import handled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = ["DrainResult", "ServerBase", "ServerState"]

# A handler that was cancelled needs some turns of the loop; one that ignores it is not waited for.
_CANCEL_TIMEOUT: Final = 1.0  # seconds


class ServerState(Enum):
    """Where a server stands."""

    SERVING = auto()
    DRAINING = auto()
    CLOSED = auto()


@attrs.frozen
class DrainResult:
    """What became of the connections that were open when draining began: how many finished, how many were cut off."""

    finished: int
    aborted: int


_T = TypeVar("_T", bound=Any)


class ServerBase(Generic[_T]):
    """Holds the connections, or sessions, of a server from its start to its end."""

    def __init__(self, connections: Connections[_T], drain_timeout: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._drain_timeout = drain_timeout
        self._draining = asyncio.Event()
        self._closed = asyncio.Event()
        self._state = ServerState.SERVING

    @property
    def state(self) -> ServerState:
        """Serving, draining or closed."""
        return self._state

    async def serve_forever(self, signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        """Return when the server is closed.

        The first of ``signals`` drains, for as long as the server's own timeout says; a second one aborts. Cancelled:
        the server goes on, for whoever cancelled to close it.
        """
        drains: list[asyncio.Task[DrainResult]] = []

        def on_signal() -> None:
            if drains:
                self._abort()
            else:
                drains.append(self._loop.create_task(self.drain()))

        with handled(signals, on_signal):
            await self._closed.wait()

    async def drain(self, deadline: float | None = None) -> DrainResult:
        """Stop accepting, tell the handlers, wait ``deadline`` seconds (default: the server's own), abort what is left.

        Returns how many of the connections finished and how many were aborted. Cancelled: what is left is aborted. From
        inside a handler its own connection is left out: it ends when the handler returns, and the server with it.
        """
        if self._state is ServerState.SERVING:
            self._accept_waiting()
        self._stop()
        timeout = self._drain_timeout if deadline is None else deadline
        until = None if timeout is None else self._loop.time() + timeout
        others, before = set(self._connections.others()), self._connections.aborted
        try:
            await self._accepted_all(timeout)
            others.update(self._connections.others())
            if others:
                await asyncio.wait(others, timeout=None if until is None else max(0, until - self._loop.time()))
        finally:
            self._abort()
        await self._others_ended()
        aborted = self._connections.aborted - before
        return DrainResult(finished=len(others) - aborted, aborted=aborted)

    async def aclose(self) -> None:
        """Stop accepting and abort every connection; ``drain`` is the gentle way. Idempotent.

        Cancelled: it is closed all the same. From inside a handler its own connection is left out, as in ``drain``.
        """
        self._stop()
        self._abort()
        await self._others_ended()

    def _accept_waiting(self) -> None:
        """Accept what waits, before nothing more is."""

    async def _accepted_all(self, deadline: float | None) -> None:
        """Wait for those that are accepted and no connections yet."""

    def _is_empty(self) -> bool:
        return not self._connections

    def _abort(self) -> None:
        self._connections.abort()

    def _stop_listening(self) -> None:
        """Accept nothing more."""
        raise NotImplementedError

    def _stop(self) -> None:
        self._stop_listening()
        if self._state is ServerState.SERVING:
            self._state = ServerState.DRAINING
            self._draining.set()
            self._close_if_empty()

    def _close_if_empty(self) -> None:
        # Not where drain and aclose end: they may be cancelled, and whoever waits for the server is to be told.
        if self._is_empty():
            self._closed_now()

    def _closed_now(self) -> None:
        self._state = ServerState.CLOSED
        self._closed.set()

    async def _others_ended(self) -> None:
        others = self._connections.others()
        if not others:
            return
        _, running = await asyncio.wait(others, timeout=_CANCEL_TIMEOUT)
        for task in running:
            logger.error("a handler goes on although it was cancelled: %r", task)
        if running:
            self._closed_now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
