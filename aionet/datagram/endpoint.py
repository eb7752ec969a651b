"""DatagramEndpoint: datagrams both ways, with async and await.

Its halves are receiving.py and sending.py, its groups multicast.py; here are its life and its facts.
"""

from __future__ import annotations

import socket
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, Self

from aionet.datagram.multicast import MulticastEndpoint
from aionet.datagram.statistics import DatagramStatistics
from aionet.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aionet.address import Address
    from aionet.options import DatagramOptions
    from aionet.system.sockopts import RefusedOption
    from aionet.transport.datagram_queue import DatagramQueue

__all__ = ["DatagramEndpoint"]

# linux/in.h, linux/in6.h
_IP_MTU: Final = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}


class DatagramEndpoint(MulticastEndpoint):
    """A datagram socket: UDP, or a Unix datagram socket, bound or connected.

    One task may receive at a time, any number may send. ``async for datagram in endpoint`` receives until somebody
    closes the endpoint, which then raises; ``async with endpoint`` closes it at the end of the block.
    """

    __slots__ = ("_opened", "_refused")

    def __init__(
        self, transport: DatagramQueue, options: DatagramOptions, refused: tuple[RefusedOption, ...] = ()
    ) -> None:
        super().__init__(transport, options)
        self._refused = refused
        self._opened = "".join(traceback.format_stack(limit=12)[:-1]) if sys.flags.dev_mode else ""

    def __repr__(self) -> str:
        peer = "" if self._peer is None else f" <-> {self._peer}"
        return f"<DatagramEndpoint {self._local}{peer}{' CLOSED' if self.closed else ''}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        transport = getattr(self, "_transport", None)
        if transport is None or transport.is_closing():
            return
        opened = f"\nopened at:\n{self._opened}" if self._opened else ""
        _warn(f"unclosed endpoint {self!r}{opened}", ResourceWarning, source=self)
        transport.abandon()

    # --- closing ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close. What nobody has received is dropped, and counted; whoever waits gets ClosedError. Idempotent."""
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def local(self) -> Address:
        """Our address, with the port that the system chose."""
        return self._local

    @property
    def peer(self) -> Address | None:
        """The address that the endpoint is connected to, if it is."""
        return self._peer

    @property
    def closed(self) -> bool:
        """Whether you have closed the endpoint."""
        return self._transport.is_closing()

    @property
    def refused_options(self) -> tuple[RefusedOption, ...]:
        """The options that the system refused or capped."""
        return self._refused

    @property
    def path_mtu(self) -> int | None:
        """The largest packet, headers included, that is known to reach the peer; None where that is not known.

        Only a connected endpoint has one. Source: IP_MTU in ip(7), IPV6_MTU in ipv6(7).
        """
        if self.closed:
            raise ClosedError.of("path_mtu", str(self._local))
        sock: socket.socket = self.get_extra_info("socket")
        try:
            return sock.getsockopt(*_IP_MTU[socket.AddressFamily(self._family)])
        except (KeyError, OSError):
            return None

    def statistics(self) -> DatagramStatistics:
        """Return the counts so far."""
        transport = self._transport
        headers = transport.headers
        refused_proxies = 0 if headers is None else headers.refused_proxies
        refused_headers = 0 if headers is None else headers.refused_headers
        return DatagramStatistics(
            received=transport.delivered + transport.dropped_queue + refused_proxies + refused_headers,
            delivered=transport.delivered,
            dropped_queue=transport.dropped_queue,
            dropped_kernel=transport.dropped_kernel(),
            truncated=transport.interpreter.truncated,
            refused_proxies=refused_proxies,
            refused_headers=refused_headers,
            receive_queue=transport.waiting,
            sent=transport.sent,
            send_blocked=transport.send_blocked,
            gso_batches=self._gso_batches,
            gro_batches=transport.interpreter.gro_batches,
        )

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        """Return what asyncio's transports call ``socket``, ``sockname`` and ``peername``, or ``default``."""
        return self._transport.get_extra_info(name, default)
