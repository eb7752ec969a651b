"""A waiter that a readiness callback resumes at once, in place of a Future for each wait.

Why: an ``await`` on a Future costs the Future, a handle in the loop's ready queue and one more turn of the loop before
the task runs. A task, though, waits on any object that behaves as a Future towards it (``_asyncio_future_blocking``,
``get_loop``, ``add_done_callback(fn, context=)``, ``result``, ``cancel``): that is the contract by which asyncio tells
foreign futures from mistakes, in C and in Python, and it has not changed since 3.7. A Wakeup offers just that, is
reused for every wait, and calls the stored ``fn`` inside its context as soon as the event is there.

What has to hold, and how it does:

* ``fn`` steps the task, so it must not be called while another task runs. ``wake`` is for callbacks that the loop calls
  itself; everybody else calls ``wake_soon``, which goes through ``call_soon``.
* A task that was cancelled is on its way already: ``cancel`` takes the callback out, and a wake that comes in the same
  turn finds nobody. What it announced stays where it was; nothing is lost.
* The exception of a cancel belongs to one wait. It is handed over and forgotten.
* One task waits at a time. Whoever owns the Wakeup sees to that, and raises BusyError to the second one.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

__all__ = ["DONE", "WaitQueue", "Wakeup"]


class Wakeup:
    """An awaitable event for one task, reusable as soon as that task has been resumed.

    While a task waits, ``callback`` steps it, in ``context``; else it is None.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_exception",
        "_loop",
        "callback",
        "context",
        "get_loop",
        "result",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.callback: Callable[[Wakeup], object] | None = None
        self.context: Context | None = None
        self._exception: BaseException | None = None
        self._asyncio_future_blocking = False
        # The task calls these for every wait. Calling a weak reference is the cheapest call there is: no frame, no
        # arguments to parse, and one object for all the Wakeups of a loop. What result returns, the task ignores.
        self.get_loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self.result: Callable[[], object] = self.get_loop

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        # All that await needs is an iterator that gives this once. A tuple's runs without a frame of Python, and is
        # made anew, since one that were kept would keep the Wakeup itself alive.
        return iter((self,))  # type: ignore[return-value]

    @property
    def waiting(self) -> bool:
        """Whether a task waits and nothing has resumed it yet."""
        return self.callback is not None

    def wake(self) -> None:
        """Resume the waiting task now. Only from a callback of the loop: no task may be running."""
        callback = self.callback
        if callback is not None:
            self.callback = None
            self.context.run(callback, self)  # type: ignore[union-attr]

    def wake_soon(self) -> None:
        """Resume the waiting task in the loop's next turn."""
        callback = self.callback
        if callback is not None:
            self.callback = None
            self._loop.call_soon(callback, self, context=self.context)

    # What a task asks of a future.

    def add_done_callback(self, fn: Callable[[Wakeup], object], *, context: Context) -> None:
        """Remember how the task is stepped. The task calls this once for each wait."""
        self.callback = fn
        self.context = context

    def _raise(self) -> None:
        """Be the ``result`` of the one wait that a cancel has ended."""
        exception, self._exception = self._exception, None
        self.result = self.get_loop
        try:
            if exception is not None:
                raise exception
        finally:
            del exception  # its traceback holds this frame

    def cancel(self, msg: object = None) -> bool:
        """End the wait with CancelledError; say whether there was one."""
        if self.callback is None:
            return False
        self._exception = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self.result = self._raise
        self.wake_soon()
        return True


class WaitQueue:
    """Tasks that wait for one event, resumed in the order in which they came."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Wakeup, None] = {}  # in the order of coming

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, *, in_front: bool = False) -> None:
        """Wait for the event. Cancelling leaves the queue as if the task had never come."""
        wakeup = Wakeup(self._loop)
        if in_front:  # seldom: see Readiness.wait
            self._waiting = {wakeup: None, **self._waiting}
        else:
            self._waiting[wakeup] = None
        try:
            await wakeup
        finally:
            # Whoever resumed it has taken it out; a cancel has not.
            self._waiting.pop(wakeup, None)

    def wake_first(self) -> bool:
        """Resume the first waiter now; say whether there was one. Only from a callback of the loop."""
        while self._waiting:
            wakeup = next(iter(self._waiting))
            del self._waiting[wakeup]
            if wakeup.waiting:  # one that was cancelled in this turn has left in all but name
                wakeup.wake()
                return True
        return False

    def wake_all(self) -> None:
        """Resume all who wait now, not those who come meanwhile. Only from a callback of the loop."""
        waiting, self._waiting = self._waiting, {}
        for wakeup in waiting:
            wakeup.wake()

    def wake_all_soon(self) -> None:
        """Resume all who wait now in the loop's next turn."""
        waiting, self._waiting = self._waiting, {}
        for wakeup in waiting:
            wakeup.wake_soon()


class _Done(Coroutine[Any, Any, None]):
    """A coroutine that has nothing left to do, and may be awaited as often as one likes.

    What completes at once may return it: to make a coroutine and to run it to its end costs as much as two system calls
    do in their user half. ``await`` finds an iterator at its end, without a frame of Python.
    """

    __slots__ = ()

    __await__ = staticmethod(partial(iter, ()))  # pyright: ignore[reportAssignmentType]

    def send(self, value: object) -> None:
        raise StopIteration

    def throw(self, *exc: Any) -> None:  # noqa: ANN401 - Coroutine's signature
        raise exc[0]

    def close(self) -> None:
        return


DONE: Final = _Done()
