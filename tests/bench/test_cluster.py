"""Runs on the workers of a Dask cluster, whose scheduler and workers are processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aionet.bench import cluster as module
from aionet.bench.cluster import ClusterError, measure_on
from aionet.bench.conduct import NothingConnectedError, Silent
from aionet.bench.histogram import Histogram
from aionet.bench.plan import Plan
from aionet.bench.results import Results
from aionet.bench.tally import Tally
from aionet.errors import MissingExtraError, OptionError
from tests.bench.clusters import Cluster, cluster, worker_without_aionet
from tests.bench.servers import Behaviour, echo, refused, serving, sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aionet.bench.slot import Slot
    from aionet.bench.tally import Point


class Watching(Silent):
    """Counts what each slot adds, and calls back at the first."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self._then = then
        self.connections = 0
        self.slots = 0

    def begins(self, plan: Plan, connections: int) -> None:
        self.connections = connections

    def measured(self, tally: Tally, point: Point) -> None:
        self.slots += 1
        if self.slots == 1:
            self._then()


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[Cluster]:
    """A cluster of two workers, of which one test kills one."""
    with cluster(workers=2) as running:
        yield running


def test_what_the_workers_find_is_merged_without_loss(
    running_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = sum(process.poll() is None for process in running_cluster.workers.values())
    told: list[Slot] = []
    add = Tally.add

    def keep(tally: Tally, slot: Slot) -> Point | None:
        told.append(slot)
        return add(tally, slot)

    monkeypatch.setattr(Tally, "add", keep)
    echoed: list[int] = []

    def count(sock: socket.socket) -> None:
        while data := sock.recv(65536):
            echoed.append(len(data))
            sock.sendall(data)

    watching = Watching()
    with serving(count) as endpoint:
        plan = Plan(endpoint=endpoint, connections=7, processes=2, duration=0.5, warmup=0.0)
        found = measure_on(running_cluster.address, plan, observer=watching)
    # What the server has echoed is what the generators have told, and that is what the results hold.
    assert sum(slot.replies for slot in told) * 64 == sum(echoed)
    measured = [slot for slot in told if slot.phase != "warmup"]
    assert found.replies + found.late_replies == sum(slot.replies for slot in measured)
    each = [Histogram(slot.latency) for slot in measured]
    whole = each[0]
    for other in each[1:]:
        whole.add(other)
    assert list(found.latency.recorded()) == list(whole.recorded())
    assert found.latency.count == found.replies + found.late_replies
    assert watching.connections == 7
    assert watching.slots == 5
    assert found.failures == []
    assert not found.errors
    assert found.generators == 2 * workers == sum(worker.generators for worker in found.workers)
    assert found.points[-1].connections == 7
    assert found.setup.count == 7
    assert {worker.address for worker in found.workers} <= running_cluster.workers.keys()
    assert {worker.host for worker in found.workers} == {socket.gethostname()}
    assert all(0 < worker.start_error < 1e9 for worker in found.workers)
    assert all({"Python", "aionet", "distributed"} <= worker.versions.keys() for worker in found.workers)
    found.save(tmp_path / "r.json")
    assert Results.load(tmp_path / "r.json") == found


def test_a_worker_that_is_killed_is_told_and_the_rest_counts(running_cluster: Cluster) -> None:
    address, process = next(iter(running_cluster.workers.items()))
    with serving(echo) as endpoint:
        plan = Plan(endpoint=endpoint, connections=6, duration=1.0, warmup=0.0)
        watching = Watching(lambda: os.kill(process.pid, signal.SIGKILL))
        found = measure_on(running_cluster.address, plan, observer=watching)
    [failure] = found.failures
    assert failure.startswith(f"worker {address} on {socket.gethostname()}: lost: ")
    assert found.points[0].generators == 2
    assert found.points[-1].generators == 1
    assert sum(point.replies for point in found.points if point.generators == 1) > 0
    assert address in {worker.address for worker in found.workers}
    assert found.latency.count == found.replies + found.late_replies


def test_a_worker_without_aionet_is_told_and_lives_on(running_cluster: Cluster, tmp_path: Path) -> None:
    with worker_without_aionet(running_cluster, tmp_path) as (address, process), serving(echo) as endpoint:
        found = measure_on(running_cluster.address, Plan(endpoint=endpoint, duration=1.0, warmup=0.0))
        assert process.poll() is None
    assert found.failures == [f"worker {address}: aionet is not installed there"]
    assert found.replies > 0
    assert address not in {worker.address for worker in found.workers}


def test_where_no_worker_can_connect_it_says_so(running_cluster: Cluster) -> None:
    with pytest.raises(NothingConnectedError, match=r"worker tcp://.* on .*: .*Connection refused"):
        measure_on(running_cluster.address, Plan(endpoint=refused(), duration=0.2))


def test_more_generators_than_connections_are_refused(running_cluster: Cluster) -> None:
    with pytest.raises(OptionError, match="generators for 2 connections"):
        measure_on(running_cluster.address, Plan(endpoint=refused(), connections=2, processes=3))


def test_a_scheduler_that_cannot_be_reached_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REACH", 0.5)
    with pytest.raises(ClusterError, match=r"^tcp://127\.0\.0\.1:\d+: no scheduler of a Dask cluster can be reached"):
        measure_on(refused(), Plan(endpoint="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("behave", [echo, sink], ids=["talks", "is silent"])
def test_something_else_than_a_scheduler_is_told_in_time(monkeypatch: pytest.MonkeyPatch, behave: Behaviour) -> None:
    monkeypatch.setattr(module, "_REACH", 0.5)
    with serving(behave) as endpoint, pytest.raises(ClusterError, match="no scheduler of a Dask cluster"):
        measure_on(endpoint, Plan(endpoint="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("given", ["local", "local:0", "local:x", "scheduler:8786", "", "tcp://"])
def test_what_names_no_cluster_is_refused(given: str) -> None:
    with pytest.raises(OptionError, match="expected tcp://scheduler:8786"):
        measure_on(given, Plan(endpoint="tcp://127.0.0.1:1"))


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'aionet[cluster]'")):
        measure_on("local:2", Plan(endpoint="tcp://127.0.0.1:1"))


def test_ctrl_c_in_the_terminal_ends_a_run_of_local_workers_with_what_was_measured() -> None:
    # A terminal signals the whole process group, the workers in it: that must not cost what they have measured.
    with serving(echo) as endpoint:
        command = [
            sys.executable,
            "-m",
            "aionet",
            "bench",
            endpoint,
            "-d",
            "60",
            "--warmup",
            "0",
            "--cluster",
            "local:2",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
        ) as process:
            try:
                assert process.stderr is not None
                said = [process.stderr.readline(), process.stderr.readline()]
                assert re.fullmatch(r" *1\.\d s  .*/s  p50 .*\n", said[1]), said
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=40)
            finally:
                process.kill()
    assert process.returncode == 130, err
    assert "messages answered a second" in out
    assert f"2 workers on {socket.gethostname()}; started at one time to within" in " ".join(out.split())
    assert "Ended early by Ctrl-C" in out
    assert "lost" not in out
    assert "Traceback" not in err
