"""What a generator on a worker of a cluster is spoken with, in the way a process is."""

from __future__ import annotations

import asyncio
import queue
import socket
import time
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from aionet.bench.actor import GeneratorActor
from aionet.bench.machine import Machine, Worker
from aionet.bench.process import PATIENCE, ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from aionet.bench.plan import Plan

__all__ = ["WorkerChannel"]

# Asked for the time so often: the least round trip of twenty is close to the least there is.
_ROUND_TRIPS: Final = 20


class WorkerChannel:
    """A generator on the worker at that address, which carries out its share.

    ``relay`` and ``end`` run on the client's loop; the other methods are those of Process, for another thread.
    ``worker`` is known once the worker has answered.
    """

    def __init__(self, client: Any, address: str, share: Plan) -> None:  # noqa: ANN401 - distributed has few types
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._share = share
        self._title = f"worker {address}"
        self._address = address
        self._actor: Any = None
        self._lost = False
        self._offset = 0  # of the worker's clock, in ns
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._readable, self._wakeup = socket.socketpair()
        self._readable.setblocking(False)
        self._wakeup.setblocking(False)
        self.worker: Worker | None = None

    # --- on the client's loop ---------------------------------------------------------------------------------------

    async def relay(self) -> None:
        """Start the generator, and hand on what it says until it has ended or is lost."""
        try:
            await self._start()
            while True:
                for said in await self._call("heard"):
                    self._hand_on(said)
                    if said.keys() & {"done", "failed", "lost"}:
                        return
        except TimeoutError:
            self._lose(f"no answer within {PATIENCE:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._lose(str(error) or type(error).__name__)

    def _lose(self, why: str) -> None:
        self._lost = True
        self._hand_on({"lost": f"lost: {why}"})

    async def _start(self) -> None:
        # Neither moved to another worker nor begun anew: the worker is where the load is to come from.
        submitted = self._client.submit(
            GeneratorActor, actor=True, workers=[self._address], allow_other_workers=False, pure=False, retries=0
        )
        async with asyncio.timeout(PATIENCE):
            self._actor = await submitted
        about = await self._call("describe")
        self._offset, error = await self._look_at_clock()
        self._title += f" on {about['host']}"
        self.worker = Worker(
            address=self._address,
            host=about["host"],
            machine=Machine(**about["machine"]),
            versions=about["versions"],
            generators=1,
            start_error=error,
        )
        await self._call("begin", self._share.as_json())

    async def _look_at_clock(self) -> tuple[int, int]:
        """Return the offset of the worker's clock to ours, and how wrong it may be, in nanoseconds."""
        found: list[tuple[int, int]] = []
        for _ in range(_ROUND_TRIPS):
            asked = time.monotonic_ns()
            told = await self._call("clock")
            answered = time.monotonic_ns()
            found.append((answered - asked, told - (asked + answered) // 2))
        least, offset = min(found)
        return offset, least // 2

    async def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - what the actor returns
        async with asyncio.timeout(PATIENCE):
            return await getattr(self._actor, method)(*arguments)

    def _hand_on(self, said: dict[str, Any]) -> None:
        self._said.put(said)
        try:
            self._wakeup.send(b"\0")
        except BlockingIOError:
            pass  # it has not been looked at for long, and is readable

    async def _order(self, values: dict[str, Any]) -> None:
        try:
            told = await self._call("tell", values)
        except Exception:  # noqa: BLE001 - relay finds the same, and tells it
            return
        if "start" in values and self.worker is not None:
            late = max(told - values["start"], 0)
            self.worker = attrs.evolve(self.worker, start_error=self.worker.start_error + late)

    async def end(self) -> None:
        """End the generator, if its worker can still be reached."""
        if self._actor is not None and not self._lost:
            await self._call("close")

    # --- elsewhere --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to do: it ends with the cluster's block."""

    def close(self) -> None:
        """Close the descriptors."""
        self._readable.close()
        self._wakeup.close()

    def fileno(self) -> int:
        """As Process.fileno."""
        return self._readable.fileno()

    def hear(self, timeout: float) -> dict[str, Any]:
        """As Process.hear."""
        try:
            return self._understood(self._said.get(timeout=timeout))
        except queue.Empty:
            raise ProcessError(f"{self._title} said nothing for {timeout:g} s") from None

    def heard(self) -> Iterator[dict[str, Any]]:
        """As Process.heard."""
        try:
            self._readable.recv(4096)
        except BlockingIOError:
            pass
        while True:
            try:
                yield self._understood(self._said.get_nowait())
            except queue.Empty:
                return

    def _understood(self, said: dict[str, Any]) -> dict[str, Any]:
        if "lost" in said:
            raise ProcessError(f"{self._title}: {said['lost']}")
        if "failed" in said:
            return {"failed": f"{self._title}: {said['failed']}"}
        return said

    def tell(self, **values: object) -> None:
        """As Process.tell; a time to start is told in the worker's clock."""
        told: dict[str, Any] = dict(values)
        if "start" in told:
            told["start"] += self._offset
        asyncio.run_coroutine_threadsafe(self._order(told), self._loop)

    def give_up(self) -> None:
        """As Process.give_up: it is ended without a complaint in any case."""
