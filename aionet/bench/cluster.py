"""A run on the workers of a Dask cluster: connected to, one start agreed on, and conducted as on one machine.

The generators start together though no two machines' clocks agree. Each worker's time.monotonic_ns() is asked for some
times; its offset is taken from the round trip that took least, and is wrong by half of that at most. The start is then
told to each in its own clock. Nothing else depends on the clocks: a latency is measured on one machine.

All that concerns the cluster happens on a loop in a thread of its own. The one who measures speaks with the
generators through channels that look like processes: so the live view, Ctrl-C and the loss of a generator are the
same as on one machine.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.metadata
import logging
import re
import signal
import threading
import warnings
from contextlib import AsyncExitStack
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from aionet.bench.channel import WorkerChannel
from aionet.bench.conduct import Conductor
from aionet.bench.histogram import require_library
from aionet.bench.process import PATIENCE
from aionet.errors import AionetError, MissingExtraError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from aionet.bench.conduct import Observer
    from aionet.bench.machine import Worker
    from aionet.bench.plan import Plan
    from aionet.bench.results import Results

__all__ = ["FORMS", "ClusterError", "measure_on"]

FORMS: Final = "tcp://scheduler:8786, tls://scheduler:8786, or local:N for N workers on this machine"

_LOCAL: Final = re.compile(r"local:([1-9]\d{0,2})")
_REMOTE: Final = re.compile(r"[a-z]+://[^/]+")
# A scheduler that lives answers at once; one that is just starting needs some seconds.
_REACH: Final = 10.0
# How far ahead the start is, in seconds: the order to start has to reach every worker, through the scheduler.
_AHEAD: Final = 0.5


class ClusterError(AionetError, ConnectionError):
    """The cluster cannot be reached, or has no workers."""


def measure_on(
    cluster: str, plan: Plan, *, command: str = "", pids: Sequence[int] = (), observer: Observer | None = None
) -> Results:
    """Carry out the plan on every worker of the cluster, in ``plan.processes`` generators on each.

    ``cluster`` is the scheduler's address, or ``local:N``. A worker that is lost, before the start or after it, is
    among the failures of the results, and the rest still counts. All else is as in aionet.bench.conduct.measure.

    Raises:
        ClusterError: the cluster cannot be reached within 10 s, or has no workers.
        NothingConnectedError: no generator could connect, or none lived to measure anything.
        MissingExtraError: distributed or hdrhistogram is not installed.
        OptionError: no such form of cluster, no such process, or fewer connections than generators.

    """
    if not (_LOCAL.fullmatch(cluster) or _REMOTE.fullmatch(cluster)):
        raise OptionError(f"cluster {cluster!r}: expected {FORMS}")
    require_library()
    with _Fleet(cluster, plan) as fleet:
        conductor = Conductor(fleet.plan, fleet.channels, command=command, pids=pids, observer=observer, ahead=_AHEAD)
        found = conductor.measure()
        return attrs.evolve(found, workers=fleet.workers(), failures=[*fleet.left_out, *found.failures])


def _distributed() -> Any:  # noqa: ANN401 - used as a package without types: it has few
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("distributed is not installed: pip install 'aionet[cluster]'") from error


class _Fleet:
    """The cluster, from when its block is entered; ``plan`` then counts the generators on all workers."""

    def __init__(self, cluster: str, plan: Plan) -> None:
        self._cluster = cluster
        self.plan = plan
        self.channels: list[WorkerChannel] = []
        self.left_out: list[str] = []  # which workers cannot generate, and why
        self._distributed = _distributed()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aionet bench cluster", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._begun.wait()
        try:
            self._loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:
            pass  # the loop is closed: it has ended by itself
        self._thread.join(PATIENCE)
        for channel in self.channels:
            channel.close()

    def workers(self) -> list[Worker]:
        """Each worker that could be asked: its generators together."""
        found: dict[str, Worker] = {}
        for channel in self.channels:
            worker = channel.worker
            if worker is None:
                continue
            known = found.get(worker.address)
            if known is not None:
                error = max(known.start_error, worker.start_error)
                worker = attrs.evolve(worker, generators=known.generators + 1, start_error=error)
            found[worker.address] = worker
        return list(found.values())

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except TimeoutError:
            self._ready.set_exception(ClusterError(f"{self._cluster}: not every worker answered within {_REACH:g} s"))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a coroutine runs in a task")
        self._loop, self._task = asyncio.get_running_loop(), task
        self._begun.set()
        async with AsyncExitStack() as stack:
            log = logging.getLogger("distributed")
            stack.callback(log.setLevel, log.level)
            log.setLevel(logging.CRITICAL)  # what goes wrong is told by us, once
            client = await self._connect(stack)
            addresses = await self._addresses(client)
            count = len(addresses) * self.plan.processes
            shares = [self.plan.share(number, count) for number in range(count)]
            self.plan = attrs.evolve(self.plan, processes=count)
            self.channels = [
                WorkerChannel(client, addresses[number % len(addresses)], share) for number, share in enumerate(shares)
            ]
            relays = [asyncio.create_task(channel.relay()) for channel in self.channels]
            stack.push_async_callback(_close, relays, self.channels)
            self._ready.set_result(None)
            await asyncio.Event().wait()  # for _end

    async def _connect(self, stack: AsyncExitStack) -> Any:  # noqa: ANN401 - see _distributed
        where: Any = self._cluster
        local = _LOCAL.fullmatch(self._cluster)
        if local is not None:
            _keep_ctrl_c_from_workers()
            where = self._distributed.LocalCluster(
                n_workers=int(local[1]),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                # No dashboard; distributed serves its health and metrics in any case, so that on loopback.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                worker_dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,  # a lost worker is told by us, once
                asynchronous=True,
            )
            stack.push_async_callback(where.close)
            await _whole(where)
        with warnings.catch_warnings():
            # Other versions on a worker are told in the results.
            warnings.simplefilter("ignore", self._distributed.versions.VersionMismatchWarning)
            client = self._distributed.Client(where, asynchronous=True, timeout=_REACH)
            stack.push_async_callback(client.close)
            try:
                async with asyncio.timeout(_REACH * 2):
                    await client
            except Exception as error:  # whatever comes of bytes that are not a scheduler's
                raise ClusterError(
                    f"{self._cluster}: no scheduler of a Dask cluster can be reached: {error}"
                ) from error
        return client

    async def _addresses(self, client: Any) -> list[str]:  # noqa: ANN401 - see _distributed
        """Return the workers that can generate; those without aionet must not even be asked to: they would end."""
        version, absent = importlib.metadata.version, importlib.metadata.PackageNotFoundError
        try:
            await client.run_on_scheduler(version, "aionet")
            await client.wait_for_workers(1, timeout=_REACH)
        except absent:
            raise ClusterError(f"{self._cluster}: aionet is not installed where the scheduler runs") from None
        except TimeoutError:
            raise ClusterError(f"{self._cluster}: the cluster has no workers") from None
        async with asyncio.timeout(_REACH):
            found: dict[str, object] = await client.run(version, "aionet", on_error="return")
        self.left_out = [
            f"worker {address}: "
            + ("aionet is not installed there" if isinstance(answer, absent) else f"lost: {answer}")
            for address, answer in sorted(found.items())
            if not isinstance(answer, str)
        ]
        addresses = sorted(address for address, answer in found.items() if isinstance(answer, str))
        if not addresses:
            raise ClusterError("; ".join(self.left_out))
        return addresses


async def _whole(cluster: Any) -> None:  # noqa: ANN401 - see _distributed
    """Wait until the cluster has started; if cancelled, only then be so.

    Closed in the middle, it would take away what its workers are just starting from: each would die of that, with a
    traceback.
    """
    start = asyncio.ensure_future(cluster)
    try:
        await asyncio.shield(start)
    except asyncio.CancelledError:
        await asyncio.gather(start, return_exceptions=True)
        raise


def _keep_ctrl_c_from_workers() -> None:
    """Block it in this thread, and so in those and in the processes that are started from it.

    A terminal signals the whole process group. The workers must outlive that from their first instruction on: they have
    results to tell, and without any, a traceback each.
    """
    resource_tracker.ensure_running()  # started later, it would unblock the signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


async def _close(relays: list[asyncio.Task[None]], channels: list[WorkerChannel]) -> None:
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
    await asyncio.gather(*(channel.end() for channel in channels), return_exceptions=True)
