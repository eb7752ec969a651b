"""What is received: a datagram, or a batch of them as the kernel hands it over, and how they are made of what it said.

A Datagram is a plain class with slots, and those about which nothing was asked have two of them: one is made for each
datagram that arrives, and everything else that Python has for a value costs more.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from aionet.address import from_sockaddr
from aionet.system.ancillary import Control, parse, segment_size
from aionet.wire.segments import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aionet.address import Address, InetAddress
    from aionet.options import ECN
    from aionet.system.types import SockAddr
    from aionet.wire.proxy_header import ProxyHeader

__all__ = ["Datagram", "DatagramBatch", "Interpreter", "Peers", "without_header"]

_T = TypeVar("_T")

# Peers whose addresses are kept: making one anew costs as much as receiving the datagram.
_KEPT: Final = 4096
_NOTHING: Final = Control(None, None, None)
_TRUNCATED: Final = socket.MSG_TRUNC


class Datagram:
    """One datagram. What was not asked for in DatagramOptions is None."""

    __slots__ = ("data", "peer")
    __match_args__ = ("data", "peer")

    data: bytes
    peer: Address
    """Who sent it, and who is answered; behind a proxy that is the proxy."""
    local: InetAddress | None = None
    """Our address at which it arrived: ``pktinfo``."""
    ecn: ECN | None = None
    """The congestion bits of its header: ``receive_ecn``."""
    timestamp: int | None = None
    """When the kernel received it, in nanoseconds since the epoch: ``timestamps``."""
    truncated: bool = False
    """Whether it was larger than ``max_datagram_size``, and the rest is lost."""
    proxy: ProxyHeader | None = None
    """The PROXY protocol's header that it came with: ``bind_datagram(..., proxy=...)``."""

    def __init__(self, data: bytes, peer: Address) -> None:
        self.data = data
        self.peer = peer

    @property
    def source(self) -> Address:
        """The original sender: what the header names; the peer, where there is no header or it names nobody."""
        return self.peer if self.proxy is None or self.proxy.source is None else self.proxy.source

    def _fields(self) -> tuple[object, ...]:
        return (self.data, self.peer, self.local, self.ecn, self.timestamp, self.truncated, self.proxy)

    def __repr__(self) -> str:
        told = {"local": self.local, "ecn": self.ecn, "timestamp": self.timestamp, "truncated": self.truncated or None}
        details = "".join(f" {name}={value}" for name, value in told.items() if value is not None)
        source = self.source
        return f"<Datagram {self.data!r} from {source}{'' if source is self.peer else f' via {self.peer}'}{details}>"

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Datagram) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())


class _DetailedDatagram(Datagram):
    """One of which more is known."""

    __slots__ = ("ecn", "local", "timestamp", "truncated")

    def __init__(self, data: bytes, peer: Address, control: Control, truncated: bool) -> None:  # noqa: FBT001 - one is made for each datagram
        self.data = data
        self.peer = peer
        self.local, self.ecn, self.timestamp = control
        self.truncated = truncated


class _ProxiedDatagram(Datagram):
    """One that came with a header."""

    __slots__ = ("ecn", "local", "proxy", "timestamp", "truncated")


def without_header(datagram: Datagram, data: bytes, header: ProxyHeader) -> Datagram:
    """Return a datagram of which only this data is left, beside the header that it came with."""
    left = _ProxiedDatagram(data, datagram.peer)
    left.local, left.ecn, left.timestamp = datagram.local, datagram.ecn, datagram.timestamp
    left.truncated, left.proxy = datagram.truncated, header
    return left


class DatagramBatch(NamedTuple):
    """Datagrams of one peer as one piece: each ``segment_size`` bytes of ``data``, the last perhaps fewer."""

    data: bytes
    segment_size: int
    peer: Address
    local: InetAddress | None = None
    ecn: ECN | None = None
    timestamp: int | None = None
    truncated: bool = False
    proxy: ProxyHeader | None = None

    @property
    def datagrams(self) -> int:
        """How many datagrams there are."""
        return -(-len(self.data) // self.segment_size) if self.data else 1

    def split(self) -> list[Datagram]:
        """Return each datagram by itself."""
        data, size, peer, local, ecn, timestamp, truncated, proxy = self
        pieces = cut(data, size) if size < len(data) else [data]
        if local is None and ecn is None and timestamp is None and not truncated and proxy is None:
            return [Datagram(piece, peer) for piece in pieces]
        control = Control(local, ecn, timestamp)
        split: list[Datagram] = [_DetailedDatagram(piece, peer, control, truncated) for piece in pieces]
        return split if proxy is None else [without_header(each, each.data, proxy) for each in split]


class Peers(dict[Any, _T]):
    """What is made of each sockaddr, made once. A peer cannot make it grow: full, it starts anew."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, sockaddr: Any) -> _T:  # noqa: ANN401 - what the kernel or the socket module gives
        if len(self) >= _KEPT:
            self.clear()
        made = self[sockaddr] = self._make(sockaddr)
        return made


class Interpreter:
    """Makes sense of what recvmsg returned, and counts what it finds.

    ``asked`` says whether control messages other than that of UDP_GRO are to be looked for.
    """

    __slots__ = ("_addresses", "_asked", "_port", "gro", "gro_batches", "truncated")

    def __init__(self, sock: socket.socket, *, asked: bool) -> None:
        self._addresses = Peers(partial(from_sockaddr, sock.family))
        self._port: int = 0 if sock.family == socket.AF_UNIX else sock.getsockname()[1]
        self._asked = asked
        self.gro = False
        self.gro_batches = 0
        self.truncated = 0

    def detailed(self, received: Collection[Any]) -> list[Datagram]:
        """Return the datagrams."""
        return [datagram for each in received for datagram in self._batch(each).split()]

    def batches(self, received: Collection[Any]) -> list[DatagramBatch]:
        """Return what came, as it came."""
        return list(map(self._batch, received))

    def _batch(self, received: tuple[bytes, list[tuple[int, int, bytes]], int, SockAddr]) -> DatagramBatch:
        data, messages, flags, sockaddr = received
        size = segment_size(messages) if self.gro else 0
        if 0 < size < len(data):
            self.gro_batches += 1
        truncated = bool(flags & _TRUNCATED)
        self.truncated += truncated
        details = parse(messages, self._port) if self._asked else _NOTHING
        return DatagramBatch(data, size or len(data), self._addresses[sockaddr], *details, truncated)
