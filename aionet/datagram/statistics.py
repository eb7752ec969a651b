"""What a datagram endpoint has done so far."""

from __future__ import annotations

import attrs

__all__ = ["DatagramStatistics"]


@attrs.frozen
class DatagramStatistics:
    """What an endpoint has done so far, in datagrams unless it says otherwise.

    ``received`` is ``delivered``, ``dropped_queue`` and both that were refused, together. What waits in
    ``receive_queue`` is not in it yet, and what the kernel had no room for is in ``dropped_kernel`` alone.
    """

    received: int
    delivered: int
    """Handed over by a receiving operation."""
    dropped_queue: int
    """Dropped because the receive queue was full, or waiting there when you closed the endpoint."""
    dropped_kernel: int
    """Dropped by the system: its buffer was full, or a checksum was wrong; 0 where it does not say."""
    truncated: int
    refused_proxies: int
    """From senders that ``ProxyProtocol.trusted`` does not name."""
    refused_headers: int
    """From a trusted proxy, without a whole and good header."""
    receive_queue: int
    """Waiting to be received."""
    sent: int
    send_blocked: int
    """Times that a sender had to wait for room."""
    gso_batches: int
    """Runs of datagrams that left at once (UDP_SEGMENT)."""
    gro_batches: int
    """Runs of datagrams that came at once (UDP_GRO)."""
