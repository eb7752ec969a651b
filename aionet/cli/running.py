"""How commands run, and the status that each way of ending gives."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from typing import TYPE_CHECKING, Any

from aionet.cli.status import FAILED, INTERRUPTED, TERMINATED
from aionet.cli.stdio import StandardStreamError, occupy_standard_descriptors
from aionet.system.loops import run

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run_command", "until_terminated"]


def run_command(main: Coroutine[Any, Any, int], loop: str) -> None:
    """Run a command to its end and exit with the status that it returns.

    Ctrl-C cancels it. Where nobody reads stdout any more, as in
    ``| head``, it fails without a word.
    """
    occupy_standard_descriptors()
    try:
        status = run(main, loop=loop)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except StandardStreamError as error:
        if error.errno != errno.EPIPE:
            raise
        status = FAILED
    sys.exit(status)


async def until_terminated(main: Coroutine[Any, Any, int]) -> int:
    """Run a command that SIGTERM cancels, and return its status."""
    running_loop = asyncio.get_running_loop()
    task = running_loop.create_task(main)
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    running_loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if not terminated:
            raise
        return TERMINATED
    finally:
        running_loop.remove_signal_handler(signal.SIGTERM)
