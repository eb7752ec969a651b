"""One generator: its share of the connections, and the measurement from its beginning to its end.

It runs in the loop that calls it, and tells what it counted a slot at a time. So it keeps nothing that grows, what was
measured is known even if it is killed, and the same slots feed the live view, the plots and the histograms. Wherever it
runs, it is used in the same way::

    with Generator(plan, tell) as generator:
        await generator.open()             # connected, or NotConnectedError
        await generator.run(start)         # start: a time.monotonic_ns(), the same for all generators
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from aionet.bench.links.link import Run
from aionet.bench.links.select import link
from aionet.bench.messages import Messages
from aionet.bench.pacing import pacing
from aionet.bench.slot import Book
from aionet.bench.target import Target
from aionet.errors import AionetError
from aionet.options import SocketOptions, Timeouts
from aionet.system.connect import connect_to
from aionet.system.poller import poller_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aionet.bench.links.link import Link
    from aionet.bench.plan import Plan
    from aionet.bench.slot import Phase, Slot

__all__ = ["Generator", "NotConnectedError"]

# Slots a measurement: enough for a plot, few enough for each to hold a distribution; a slot is at most a second, so
# that somebody who looks on sees something happen.
_SLOTS: Final = 50
_SHORTEST: Final = 0.1  # seconds
_LONGEST: Final = 1.0
# How often connections are looked at that may have waited for too long, as a part of the timeout, and at least.
_CHECKS: Final = 10
_CHECK: Final = 0.5  # seconds
_DRAINED: Final = 0.002  # seconds between two looks whether the last replies are there
# Connections begun at a time: a backlog of 128 takes them all.
_OPENING: Final = 100


class NotConnectedError(AionetError, ConnectionError):
    """Not one connection could be made; the message says why the first one could not."""


class Generator:
    """Drives the server as the plan says, and hands each slot to ``tell``. Entered before it is used, on a loop."""

    def __init__(self, plan: Plan, tell: Callable[[Slot], object]) -> None:
        self._plan = plan
        self._tell = tell
        self._book = Book()
        self._links: list[Link] = []
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._check_handle: asyncio.TimerHandle | None = None
        self._run: Run | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._former_handler = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._failed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.set_exception_handler(self._former_handler)
        if self._check_handle is not None:
            self._check_handle.cancel()
        if self._run is not None:
            self._run.closing = True
            self._run.pacing.stop()
        for each in self._links:
            each.close()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback has raised: a defect, which must not pass for a measurement."""
        self._failure = self._failure or context.get("exception") or RuntimeError(context["message"])
        self._stopped.set()

    # --- connecting -------------------------------------------------------------------------------------------------

    async def open(self) -> int:
        """Connect; return how many connections there are. Those that failed are counted, and tried again.

        Raises:
            NotConnectedError: not one could be connected.
            ResolveError: the host has no address.
            OptionError: the CA file cannot be read.

        """
        plan = self._plan
        target = await Target.find(plan)
        messages = Messages(plan.size, random.Random(plan.seed), plan.request)  # noqa: S311 - no secret
        self._run = Run(
            self._loop, poller_of(self._loop), plan, target, messages, self._book, pacing(self._loop, plan, self._book)
        )
        self._links = [link(self._run) for _ in range(plan.connections)]
        self._check()
        if plan.mode == "connect":
            await self._answers(target)
            for each in self._links:
                self._run.pacing.ready(each, 1)
            return len(self._links)
        return await self._open_all(target)

    async def _answers(self, target: Target) -> None:
        """Connect once, since in mode connect the links connect only when it is their turn."""
        where = attrs.evolve(self._plan.endpoint, scheme="tcp") if target.tls else self._plan.endpoint
        timeouts = Timeouts(connect=self._plan.timeout)
        connected = await connect_to(where, local=None, options=SocketOptions(), timeouts=timeouts)
        connected.sock.close()

    async def _open_all(self, target: Target) -> int:
        deadline = time.monotonic() + self._plan.timeout
        for first in range(0, len(self._links), _OPENING):
            some = self._links[first : first + _OPENING]
            for each in some:
                each.open()
            while not all(each.up for each in some) and time.monotonic() < deadline:
                await asyncio.sleep(_DRAINED)
                if self._book.errors and not any(each.up for each in self._links):
                    why = next(iter(self._book.errors))
                    raise NotConnectedError(f"{self._plan.endpoint} ({target.address}): {why}")
        self._raise_failure()
        connected = sum(each.up for each in self._links)
        if not connected:
            why = f"not connected within {self._plan.timeout:g} s"
            raise NotConnectedError(f"{self._plan.endpoint} ({target.address}): {why}")
        return connected

    def _check(self) -> None:
        run = self._running
        now = time.monotonic_ns()
        for each in self._links:
            each.check(now, run.patience)
        self._check_handle = self._loop.call_later(min(self._plan.timeout / _CHECKS, _CHECK), self._check)

    # --- measuring --------------------------------------------------------------------------------------------------

    async def run(self, start: int) -> None:
        """Warm up from that time.monotonic_ns() on, measure, and wait for the last replies, at most the timeout."""
        plan, run = self._plan, self._running
        zero = start + int(plan.warmup * 1e9)
        await self._until(start)
        run.pacing.start(start)
        await self._until(zero)
        zero = time.monotonic_ns()
        self._cut("warmup", 0, zero)
        length = min(max(plan.duration / _SLOTS, _SHORTEST), _LONGEST)
        count = max(round(plan.duration / length), 1)
        for index in range(count):
            await self._until(zero + int((index + 1) * plan.duration / count * 1e9))
            if index == count - 1 or self._stopped.is_set():
                run.closing = True
                run.pacing.stop()
            self._cut("measure", index, zero)
            if self._stopped.is_set():
                break
        await self._drain(run)
        self._cut("drain", count, zero)
        self._raise_failure()

    @property
    def tls(self) -> str | None:
        """The version and the cipher of TLS that were agreed on, None without TLS."""
        return self._running.target.spoken

    def stop(self) -> None:
        """Measure no longer; run ends as it does at its end."""
        self._stopped.set()

    async def _until(self, when: int) -> None:
        left = (when - time.monotonic_ns()) / 1e9
        if left <= 0 or self._stopped.is_set():
            return
        try:
            async with asyncio.timeout(left):
                await self._stopped.wait()
        except TimeoutError:
            pass

    async def _drain(self, run: Run) -> None:
        deadline = time.monotonic_ns() + run.patience
        while run.pacing.waiting or any(each.under_way for each in self._links):
            if time.monotonic_ns() > deadline:
                break
            await asyncio.sleep(_DRAINED)
        unsent = run.pacing.give_up()
        if unsent:
            self._book.errors["not sent: every connection was busy to the end"] += unsent
        too_late = time.monotonic_ns() + run.patience + 1
        for each in self._links:
            if each.under_way:
                each.check(too_late, run.patience)

    def _cut(self, phase: Phase, index: int, zero: int) -> None:
        connections = sum(each.up for each in self._links)
        jitters = [jitter for each in self._links if (jitter := getattr(each, "jitter", 0.0))]
        slot = self._book.cut(phase, index, zero, connections)
        slot.datagrams.jitter = sum(jitters) / len(jitters) if jitters else 0.0
        self._tell(slot)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    @property
    def _running(self) -> Run:
        if self._run is None:
            raise AssertionError("open comes first")
        return self._run
