"""The PROXY protocol in front of datagrams: each has a header of its own, which is taken off as it comes.

It is done before a datagram has a place in any queue, and before anybody is woken for it: who is not trusted takes no
room from those who are. A datagram cannot be answered with a reset, and whoever can send one can send many: so the
first refusal of each kind is logged, and all are counted.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aionet.address import from_sockaddr
from aionet.errors import ProxyProtocolError
from aionet.transport.received import without_header
from aionet.wire.proxy_protocol import split_proxied_datagram
from aionet.wire.proxy_v2 import size_of_v2

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from aionet.address import Address
    from aionet.transport.received import Datagram
    from aionet.wire.proxy_header import ProxyHeader
    from aionet.wire.proxy_trust import ProxyProtocol

__all__ = ["DatagramHeaders"]

logger = logging.getLogger("aionet")

# Proxies and clients that are remembered: a proxy mostly says the same of the next datagram, and to parse that anew
# costs more than to receive it.
_KEPT: Final = 4096


class DatagramHeaders:
    """Takes the headers off datagrams, drops those that may not or do not have one, and counts these."""

    __slots__ = ("_local", "_parse", "_trusts", "refused_headers", "refused_proxies")

    def __init__(self, sock: socket.socket, proxy: ProxyProtocol) -> None:
        self._local = from_sockaddr(sock.family, sock.getsockname())

        def parse(head: bytes) -> ProxyHeader:
            return split_proxied_datagram(head, max_size=proxy.max_header).header

        self._parse = lru_cache(_KEPT)(parse)
        self._trusts = lru_cache(_KEPT)(proxy.trusts)
        self.refused_proxies = 0
        self.refused_headers = 0

    def take_off(self, arrived: Iterable[Datagram]) -> list[Datagram]:
        """Return the datagrams that are left, each without its header, and with it."""
        left: list[Datagram] = []
        for datagram in arrived:
            if not self._trusts(datagram.peer):
                self.refused_proxies += 1
                if self.refused_proxies == 1:
                    self._log(datagram.peer, "the peer is no trusted proxy")
                continue
            size = size_of_v2(datagram.data)
            try:
                header = self._parse(datagram.data[:size])
            except ProxyProtocolError as exc:
                self.refused_headers += 1
                if self.refused_headers == 1:
                    self._log(datagram.peer, str(exc))
            else:
                left.append(without_header(datagram, datagram.data[size:], header))
        return left

    def _log(self, peer: Address, reason: str) -> None:
        message = "datagram refused: PROXY header on %s <- %s: %s; others like it are only counted"
        logger.warning(message, self._local, peer, reason)
