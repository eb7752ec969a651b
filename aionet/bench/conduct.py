"""One run: the generators started, set going together, listened to, and their slots merged."""

from __future__ import annotations

import datetime as dt
import resource
import select
import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from aionet.bench.histogram import require_library
from aionet.bench.machine import Machine, cpu_seconds
from aionet.bench.process import PATIENCE, Process, ProcessError
from aionet.bench.results import Results
from aionet.bench.slot import Slot
from aionet.bench.tally import Tally
from aionet.errors import AionetError, OptionError
from aionet.system.loops import loop_factory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from types import TracebackType

    from aionet.bench.plan import Plan
    from aionet.bench.tally import Point

__all__ = ["CHILD", "Channel", "Conductor", "NothingConnectedError", "Observer", "Silent", "allow", "measure"]

CHILD: Final = Path(__file__).with_name("child.py")
# How often the generators are looked at for Ctrl-C's sake, and how far ahead the start is, in seconds.
_LOOK: Final = 0.1
_AHEAD: Final = 0.05
# Descriptors that a generator needs beside those of its connections.
_OTHER_DESCRIPTORS: Final = 32


class NothingConnectedError(AionetError):
    """No generator could connect, or none lived to measure anything."""


class Channel(Protocol):
    """What a generator is spoken with, wherever it runs: Process, or what does the same on a cluster."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def fileno(self) -> int:
        """As Process.fileno."""
        ...

    def hear(self, timeout: float) -> dict[str, Any]:
        """As Process.hear."""
        ...

    def heard(self) -> Iterator[dict[str, Any]]:
        """As Process.heard."""
        ...

    def tell(self, **values: object) -> None:
        """As Process.tell."""
        ...

    def give_up(self) -> None:
        """As Process.give_up."""
        ...


class Observer(Protocol):
    """Whoever looks on."""

    def begins(self, plan: Plan, connections: int) -> None:
        """So many connections are there; the warm-up begins."""
        ...

    def measured(self, tally: Tally, point: Point) -> None:
        """One more slot of the measurement is known."""
        ...


class Silent:
    """Nobody looks on."""

    def begins(self, plan: Plan, connections: int) -> None:
        """As Observer.begins."""

    def measured(self, tally: Tally, point: Point) -> None:
        """As Observer.measured."""


def measure(plan: Plan, *, command: str = "", pids: Sequence[int] = (), observer: Observer | None = None) -> Results:
    """Carry out the plan, in as many processes as it says, and return what was found.

    ``command`` is what is kept as the way to do it again; ``pids`` are the server's processes here, whose CPU time is
    measured. The first Ctrl-C ends the measurement early, and the results are those until then; a second one, and one
    before anything was measured, raises KeyboardInterrupt.

    Raises:
        NothingConnectedError: no generator could connect, or none lived to measure anything.
        MissingExtraError: hdrhistogram, or the loop that the plan asks for, is not installed.
        OptionError: no such process, or more connections than the system's limit on descriptors allows.

    """
    require_library()
    loop_factory(plan.loop)
    allow(-(-plan.connections // plan.processes))
    return Conductor(plan, _processes(plan), command=command, pids=pids, observer=observer).measure()


def _processes(plan: Plan) -> Iterator[Process]:
    count = plan.processes
    for number, share in enumerate([plan.share(number, count) for number in range(count)]):
        process = Process(f"generator {number + 1}" if count > 1 else "the generator", CHILD)
        process.tell(**share.as_json())
        yield process


def allow(connections: int) -> None:
    """Let each generator open so many descriptors, if the system does."""
    needed = connections + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft:
        return
    if needed > hard:
        raise OptionError(f"connections: a process may open {hard} descriptors here (RLIMIT_NOFILE), {needed} needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Conductor:
    """The generators of one run, ``plan.processes`` of them, and what they have told; ``ahead`` is in seconds.

    Raises OptionError where there is no process of one of the ``pids``.
    """

    def __init__(
        self,
        plan: Plan,
        generators: Iterable[Channel],
        *,
        command: str = "",
        pids: Sequence[int] = (),
        observer: Observer | None = None,
        ahead: float = _AHEAD,
    ) -> None:
        for pid in pids:
            if cpu_seconds(pid) is None:
                raise OptionError(f"pid {pid}: no such process")
        self._plan = plan
        self._generators = generators
        self._command = command
        self._pids = pids
        self._observer = observer or Silent()
        self._ahead = ahead
        self._machine = Machine.here()
        self._tally = Tally(plan.processes)
        self._failures: list[str] = []
        self._started = False
        self._interrupted = False
        self._told = False  # to stop
        self._loop = plan.loop
        self._tls: str | None = None
        self._server: list[tuple[float, float]] = []  # when, and the CPU time that the server had used by then

    def measure(self) -> Results:
        """As the function measure."""
        with ExitStack() as stack, self._ctrl_c():
            generators = [stack.enter_context(generator) for generator in self._generators]
            running = dict.fromkeys(self._begin(generators))
            while running:
                self._listen(running)
            if self._interrupted and not self._tally.points:
                raise KeyboardInterrupt
            if not self._tally.points:
                raise NothingConnectedError("; ".join(self._failures))
            return self._results()

    def _begin(self, generators: list[Channel]) -> list[Channel]:
        """Hear that they are connected, and tell them one time to start; return those that do."""
        connections = 0
        ready: list[Channel] = []
        deadline = time.monotonic() + self._plan.timeout * 2 + PATIENCE + self._plan.connections / 1000
        for generator in generators:
            answer: dict[str, Any]
            try:
                answer = generator.hear(max(deadline - time.monotonic(), 0.0))
            except ProcessError as error:
                answer = {"failed": str(error)}
            if "failed" in answer:
                self._lose(generator, answer["failed"])
                continue
            ready.append(generator)
            connections += answer["ready"]
            self._loop = answer["loop"]
        if not ready:
            raise NothingConnectedError("; ".join(dict.fromkeys(self._failures)))
        self._observer.begins(self._plan, connections)
        self._began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._started = True
        start = time.monotonic_ns() + int(self._ahead * 1e9)
        for generator in ready:
            generator.tell(start=start)
        return ready

    def _lose(self, generator: Channel, why: str) -> None:
        """Go on without it."""
        generator.give_up()
        self._failures.append(why)
        self._tally.generators -= 1

    # --- listening --------------------------------------------------------------------------------------------------

    def _listen(self, running: dict[Channel, None]) -> None:
        ready, _, _ = select.select(list(running), [], [], _LOOK)
        for generator in ready:
            try:
                for said in generator.heard():
                    self._hear(said, generator, running)
            except ProcessError as error:
                if generator in running:
                    del running[generator]
                    self._lose(generator, str(error))
        if self._interrupted and not self._told:
            self._told = True
            for generator in running:
                generator.tell(stop=True)

    def _hear(self, said: dict[str, Any], generator: Channel, running: dict[Channel, None]) -> None:
        if "slot" in said:
            slot = Slot.from_json(said["slot"])
            if slot.phase == "warmup" and not self._server:
                self._look_at_server()
            point = self._tally.add(slot)
            if point is not None:
                self._look_at_server(point)
                self._observer.measured(self._tally, point)
        elif "done" in said:
            self._tls = said["tls"]
            del running[generator]

    def _look_at_server(self, point: Point | None = None) -> None:
        used = [cpu_seconds(pid) for pid in self._pids]
        if not used or None in used:
            return
        now, total = time.monotonic(), sum(each for each in used if each is not None)
        if point is not None and self._server:
            before, cpu = self._server[-1]
            point.server_cpu = (total - cpu) / (now - before) if now > before else None
        self._server.append((now, total))

    @contextmanager
    def _ctrl_c(self) -> Generator[None]:
        """Let the first Ctrl-C end the measurement, if it has begun, and no more than that."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(_number: int, _frame: object) -> None:
            if self._interrupted or not self._started:
                raise KeyboardInterrupt
            self._interrupted = True

        former = signal.signal(signal.SIGINT, on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, former)

    # --- what came of it --------------------------------------------------------------------------------------------

    def _results(self) -> Results:
        first, last = (self._server[0], self._server[-1]) if self._server else ((0.0, 0.0), (0.0, 0.0))
        return Results.of(
            self._plan,
            self._tally,
            command=self._command,
            began=self._began,
            machine=self._machine,
            loop=self._loop,
            server_cpu=(last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else None,
            interrupted=self._interrupted,
            failures=self._failures,
            tls=self._tls,
        )
