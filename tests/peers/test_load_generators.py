"""aionet bench beside other people's load generators, on the same servers.

How near the figures are to each other is for ``python -m benchmarks.beside`` on a quiet machine; here each of the two
only has to be in the other's neighbourhood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import beside
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SECONDS = 0.5
PAIRS = [
    pytest.param(["redis-server", "redis-benchmark"], beside.redis, lambda server: beside.pings(server, 1), id="redis"),
    pytest.param(
        ["redis-server", "redis-benchmark"], beside.redis, lambda server: beside.pings(server, 16), id="pipeline"
    ),
    pytest.param(["nginx", "wrk"], beside.nginx, beside.pages, id="wrk"),
    pytest.param(["iperf"], beside.iperf, beside.bulk, id="iperf"),
    pytest.param(["iperf"], beside.unread, beside.datagrams, id="iperf-udp"),
]


@pytest.mark.parametrize(("programs", "running", "pair"), PAIRS)
def test_both_find_the_same_server(
    programs: list[str],
    running: Callable[[], AbstractContextManager[beside.Server]],
    pair: Callable[[beside.Server], beside.Pair],
) -> None:
    for program in programs:
        require_tool(program)
    with running() as server:
        both = pair(server)
        theirs, ours = both.theirs(SECONDS), both.ours(SECONDS)
    assert theirs.rate > 0
    assert min(theirs.generator, ours.generator) > 0
    assert (min(theirs.server, ours.server) > 0) == (server.pid > 0)
    assert theirs.rate / 10 < ours.rate < theirs.rate * 10
