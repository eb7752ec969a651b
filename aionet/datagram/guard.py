"""Who may have a session: the caps, overall and for each network, and the ports that no client sends from.

A server's port as the source of a datagram mostly means a forged address: two servers that answer each other's answers
go on for ever, and a victim's server is what an attacker wants to see busy. IPv6 is capped by network since a single
host has more addresses than there are sessions, IPv4 as well since that is how addresses are handed out.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from aionet.address import InetAddress, UnixAddress

if TYPE_CHECKING:
    from aionet.address import Address
    from aionet.options import SessionOptions

__all__ = ["Guard", "network_of"]

_FIRST_UNPRIVILEGED: Final = 1024  # IANA's system ports, RFC 6335 section 6
_MAPPED: Final = "::ffff:"  # an IPv4 peer on an IPv6 socket

_IPV4_BITS: Final = 32
_IPV6_BITS: Final = 128


class Guard:
    """Counts sessions, and what it turned away."""

    __slots__ = ("_active", "_networks", "_options", "dropped_max_sessions", "dropped_prefix", "dropped_source")

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._active = 0
        self._networks: dict[tuple[int, int], int] = {}
        self.dropped_max_sessions = self.dropped_prefix = self.dropped_source = 0

    def admit(self, peer: Address, proxy: Address | None = None) -> bool:
        """Say whether a peer may have a session, and count it; ``leave`` takes it back.

        ``proxy`` is who is answered in place of the peer, if anybody is.
        """
        if not self._answerable(peer, proxy or peer):
            self.dropped_source += 1
            return False
        if self._active >= self._options.max_sessions:
            self.dropped_max_sessions += 1
            return False
        most = self._options.max_sessions_per_prefix
        if most is not None and isinstance(peer, InetAddress):
            network = network_of(peer, self._options)
            count = self._networks.get(network, 0)
            if count >= most:
                self.dropped_prefix += 1
                return False
            self._networks[network] = count + 1
        self._active += 1
        return True

    def leave(self, peer: Address) -> None:
        """Forget a session that has ended."""
        self._active -= 1
        if self._options.max_sessions_per_prefix is not None and isinstance(peer, InetAddress):
            network = network_of(peer, self._options)
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

    def _answerable(self, peer: Address, answered: Address) -> bool:
        if isinstance(answered, UnixAddress) and not answered.path:  # a socket without a name
            return False
        if not isinstance(peer, InetAddress):
            return True
        return peer.port >= _FIRST_UNPRIVILEGED or (self._options.privileged_ports and peer.port > 0)


def network_of(peer: InetAddress, options: SessionOptions) -> tuple[int, int]:
    """Return the family and the leading bits of an address; an IPv4 peer of an IPv6 socket is IPv4."""
    host, family = peer.host, peer.family
    if host.startswith(_MAPPED) and "." in host:
        host, family = host.removeprefix(_MAPPED), socket.AF_INET
    number = int.from_bytes(socket.inet_pton(family, host), "big")
    if family == socket.AF_INET:
        return family, number >> (_IPV4_BITS - options.ipv4_prefix)
    return family, number >> (_IPV6_BITS - options.ipv6_prefix)
