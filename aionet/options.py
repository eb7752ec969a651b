"""What can be set: SocketOptions, DatagramOptions, SessionOptions, Timeouts, Limits. Times in seconds, sizes in bytes.

Each is frozen and checked when it is made: a value out of range raises OptionError, which names the option, the value
and what is expected. ``attrs.evolve(options, ...)`` makes a changed copy.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from aionet.errors import OptionError

if TYPE_CHECKING:
    from aionet.address import InetAddress

__all__ = ["ECN", "LARGEST_DATAGRAM", "DatagramOptions", "Limits", "SessionOptions", "SocketOptions", "Timeouts"]

_Validator: TypeAlias = Callable[[Any, "attrs.Attribute[Any]", Any], None]

# The kernel doubles a buffer's size to account for its own overhead, and keeps it in a C int.
_MAX_BUFFER = 2**30 - 1
_MAX_BACKLOG = 2**31 - 1
# linux/net/tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT.
_MAX_KEEPALIVE_SECONDS = 32767
_MAX_KEEPALIVE_COUNT = 127
# TCP_USER_TIMEOUT counts milliseconds in a C int.
_MAX_USER_TIMEOUT = (2**31 - 1) / 1000
_MIN_USER_TIMEOUT = 0.001
_MAX_LINGER = 32767
_MAX_TTL = 255
# The largest payload of UDP: 65535 less its own header, over IPv6. Over IPv4 20 bytes less.
LARGEST_DATAGRAM = 65527
# More than any machine holds, and what the kernel's signed sizes can say.
_MAX_SIZE = 2**63 - 1
# RFC 8305 section 8: the delay must not be less.
_MIN_HAPPY_EYEBALLS_DELAY = 0.01


def _refuse(instance: object, name: str, value: object, expected: str) -> OptionError:
    return OptionError(f"{type(instance).__name__}: {name}={value!r}: expected {expected}")


def _validator(expected: str, is_good: Callable[[Any], bool]) -> _Validator:
    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not is_good(value):
            raise _refuse(instance, attribute.name, value, expected)

    return validate


def _optional(validator: _Validator) -> _Validator:
    # attrs' own optional() loses the type: mypy then takes ``float | None`` fields to hold floats only.
    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            validator(instance, attribute, value)

    return validate


def _is_number(value: object) -> bool:
    # bool is an int, but backlog=True is a mistake and no backlog of one. Infinity goes too: None says "no limit".
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _integer(lowest: int, highest: int) -> _Validator:
    return _validator(
        f"an integer from {lowest} to {highest}",
        lambda value: _is_number(value) and isinstance(value, int) and lowest <= value <= highest,
    )


def _seconds(lowest: float, highest: float = math.inf) -> _Validator:
    upper = "" if highest == math.inf else f" and at most {highest:.15g}"
    return _validator(
        f"seconds, at least {lowest:g}{upper}",
        lambda value: _is_number(value) and lowest <= value <= highest,
    )


_flag = _validator("True or False", lambda value: isinstance(value, bool))
_factor = _validator("a number, at least 1, or None for no limit", lambda value: _is_number(value) and value >= 1)
_ecn = _validator("one of ECN", lambda value: _is_number(value) and value in (0, 1, 2, 3))
_positive_seconds = _validator(
    "seconds, more than 0, or None for no limit", lambda value: _is_number(value) and value > 0
)


@attrs.frozen(kw_only=True)
class SocketOptions:
    """Options of the sockets that aionet makes. None leaves the system's own default, unless it says otherwise.

    | option | default | meaning |
    |---|---|---|
    | ``reuse_address`` | None | SO_REUSEADDR; None: on for listening Inet sockets, off for the others |
    | ``reuse_port`` | False | SO_REUSEPORT: several sockets, or processes, listen on one port |
    | ``nodelay`` | True | TCP_NODELAY: small writes leave at once (RFC 896 switched off) |
    | ``keepalive`` | False | SO_KEEPALIVE: probe a silent peer (RFC 1122 4.2.3.6) |
    | ``keepalive_idle`` | None | whole seconds of silence before the first probe, 1 to 32767 |
    | ``keepalive_interval`` | None | whole seconds between probes, 1 to 32767 |
    | ``keepalive_count`` | None | unanswered probes before the connection is broken, 1 to 127 |
    | ``user_timeout`` | None | TCP_USER_TIMEOUT: seconds that sent data may stay unacknowledged (RFC 5482) |
    | ``receive_buffer`` | None | SO_RCVBUF in bytes, as asked for, before the kernel doubles it; None: autotuned |
    | ``send_buffer`` | None | SO_SNDBUF in bytes, likewise |
    | ``dual_stack`` | None | whether a listening IPv6 socket takes IPv4 too (IPV6_V6ONLY off); None: no |
    | ``backlog`` | 4096 | connections that wait to be accepted; the system caps it |
    | ``linger`` | None | SO_LINGER in whole seconds, 0 to 32767; 0: closing resets the connection |
    | ``fast_open`` | False | TCP Fast Open (RFC 7413); a connect may then succeed before the peer has answered |

    What the system refused or capped is no error: ``refused_options`` of Stream, Listener and Server tells.

    Raises OptionError for a value out of range, and for keepalive times while ``keepalive`` is off.
    Source: man 7 socket, man 7 tcp, man 7 ipv6, man 2 listen.
    """

    reuse_address: bool | None = attrs.field(default=None, validator=_optional(_flag))
    reuse_port: bool = attrs.field(default=False, validator=_flag)
    nodelay: bool = attrs.field(default=True, validator=_flag)
    keepalive: bool = attrs.field(default=False, validator=_flag)
    keepalive_idle: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_KEEPALIVE_SECONDS)))
    keepalive_interval: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_KEEPALIVE_SECONDS)))
    keepalive_count: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_KEEPALIVE_COUNT)))
    user_timeout: float | None = attrs.field(
        default=None, validator=_optional(_seconds(_MIN_USER_TIMEOUT, _MAX_USER_TIMEOUT))
    )
    receive_buffer: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_BUFFER)))
    send_buffer: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_BUFFER)))
    dual_stack: bool | None = attrs.field(default=None, validator=_optional(_flag))
    # 4096 is Linux's own cap (net.core.somaxconn) since 5.4: ask for all that an untuned system gives.
    backlog: int = attrs.field(default=4096, validator=_integer(1, _MAX_BACKLOG))
    linger: int | None = attrs.field(default=None, validator=_optional(_integer(0, _MAX_LINGER)))
    fast_open: bool = attrs.field(default=False, validator=_flag)

    def __attrs_post_init__(self) -> None:
        if self.keepalive:
            return
        for name in ("keepalive_idle", "keepalive_interval", "keepalive_count"):
            value = getattr(self, name)
            if value is not None:
                raise _refuse(self, name, value, "None while keepalive is False; set keepalive=True")


class ECN(IntEnum):
    """Explicit congestion notification: what the two bits of an IP header say. Source: RFC 3168 section 5."""

    NOT_ECT = 0
    ECT_1 = 1
    ECT_0 = 2
    CE = 3


@attrs.frozen(kw_only=True)
class DatagramOptions:
    """Options and bounds of a datagram endpoint. None leaves the system's own default, unless it says otherwise.

    | option | default | meaning |
    |---|---|---|
    | ``receive_queue`` | 1024 | datagrams that wait to be received; beyond it the newest is dropped and counted |
    | ``receive_queue_bytes`` | 4194304 | bytes that wait to be received, likewise |
    | ``max_datagram_size`` | 65535 | bytes taken of one datagram; a larger one is truncated, and says so |
    | ``reuse_address`` | False | SO_REUSEADDR: several sockets may bind one address, as multicast programs do |
    | ``reuse_port`` | False | SO_REUSEPORT: the system spreads peers over the sockets of one port |
    | ``broadcast`` | False | SO_BROADCAST: allow sending to broadcast addresses |
    | ``dual_stack`` | None | whether an IPv6 endpoint takes IPv4 too (IPV6_V6ONLY off); None: where bound to ``*`` |
    | ``receive_buffer`` | None | SO_RCVBUF in bytes, as asked for, before the kernel doubles it |
    | ``send_buffer`` | None | SO_SNDBUF in bytes, likewise |
    | ``ttl`` | None | time to live, hop limit: 1 to 255 |
    | ``dont_fragment`` | None | True: no fragments, too large is an error (path MTU); False: the system fragments |
    | ``ecn`` | None | the ECN bits of what is sent (RFC 3168) |
    | ``receive_ecn`` | False | tell the ECN bits of what is received |
    | ``pktinfo`` | False | tell the local address at which a datagram arrived |
    | ``timestamps`` | False | tell when the kernel received a datagram |
    | ``gro`` | None | UDP_GRO: take runs of datagrams at once; None: from the first recv_many or recv_batch on |
    | ``gso`` | True | UDP_SEGMENT: send_many hands over runs of datagrams at once |
    | ``multicast_interface`` | None | where multicast is sent: an interface's name, index or address |
    | ``multicast_ttl`` | None | hops of multicast, 0 to 255 |
    | ``multicast_loopback`` | None | whether this machine receives what it sends itself |

    What the system refused or capped is no error: ``DatagramEndpoint.refused_options`` tells. UDP_GRO and UDP_SEGMENT
    are used where the system has them, and nothing else changes where it does not.

    Raises OptionError for a value out of range.
    Source: man 7 socket, man 7 udp, man 7 ip, man 7 ipv6.
    """

    receive_queue: int = attrs.field(default=1024, validator=_integer(1, _MAX_SIZE))
    # What 1024 datagrams of an Ethernet's size take, and some more.
    receive_queue_bytes: int = attrs.field(default=4 * 1024 * 1024, validator=_integer(1, _MAX_SIZE))
    max_datagram_size: int = attrs.field(default=65535, validator=_integer(1, _MAX_BUFFER))
    reuse_address: bool = attrs.field(default=False, validator=_flag)
    reuse_port: bool = attrs.field(default=False, validator=_flag)
    broadcast: bool = attrs.field(default=False, validator=_flag)
    dual_stack: bool | None = attrs.field(default=None, validator=_optional(_flag))
    receive_buffer: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_BUFFER)))
    send_buffer: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_BUFFER)))
    ttl: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_TTL)))
    dont_fragment: bool | None = attrs.field(default=None, validator=_optional(_flag))
    ecn: ECN | None = attrs.field(default=None, validator=_optional(_ecn))
    receive_ecn: bool = attrs.field(default=False, validator=_flag)
    pktinfo: bool = attrs.field(default=False, validator=_flag)
    timestamps: bool = attrs.field(default=False, validator=_flag)
    gro: bool | None = attrs.field(default=None, validator=_optional(_flag))
    gso: bool = attrs.field(default=True, validator=_flag)
    multicast_interface: str | int | InetAddress | None = None
    multicast_ttl: int | None = attrs.field(default=None, validator=_optional(_integer(0, _MAX_TTL)))
    multicast_loopback: bool | None = attrs.field(default=None, validator=_optional(_flag))

    def __attrs_post_init__(self) -> None:
        if self.gro and self.max_datagram_size < LARGEST_DATAGRAM:
            expected = f"at least {LARGEST_DATAGRAM} with gro=True: a run of datagrams has to fit"
            raise _refuse(self, "max_datagram_size", self.max_datagram_size, expected)


@attrs.frozen(kw_only=True)
class SessionOptions:
    """What the peers of a datagram server may take of it. None: no limit.

    | option | default | bounds |
    |---|---|---|
    | ``max_sessions`` | 10000 | sessions at a time; a datagram of one peer more is dropped and counted |
    | ``max_sessions_per_prefix`` | 1024 | sessions of one network at a time, likewise |
    | ``ipv4_prefix`` | 24 | bits of an IPv4 address that make a network, 1 to 32 |
    | ``ipv6_prefix`` | 56 | bits of an IPv6 address that make a network, 1 to 128 |
    | ``session_queue`` | 64 | datagrams that wait for one handler; beyond it the newest is dropped and counted |
    | ``session_queue_bytes`` | 262144 | bytes that wait for one handler, likewise |
    | ``queue_bytes`` | 16777216 | bytes that wait for all handlers together, likewise |
    | ``idle`` | 30 | seconds without a datagram from the peer, then the session ends; up to a quarter late |
    | ``amplification`` | 3 | bytes sent for each byte received, until the handler validates the peer |
    | ``privileged_ports`` | False | whether peers may send from the ports below 1024, those of servers |
    | ``drain`` | 30 | seconds that handlers have left when the server drains; 0: nothing |

    Raises OptionError for a value out of range.
    Source: RFC 9000 section 8.1 for ``amplification``; RFC 6177 for ``ipv6_prefix``: what a home gets.
    """

    max_sessions: int = attrs.field(default=10_000, validator=_integer(1, _MAX_SIZE))
    max_sessions_per_prefix: int | None = attrs.field(default=1024, validator=_optional(_integer(1, _MAX_SIZE)))
    ipv4_prefix: int = attrs.field(default=24, validator=_integer(1, 32))
    ipv6_prefix: int = attrs.field(default=56, validator=_integer(1, 128))
    session_queue: int = attrs.field(default=64, validator=_integer(1, _MAX_SIZE))
    session_queue_bytes: int = attrs.field(default=256 * 1024, validator=_integer(1, _MAX_SIZE))
    queue_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=_integer(1, _MAX_SIZE))
    idle: float | None = attrs.field(default=30.0, validator=_optional(_positive_seconds))
    amplification: float | None = attrs.field(default=3.0, validator=_optional(_factor))
    privileged_ports: bool = attrs.field(default=False, validator=_flag)
    drain: float | None = attrs.field(default=30.0, validator=_optional(_seconds(0)))


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long things may take, in seconds. None: no limit.

    | timeout | default | bounds |
    |---|---|---|
    | ``connect`` | 30 | resolving and connecting, over all addresses together |
    | ``happy_eyeballs_delay`` | 0.25 | head start of each address, at least 0.01; None: the next waits for a failure |
    | ``tls_handshake`` | 10 | the TLS handshake, from the connection or from start_tls on |
    | ``close`` | 5 | the graceful part of closing, then the stream is aborted; 0: no such part |
    | ``first_bytes`` | None | from the connection to the first byte that arrives |
    | ``idle`` | None | no byte in either direction |
    | ``message`` | None | one recv_exactly, recv_until, recv_line, peek or framed message from its call on |
    | ``write_stall`` | None | from the write queue rising above high water until it falls to low water |
    | ``drain`` | 30 | what handlers have left when a server drains; 0: nothing |

    ``first_bytes``, ``idle``, ``message`` and ``write_stall`` abort the stream with StreamTimeoutError; all of them but
    ``message`` up to a quarter of the shortest of them late.

    Raises OptionError for a value out of range.
    Source: RFC 8305 sections 5 and 8 for ``happy_eyeballs_delay``.
    """

    connect: float | None = attrs.field(default=30.0, validator=_optional(_positive_seconds))
    happy_eyeballs_delay: float | None = attrs.field(
        default=0.25, validator=_optional(_seconds(_MIN_HAPPY_EYEBALLS_DELAY))
    )
    tls_handshake: float | None = attrs.field(default=10.0, validator=_optional(_positive_seconds))
    close: float | None = attrs.field(default=5.0, validator=_optional(_seconds(0)))
    first_bytes: float | None = attrs.field(default=None, validator=_optional(_positive_seconds))
    idle: float | None = attrs.field(default=None, validator=_optional(_positive_seconds))
    message: float | None = attrs.field(default=None, validator=_optional(_positive_seconds))
    write_stall: float | None = attrs.field(default=None, validator=_optional(_positive_seconds))
    drain: float | None = attrs.field(default=30.0, validator=_optional(_seconds(0)))


