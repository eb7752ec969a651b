"""What is told of a machine and of the processes on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from aionet.bench.machine import cpu_seconds


def test_the_cpu_time_of_a_process_is_known_to_less_than_a_hundredth_of_a_second() -> None:
    seen: set[float | None] = set()
    before = time.process_time()
    for _ in range(100):
        seen.add(cpu_seconds(os.getpid()))
    after = time.process_time()
    assert len(seen) > 50  # each look takes time, and it shows
    assert all(used is not None and before <= used <= after for used in seen)


def test_that_of_another_process_counts_all_of_its_threads() -> None:
    program = """if True:
        import threading, time
        def burn():
            while time.thread_time() < 0.1:
                pass
        threads = [threading.Thread(target=burn) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(time.process_time(), flush=True)
        input()
    """
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = float(process.stdout.readline())
        used = cpu_seconds(process.pid)
        process.communicate(b"\n")
    assert said >= 0.2
    assert used is not None
    assert said <= used < said + 0.1


@pytest.mark.parametrize("pid", [0, -1, 999_999_999, 10**12, 10**30])
def test_of_no_process_nothing_is_known(pid: int) -> None:
    assert cpu_seconds(pid) is None
