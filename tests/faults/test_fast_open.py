"""TCP Fast Open: a connect that succeeds before the peer was even asked is no failed connect."""

from __future__ import annotations

import subprocess

import pytest

from tests.faults.running import running
from tests.programs import every_loop
from tests.tools import require_tool


@every_loop
def test_data_leaves_with_the_first_packet(loop: str) -> None:
    unshare = [require_tool("unshare"), "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network of its own is allowed here")
    with running("fast_open", loop, within=unshare) as script:
        replies, fast_opens = script.answer()
        assert replies == ["hello"] * 3
        assert fast_opens == 2  # the first one fetched the cookie
        assert script.status() == 0
        assert not script.said()