def _quarter_of_high_water(limits: Any) -> int:  # noqa: ANN401 - a Limits, of values not yet checked
    # A quarter, as asyncio has it: the queue is refilled before it runs dry. Defaults come before validation.
    return limits.high_water // 4 if isinstance(limits.high_water, int) else 0


@attrs.frozen(kw_only=True)
class Limits:
    """How much there may be, so that no peer decides how much memory is used.

    | limit | default | bounds |
    |---|---|---|
    | ``max_connections`` | None | connections of one server at a time; there accepting pauses |
    | ``high_water`` | 65536 | bytes in a stream's write queue above which sending waits |
    | ``low_water`` | high_water / 4 | bytes in the write queue at which sending goes on; at most ``high_water`` |
    | ``receive_buffer`` | 262144 | bytes that arrived and nobody has received, above which reading pauses |

    ``max_connections`` None is the smaller of 10 000 and 80 % of RLIMIT_NOFILE, found when the server starts.

    Raises OptionError for a value out of range.
    """

    max_connections: int | None = attrs.field(default=None, validator=_optional(_integer(1, _MAX_SIZE)))
    high_water: int = attrs.field(default=65536, validator=_integer(0, _MAX_SIZE))
    low_water: int = attrs.field(
        default=attrs.Factory(_quarter_of_high_water, takes_self=True), validator=_integer(0, _MAX_SIZE)
    )
    receive_buffer: int = attrs.field(default=262144, validator=_integer(1, _MAX_SIZE))

    def __attrs_post_init__(self) -> None:
        if self.low_water > self.high_water:
            raise _refuse(self, "low_water", self.low_water, f"at most high_water, which is {self.high_water}")
