"""What both halves of a stream share: the transport, the protocol, and the words for what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aionet.stream.failures import ends, failure_of

if TYPE_CHECKING:
    from aionet.stream.protocol import StreamProtocol
    from aionet.transport.stream import StreamTransport

__all__ = ["StreamBase"]


class StreamBase:
    """A connection, as long as nobody has closed it."""

    __slots__ = ("__weakref__", "_closed", "_protocol", "_transport")

    def __init__(self, transport: StreamTransport, protocol: StreamProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closed = False

    def _ends(self, arrow: str) -> str:
        return ends(self._transport, arrow)

    def _raise_if_over(self, operation: str) -> None:
        failure = failure_of(operation, self._transport, self._protocol, closed=self._closed)
        if failure is not None:
            raise failure from failure.__cause__
