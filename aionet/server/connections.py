"""The connections of a server: each one's task from the first byte to the last, and what happens when it fails."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aionet.errors import BrokenStreamError, ConnectError, LimitError, ProtocolError, ResolveError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionet.server.hooks import Hooks
    from aionet.stream.stream import Stream

__all__ = ["Connections"]

logger = logging.getLogger("aionet")

# The network or a peer can cause these, as often as it likes: one line each, without a traceback. What is left is a
# mistake in the handler, such as using a stream that it has closed.
_NOT_OUR_FAULT: Final = (BrokenStreamError, ConnectError, LimitError, ProtocolError, ResolveError)


class Connections:
    """Runs a handler for each stream and holds its task: the event loop alone would hold it weakly.

    ``ended`` is called after each connection.
    """

    __slots__ = ("_cut_off", "_ended", "_handler", "_hooks", "_loop", "_tasks", "aborted", "accepted", "errors")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[[Stream], Awaitable[object]],
        hooks: Hooks,
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._hooks = hooks
        self._ended = ended
        self._tasks: dict[asyncio.Task[None], Stream] = {}
        self._cut_off: set[asyncio.Task[None]] = set()  # aborted, but not yet at their end: counted once
        self.accepted = 0
        self.errors = 0
        self.aborted = 0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams that are open now."""
        return tuple(self._tasks.values())

    def others(self) -> list[asyncio.Task[None]]:
        """Return the tasks that run now, but not the one that asks: it would wait for itself, or cancel itself."""
        asking = asyncio.current_task(self._loop)
        return [task for task in self._tasks if task is not asking]

    def start(self, stream: Stream) -> None:
        """Serve a stream that has just been accepted."""
        self.accepted += 1
        if self._hooks.connected is not None:
            self._call_hook(self._hooks.connected, stream)
        task = self._loop.create_task(self._serve(stream))
        self._tasks[task] = stream
        task.add_done_callback(self._done)

    async def _serve(self, stream: Stream) -> None:
        try:
            await self._handler(stream)
        except Exception as exc:  # noqa: BLE001 - whatever a handler raises ends its connection, not the server
            self._failed(stream, exc)
        else:
            await stream.aclose()

    def _failed(self, stream: Stream, exc: Exception) -> None:
        self.errors += 1
        if isinstance(exc, _NOT_OUR_FAULT):
            logger.warning("connection from %s: %s", stream.peer, exc)
        else:
            logger.error("connection from %s: the handler raised", stream.peer, exc_info=exc)
        if self._hooks.handler_failed is not None:
            self._call_hook(self._hooks.handler_failed, stream, exc)

    def _call_hook(self, hook: Callable[..., object], *args: object) -> None:
        try:
            hook(*args)
        except Exception as exc:  # noqa: BLE001 - a hook only watches
            self._loop.call_exception_handler({"message": f"hook {hook!r} raised", "exception": exc})

    def _done(self, task: asyncio.Task[None]) -> None:
        stream = self._tasks.pop(task)
        self._cut_off.discard(task)
        if not stream.closed:
            stream.abort()  # the handler raised, or was cancelled
        if self._hooks.disconnected is not None:
            self._call_hook(self._hooks.disconnected, stream)
        self._ended()

    def abort(self) -> None:
        """Cut off every connection that is left, but for that of the handler that asks."""
        for task in self.others():
            if task not in self._cut_off:
                self._cut_off.add(task)
                self.aborted += 1
            self._tasks[task].abort()
            task.cancel()
