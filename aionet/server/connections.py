"""The connections of a server, or its sessions: each one's task from the first byte to the last, and its failure."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from aionet.errors import BrokenStreamError, ConnectError, LimitError, ProtocolError, ResolveError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aionet.address import Address
    from aionet.server.hooks import Hooks

__all__ = ["Connections"]

logger = logging.getLogger("aionet")

# The network or a peer can cause these, as often as it likes: one line each, without a traceback. What is left is a
# mistake in the handler, such as using a stream that it has closed.
_NOT_OUR_FAULT: Final = (BrokenStreamError, ConnectError, LimitError, ProtocolError, ResolveError)


def _causes(exc: Any) -> list[Exception]:  # noqa: ANN401 - of what a group is, the type checkers lose
    """Return what was raised: an exception, or those that a TaskGroup in the handler has gathered."""
    if isinstance(exc, ExceptionGroup):
        return [cause for each in cast("Any", exc).exceptions for cause in _causes(each)]
    return [exc]


class _Served(Protocol):
    """What a handler is run for: a Stream or a DatagramSession."""

    @property
    def peer(self) -> Address: ...

    @property
    def closed(self) -> bool: ...

    async def aclose(self) -> None: ...

    def abort(self) -> None: ...


_T = TypeVar("_T", bound=_Served)


class Connections(Generic[_T]):
    """Runs a handler for each stream and holds its task: the event loop alone would hold it weakly.

    ``ended`` is called after each connection. ``kind`` is what the log calls one, before its peer. What is of
    ``expected`` ends a handler as well as its return does.
    """

    __slots__ = (
        "_cut_off",
        "_ended",
        "_expected",
        "_handler",
        "_hooks",
        "_kind",
        "_loop",
        "_tasks",
        "aborted",
        "accepted",
        "errors",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[[_T], Awaitable[object]],
        hooks: Hooks,
        ended: Callable[[_T], None],
        *,
        kind: str = "connection from",
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._hooks = hooks
        self._ended = ended
        self._kind = kind
        self._expected = expected
        self._tasks: dict[asyncio.Task[None], _T] = {}
        self._cut_off: set[asyncio.Task[None]] = set()  # aborted, but not yet at their end: counted once
        self.accepted = 0
        self.errors = 0
        self.aborted = 0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def streams(self) -> tuple[_T, ...]:
        """The streams that are open now."""
        return tuple(self._tasks.values())

    def others(self) -> list[asyncio.Task[None]]:
        """Return the tasks that run now, but not the one that asks: it would wait for itself, or cancel itself."""
        asking = asyncio.current_task(self._loop)
        return [task for task in self._tasks if task is not asking]

    def start(self, stream: _T) -> None:
        """Serve a stream that has just been accepted."""
        self.accepted += 1
        if self._hooks.connected is not None:
            self._call_hook(self._hooks.connected, stream)
        task = self._loop.create_task(self._serve(stream))
        self._tasks[task] = stream
        task.add_done_callback(self._done)

    async def _serve(self, stream: _T) -> None:
        try:
            await self._handler(stream)
        except self._expected:
            await stream.aclose()
        except Exception as exc:  # noqa: BLE001 - whatever a handler raises ends its connection, not the server
            self._failed(stream, exc)
        else:
            await stream.aclose()

    def _failed(self, stream: _T, exc: Exception) -> None:
        self.errors += 1
        causes = _causes(exc)
        if all(isinstance(each, _NOT_OUR_FAULT) for each in causes):
            logger.warning("%s %s: %s", self._kind, stream.peer, "; ".join(dict.fromkeys(map(str, causes))))
        else:
            logger.error("%s %s: the handler raised", self._kind, stream.peer, exc_info=exc)
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
        self._ended(stream)

    def abort(self) -> None:
        """Cut off every connection that is left, but for that of the handler that asks."""
        for task in self.others():
            if task not in self._cut_off:
                self._cut_off.add(task)
                self.aborted += 1
            self._tasks[task].abort()
            task.cancel()
