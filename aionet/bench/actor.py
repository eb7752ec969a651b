"""A generator on a worker of a Dask cluster: what runs there, called from whoever measures.

The worker only looks after it. The generator itself has a process of its own, as on one machine, so that neither the
worker's threads nor its loop take time from it, and the CPU time that it tells is its own. It ends with the worker,
and when the one who measures is gone: the cluster then forgets the actor.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import weakref
from typing import Any, Final

import attrs

from aionet.bench.conduct import CHILD, allow
from aionet.bench.machine import Machine, versions
from aionet.bench.plan import Plan
from aionet.bench.process import Process, ProcessError

__all__ = ["GeneratorActor"]

# How long a call waits for news, in seconds: each answer also says that the worker lives.
_NEWS: Final = 1.0


class GeneratorActor:
    """Its methods are called from elsewhere: ``async`` ones on the worker's loop, others in a thread of its own."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def describe(self) -> dict[str, Any]:
        """Return where this is: the host, the machine, the versions."""
        return {
            "host": socket.gethostname(),
            "machine": attrs.asdict(Machine.here()),
            "versions": versions("distributed"),
        }

    async def clock(self) -> int:
        """Return this machine's time.monotonic_ns()."""
        return time.monotonic_ns()

    def begin(self, plan: dict[str, Any]) -> None:
        """Start the generator of that plan, given as JSON.

        Raises OptionError where the system allows fewer descriptors than it needs.
        """
        allow(Plan.from_json(plan).connections)
        self._process = Process("its generator", CHILD)
        weakref.finalize(self, _end, self._process)
        self._process.tell(**plan)

    async def tell(self, values: dict[str, Any]) -> int:
        """Tell the generator; return this machine's time.monotonic_ns()."""
        self._begun.tell(**values)
        return time.monotonic_ns()

    async def heard(self) -> list[dict[str, Any]]:
        """Return what the generator has said, as soon as it has said something, or nothing after a second.

        Its end is ``{"lost": why}``.
        """
        process = self._begun
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(process.fileno(), readable.set)
        try:
            async with asyncio.timeout(_NEWS):
                await readable.wait()
        except TimeoutError:
            return []
        finally:
            loop.remove_reader(process.fileno())
        said: list[dict[str, Any]] = []
        try:
            said.extend(process.heard())
        except ProcessError as error:
            said.append({"lost": str(error)})
        return said

    def close(self) -> None:
        """End the generator."""
        if self._process is not None:
            _end(self._process)

    @property
    def _begun(self) -> Process:
        if self._process is None:
            raise AssertionError("begin comes first")
        return self._process


def _end(process: Process) -> None:
    process.give_up()
    with contextlib.suppress(ProcessError):
        process.__exit__(None, None, None)
