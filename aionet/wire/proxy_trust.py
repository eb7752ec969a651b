"""ProxyProtocol: which header a server takes, and from whom.

Whoever may send the header may claim to be anybody. So there is no default for who may, and no guessing whether there
is a header: the specification forbids both (sections 2 and 5).
"""

from __future__ import annotations

import ipaddress
import math
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, TypeAlias, get_args

import attrs

from aionet.address import Address, InetAddress
from aionet.errors import OptionError
from aionet.wire.proxy_protocol import MAX_HEADER, ProxyMode

__all__ = ["ProxyProtocol", "TrustedProxy"]

# A network, or "unix:": whoever can connect to our Unix sockets, which their files' permissions decide.
TrustedProxy: TypeAlias = str | IPv4Network | IPv6Network

_UNIX: Final = "unix:"
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_SMALLEST: Final = 16 + 2 * 108  # a header of version 2 with two Unix addresses
_LARGEST: Final = 16 + 0xFFFF


def _network(value: TrustedProxy) -> TrustedProxy:
    if value == _UNIX:
        return value
    try:
        network = value if isinstance(value, IPv4Network | IPv6Network) else ipaddress.ip_network(value)
    except ValueError as exc:
        raise OptionError(
            f"ProxyProtocol: trusted={value!r}: expected a network such as 10.0.0.0/8, an address or unix: ({exc})"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))
    return network


def _number(value: object) -> float:
    """Return it, or for what is no number that which is within no bounds."""
    return value if isinstance(value, int | float) else math.nan


def _networks(value: Any) -> tuple[TrustedProxy, ...]:  # noqa: ANN401 - what it is, is for this to find out
    if isinstance(value, str):  # it would be taken for a list of its letters
        raise OptionError(f"ProxyProtocol: trusted={value!r}: expected a list, [{value!r}]")
    try:
        given: tuple[TrustedProxy, ...] = tuple(value)
    except TypeError:
        raise OptionError(f"ProxyProtocol: trusted={value!r}: expected a list of networks") from None
    networks = tuple(map(_network, given))
    if not networks:
        raise OptionError("ProxyProtocol: trusted is empty: expected at least one network, or nobody could connect")
    return networks


@attrs.frozen(kw_only=True)
class ProxyProtocol:
    """How a server takes the PROXY protocol.

    | option | default | meaning |
    |---|---|---|
    | ``mode`` | | ``"v1"``, ``"v2"`` or ``"either"`` |
    | ``trusted`` | | networks or addresses that proxies connect from; ``"unix:"``: whoever connects to a Unix socket |
    | ``timeout`` | 5 | seconds from the connection to the end of the header, however slowly it drips in |
    | ``max_header`` | 4096 | bytes of a header of version 2, 232 to 65551; version 1 has at most 107 |

    Raises OptionError for a value out of range, for what is no network and for an empty ``trusted``.
    Source: PROXY protocol, sections 2 and 5.
    """

    mode: ProxyMode
    trusted: tuple[TrustedProxy, ...] = attrs.field(converter=_networks)
    timeout: float = 5.0
    max_header: int = MAX_HEADER

    def __attrs_post_init__(self) -> None:
        if self.mode not in get_args(ProxyMode):
            raise OptionError(f"ProxyProtocol: mode={self.mode!r}: expected v1, v2 or either")
        if not 0 < _number(self.timeout) < math.inf:
            raise OptionError(f"ProxyProtocol: timeout={self.timeout!r}: expected seconds, more than 0")
        if not _SMALLEST <= _number(self.max_header) <= _LARGEST:
            raise OptionError(f"ProxyProtocol: max_header={self.max_header!r}: expected {_SMALLEST} to {_LARGEST}")

    def trusts(self, peer: Address) -> bool:
        """Whether ``peer`` is a proxy that is believed. An IPv4 address inside IPv6 (::ffff:0:0/96) counts as IPv4."""
        if not isinstance(peer, InetAddress):
            return _UNIX in self.trusted
        address = ipaddress.ip_address(peer.host)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self.trusted if not isinstance(network, str))
