"""Runs of several processes: started, merged, and kept where one of them is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aionet.bench.conduct import NothingConnectedError, Silent, measure
from aionet.bench.plan import Plan
from aionet.errors import OptionError
from tests.bench.servers import echo, refused, serving
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.bench.tally import Point, Tally


class Watching(Silent):
    """Calls back when the first slot is known."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then: Callable[[], None] | None = then
        self.connections = 0

    def begins(self, plan: Plan, connections: int) -> None:
        self.connections = connections

    def measured(self, tally: Tally, point: Point) -> None:
        if self._then is not None:
            then, self._then = self._then, None
            then()


def children() -> list[int]:
    """The processes that this one has started and that run."""
    threads = [task / "children" for task in Path("/proc/self/task").iterdir()]
    found: list[int] = []
    for each in threads:
        found += map(int, each.read_text().split())
    return found


def test_the_generators_are_merged() -> None:
    watching = Watching(lambda: None)
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, connections=5, processes=2, duration=0.4, warmup=0.1)
        began = time.monotonic()
        found = measure(plan, pids=[os.getpid()], observer=watching)
        took = time.monotonic() - began
    assert watching.connections == 5
    assert found.generators == 2
    assert found.points[0].connections == 5
    assert found.replies + found.late_replies == found.latency.count > 0
    assert 0.2 < found.seconds < took  # which has the start of the processes, too
    assert not found.errors
    assert found.server_cpu is not None
    assert found.server_cpu > 0
    assert 0 < found.client_cpu < 1.5
    assert found.setup.count == 5


def test_a_generator_that_is_killed_is_told_and_the_rest_counts() -> None:
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, processes=2, duration=0.6, warmup=0.0)
        found = measure(plan, observer=Watching(lambda: os.kill(children()[0], signal.SIGKILL)))
    assert found.failures in (["generator 1 was killed by SIGKILL"], ["generator 2 was killed by SIGKILL"])
    assert found.replies > 0
    assert len(found.points) == 6  # to the end: a slot is a tenth of a second
    assert found.points[-1].generators == 1
    assert sum(point.replies for point in found.points if point.generators == 1) > 0


def test_a_generator_that_is_killed_before_the_start_is_told_and_the_rest_measures() -> None:
    def kill_the_first() -> None:
        while not (started := children()):
            time.sleep(0.001)  # no event tells that a process was started
        os.kill(started[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, connections=4, processes=2, duration=0.2, warmup=0.0)
        watching = Watching(lambda: None)
        killer.start()
        found = measure(plan, observer=watching)
        killer.join()
    assert found.failures == ["generator 1 was killed by SIGKILL"]
    assert watching.connections == 2
    assert found.replies > 0
    assert {point.generators for point in found.points} == {1}


def test_ctrl_c_ends_it_early_with_what_was_measured() -> None:
    began = time.monotonic()
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, duration=60.0, warmup=0.0)
        found = measure(plan, observer=Watching(lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert time.monotonic() - began < 30
    assert found.interrupted
    assert found.replies > 0
    assert not children()


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with serving(echo) as endpoint, pytest.raises(KeyboardInterrupt):
        measure(Plan(endpoint=endpoint, duration=60.0, warmup=0.0), observer=Watching(twice))
    assert not children()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_server_killed_half_way_leaves_what_was_measured() -> None:
    command = [require_tool("socat"), "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1,fork", "PIPE"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0) as server:
        assert server.stderr is not None
        listening = re.search(r"listening on .*:(\d+)$", server.stderr.readline())
        assert listening is not None
        plan = Plan(endpoint=f"tcp://127.0.0.1:{listening[1]}", duration=1.0, warmup=0.0)
        found = measure(plan, observer=Watching(lambda: os.killpg(server.pid, signal.SIGKILL)))
    assert found.replies > 0
    assert found.points[0].replies > 0
    assert found.points[-1].replies == 0
    assert found.errors["connect: Connection refused"] >= 2
    assert found.errors["closed by the server"] + found.errors["receive: Connection reset by peer"] >= 10


def test_it_needs_no_main_thread() -> None:
    found: list[int] = []
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, duration=0.2, warmup=0.0)
        thread = threading.Thread(target=lambda: found.append(measure(plan).replies))
        thread.start()
        thread.join()
    assert found[0] > 0


def test_where_nobody_listens_it_says_so() -> None:
    with pytest.raises(NothingConnectedError, match="connect: Connection refused"):
        measure(Plan(endpoint=refused(), duration=0.2))


@pytest.mark.parametrize(
    ("given", "says"),
    [({"connections": 100_000}, "RLIMIT_NOFILE"), ({"processes": 5, "connections": 3}, "5 generators")],
)
def test_what_cannot_be_started_is_refused(given: dict[str, int], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        measure(Plan(endpoint=refused(), **given))  # type: ignore[arg-type]  # mypy takes any key for any argument


def test_a_process_that_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match="pid 999999999: no such process"):
        measure(Plan(endpoint=refused()), pids=[999_999_999])
