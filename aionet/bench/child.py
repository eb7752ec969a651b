"""A generator alone in its process: ``python child.py``, which speaks in lines of JSON on stdin and stdout.

It reads its plan, connects and says ``{"ready": ...}`` with the number of its connections, or ``{"failed": ...}``. It
reads when to start (``{"start": ...}``, a time.monotonic_ns()), tells each slot, and then ``{"done": true}``. The line
``{"stop": true}`` makes it stop early, and the end of stdin at once: so it also ends when whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from aionet.bench.generator import Generator
from aionet.bench.plan import Plan
from aionet.errors import AionetError
from aionet.system.loops import current_loop_name, run

if TYPE_CHECKING:
    from aionet.bench.slot import Slot

_PIPE: Final = 1024 * 1024  # bytes: a generator must not wait until its slots are read


def _say(**values: object) -> None:
    data = json.dumps(values).encode() + b"\n"
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def _tell(slot: Slot) -> None:
    _say(slot=slot.as_json())


class _Orders:
    """What comes on stdin, line by line, from when the loop runs."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._partial = b""
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._lines.put_nowait(None)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._lines.put_nowait(json.loads(line))

    async def next(self) -> dict[str, Any] | None:
        """Return the next order, None when whoever gives them is gone."""
        return await self._lines.get()

    def close(self) -> None:
        """Read no longer."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


async def _stop_when_told(orders: _Orders, generator: Generator, running: asyncio.Task[None]) -> None:
    if await orders.next() is None:
        running.cancel()
    generator.stop()


async def _generate(plan: Plan) -> None:
    orders = _Orders()
    with contextlib.closing(orders), Generator(plan, _tell) as generator:
        try:
            connected = await generator.open()
        except AionetError as error:
            _say(failed=str(error))
            return
        _say(ready=connected, loop=current_loop_name())
        order = await orders.next()
        if order is None or "start" not in order:
            return
        gc.collect()
        gc.freeze()  # what lives as long as the run need not be looked at again and again
        running = asyncio.create_task(generator.run(order["start"]))
        listening = asyncio.create_task(_stop_when_told(orders, generator, running))
        try:
            await running
        except asyncio.CancelledError:
            return
        finally:
            listening.cancel()
        _say(done=True, tls=generator.tls)


def main() -> None:
    """Read the plan and carry it out."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(sys.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    line = b""
    while not line.endswith(b"\n"):  # byte by byte: what follows is for the loop to read
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return
        line += byte
    plan = Plan.from_json(json.loads(line))
    run(_generate(plan), loop=plan.loop)


if __name__ == "__main__":
    main()
