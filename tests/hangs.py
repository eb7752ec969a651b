"""End an async test that hangs, from inside its loop.

pytest-timeout raises from a signal handler; uvloop, idle in epoll_wait, swallows that and hangs for ever. So a
timer of the loop itself cancels the test first, and pytest-timeout is left for loops that no longer turn.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import pytest


def time_limit(item: pytest.Item) -> float:
    """Return the seconds that ``item`` may take: its ``timeout`` marker's, or the project's."""
    marker = item.get_closest_marker("timeout")
    if marker is None:
        return float(item.config.getini("timeout"))
    return float(marker.args[0] if marker.args else marker.kwargs["timeout"])


@contextmanager
def cancelled_after(seconds: float) -> Generator[None]:
    """Cancel every task of the running loop if the body takes longer, and show where each one was."""
    loop = asyncio.get_running_loop()

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop):
            task.print_stack()
            task.cancel(f"took longer than {seconds:g} s")

    timer = loop.call_later(seconds, cancel_all)
    try:
        yield
    finally:
        timer.cancel()
