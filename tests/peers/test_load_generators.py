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
    pytest.param(["redis-server", "redis-benchmark"], beside.redis, lambda port: beside.pings(port, 1), id="redis"),
    pytest.param(["redis-server", "redis-benchmark"], beside.redis, lambda port: beside.pings(port, 16), id="pipeline"),
    pytest.param(["nginx", "wrk"], beside.nginx, beside.pages, id="wrk"),
    pytest.param(["iperf"], beside.iperf, beside.bulk, id="iperf"),
    pytest.param(["iperf"], beside.unread, beside.datagrams, id="iperf-udp"),
]


@pytest.mark.parametrize(("programs", "server", "pair"), PAIRS)
def test_both_find_the_same_server(
    programs: list[str], server: Callable[[], AbstractContextManager[int]], pair: Callable[[int], beside.Pair]
) -> None:
    for program in programs:
        require_tool(program)
    with server() as port:
        both = pair(port)
        theirs, ours = both.theirs(SECONDS), both.ours(SECONDS)
    assert theirs.rate > 0
    assert theirs.rate / 10 < ours.rate < theirs.rate * 10
