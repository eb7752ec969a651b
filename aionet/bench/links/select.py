"""Which links a plan asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.bench.links.bulk import Sink, Source
from aionet.bench.links.connecting import Connecting
from aionet.bench.links.datagram import DatagramEcho, DatagramRequest, DatagramSink, DatagramSource
from aionet.bench.links.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from aionet.bench.links.link import Link, Run
    from aionet.bench.plan import Mode

__all__ = ["link"]

_STREAMS: Final[Mapping[Mode, type[Link]]] = {
    "echo": Exchange,
    "request-file": Exchange,
    "sink": Sink,
    "source": Source,
    "connect": Connecting,
}
_DATAGRAMS: Final[Mapping[Mode, type[Link]]] = {
    "echo": DatagramEcho,
    "request-file": DatagramRequest,
    "sink": DatagramSink,
    "source": DatagramSource,
}


def link(run: Run) -> Link:
    """Return a new link for that run."""
    return (_DATAGRAMS if run.plan.datagrams else _STREAMS)[run.plan.mode](run)
