"""What is received: a datagram, or a run of them, with what is known about it; and what an endpoint has done so far.

A Datagram is a tuple with names, since one is made for each that arrives, and nothing else that cannot be changed is
made as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import attrs

from aionet.wire.segments import cut

if TYPE_CHECKING:
    from aionet.address import Address, InetAddress
    from aionet.options import ECN

__all__ = ["Datagram", "DatagramBatch", "DatagramStatistics"]


class Datagram(NamedTuple):
    """One datagram. What was not asked for in DatagramOptions is None."""

    data: bytes
    peer: Address
    """Who sent it."""
    local: InetAddress | None = None
    """Our address at which it arrived: ``pktinfo``."""
    ecn: ECN | None = None
    """The congestion bits of its header: ``receive_ecn``."""
    timestamp: int | None = None
    """When the kernel received it, in nanoseconds since the epoch: ``timestamps``."""
    truncated: bool = False
    """Whether it was larger than ``max_datagram_size``, and the rest is lost."""


class DatagramBatch(NamedTuple):
    """Datagrams of one peer as one piece: each ``segment_size`` bytes of ``data``, the last perhaps fewer."""

    data: bytes
    segment_size: int
    peer: Address
    local: InetAddress | None = None
    ecn: ECN | None = None
    timestamp: int | None = None
    truncated: bool = False

    @property
    def datagrams(self) -> int:
        """How many datagrams there are."""
        return -(-len(self.data) // self.segment_size) if self.segment_size else 1

    def split(self) -> list[bytes]:
        """Return the data of each datagram."""
        return cut(self.data, self.segment_size) if self.data else [self.data]


@attrs.frozen
class DatagramStatistics:
    """What an endpoint has done so far, in datagrams unless it says otherwise.

    ``received`` is ``delivered`` and ``dropped_queue`` together. What waits in ``receive_queue`` is not in it yet, and
    what the kernel had no room for is in ``dropped_kernel`` alone.
    """

    received: int
    delivered: int
    """Handed over by a receiving operation."""
    dropped_queue: int
    """Dropped because the receive queue was full, or waiting there when you closed the endpoint."""
    dropped_kernel: int
    """Dropped by the system, whose receive buffer was full (or which found a wrong checksum); 0 where it does not say."""
    truncated: int
    receive_queue: int
    """Waiting to be received."""
    sent: int
    send_blocked: int
    """Times that a sender had to wait for room."""
    gso_batches: int
    """Runs of datagrams that left at once (UDP_SEGMENT)."""
    gro_batches: int
    """Runs of datagrams that came at once (UDP_GRO)."""
