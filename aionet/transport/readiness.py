"""What every transport asks of the poller: to be told of what its two halves want to know, and of nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aionet.system.poller import READABLE, WRITABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from aionet.system.poller import Poller

__all__ = ["Readiness"]


class Readiness:
    """A transport's place with the poller. The slots are those of the classes that have it as a base."""

    __slots__ = ()

    _context: Context | None
    _fd: int
    _poller: Poller
    _reading: bool  # watched for readability
    _writing: bool  # watched for writability

    def _watch(self) -> None:
        """Ask to be told of what the halves want to know."""
        if self._reading:
            events = READABLE | WRITABLE if self._writing else READABLE
            callback: Callable[[int], None] = self._on_ready if self._writing else self._on_readable
        elif self._writing:
            events, callback = WRITABLE, self._on_writable
        else:
            self._poller.forget(self._fd)
            return
        if self._context is not None:
            callback = partial(self._context.run, callback)  # type: ignore[call-arg]  # the events come with the call
        self._poller.watch(self._fd, events, callback)

    def _on_ready(self, events: int) -> None:
        if events & ~WRITABLE:  # an error or a hang-up, too, is there to be read
            self._on_readable(events)
        if self._writing and events & ~READABLE:
            self._on_writable(events)

    def _on_readable(self, events: int) -> None:
        raise NotImplementedError

    def _on_writable(self, events: int) -> None:
        raise NotImplementedError
