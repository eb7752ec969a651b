"""Ctrl-C and SIGTERM for a server: the first drains, the second aborts."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["handled"]


@contextmanager
def handled(signals: Iterable[signal.Signals], callback: Callable[[], None]) -> Generator[None]:
    """Call ``callback`` for each of the signals; put the former handlers back afterwards.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in signals}
    try:
        for number in former:
            loop.add_signal_handler(number, callback)
        yield
    finally:
        for number, handler in former.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
