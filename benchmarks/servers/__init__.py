"""The peers: one small file for each, written as somebody who knows that library would write it.

A file offers the services that make sense for it: `echo` (send back what comes), `lines` (read a line, send it back,
one at a time) and `prefixed` (the same with messages that have four bytes of length in front). Each is an async context
manager that listens on a free port of 127.0.0.1 and gives its address as text.
`python -m benchmarks.servers FILE SERVICE --loop LOOP` runs one.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

HOST = "127.0.0.1"

# What aionet's recv takes at most by default. The others read as much: it costs them nothing with small messages and
# serves them best with large ones.
READ_SIZE = 256 * 1024

Service = Callable[[], AbstractAsyncContextManager[str]]


async def others_ended() -> None:
    """Wait for the tasks of the clients, who have left: asyncio complains about a stream whose task it cancels."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=5)


def spell(address: tuple[str, int]) -> str:
    """The address as the load generator takes it."""
    return f"{address[0]}:{address[1]}"
