"""Multicast and broadcast from one network namespace to another, which the test makes and which vanish with it."""

from __future__ import annotations

import subprocess

import pytest

from tests.faults.running import running
from tests.programs import every_loop
from tests.tools import require_tool


@every_loop
def test_groups_and_broadcasts_reach_another_network(loop: str) -> None:
    require_tool("ip")
    unshare = [require_tool("unshare"), "--map-root-user", "--net"]
    if subprocess.run(
        [*unshare, "ip", "link", "add", "near", "type", "veth"], capture_output=True, check=False
    ).returncode:
        pytest.skip("no network of its own is allowed here")
    with running("multicast", loop, within=unshare) as script:
        assert [script.answer() for _ in range(5)] == [
            ["239.1.2.3", "from", "any", "unwanted", "wanted"],
            ["239.1.2.3", "from", "10.77.0.1", "wanted"],
            ["ff15::77", "from", "any", "unwanted", "wanted"],
            ["ff15::77", "from", "fd77::1", "wanted"],
            ["broadcast:", "to", "all"],
        ]
        assert script.status() == 0, script.said()
