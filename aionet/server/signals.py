"""Ctrl-C and SIGTERM for servers: the first drains, the second aborts.

An event loop has one callback for each signal, and a process may run several servers: each of them is told.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["handled"]


@attrs.define
class _Handled:
    """A signal that is handled: by whom, and what handled it before."""

    former: Any
    callbacks: list[Callable[[], None]]

    def call(self) -> None:
        for callback in tuple(self.callbacks):
            callback()


# One for the process, as signals are: Python delivers them to the main thread, which runs one loop at a time.
_signals: Final[dict[signal.Signals, _Handled]] = {}


@contextmanager
def handled(signals: Iterable[signal.Signals], callback: Callable[[], None]) -> Generator[None]:
    """Call ``callback`` for each of the signals; put the former handlers back when the last block has ended.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                stack.enter_context(_one_handled(number, callback))
        yield


@contextmanager
def _one_handled(number: signal.Signals, callback: Callable[[], None]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    if number not in _signals:
        _signals[number] = _Handled(signal.getsignal(number), [])
        loop.add_signal_handler(number, _signals[number].call)
    ours = _signals[number]
    ours.callbacks.append(callback)
    try:
        yield
    finally:
        ours.callbacks.remove(callback)
        if not ours.callbacks:
            del _signals[number]
            loop.remove_signal_handler(number)
            if ours.former is not None:  # None: it was not installed from Python, and cannot be from here
                signal.signal(number, ours.former)
