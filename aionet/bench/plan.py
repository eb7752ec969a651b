"""What a run does: all that has to be known to do it again."""

from __future__ import annotations

import base64
import math
from typing import Any, Final, Literal, Self, get_args

import attrs

from aionet.address import Endpoint, EndpointLike
from aionet.bench.expect import Expect
from aionet.bench.sizes import Sizes
from aionet.errors import OptionError

__all__ = ["MODES", "SEQUENCE", "Arrivals", "Mode", "Plan", "TLSPlan"]

Mode = Literal["echo", "sink", "source", "connect", "request-file"]
Arrivals = Literal["constant", "poisson"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

SEQUENCE: Final = 8  # bytes at the beginning of a datagram that number it

_SMALL: Final = "64"
_BULK: Final = "65536"
_MAX_DATAGRAM: Final = 65507  # RFC 768 over IPv4
_DATAGRAM_BULK: Final = "1200"
_SCHEMES: Final = ("tcp", "tls", "udp", "unix")


def _endpoint(value: EndpointLike) -> Endpoint:
    return Endpoint.parse(value)


@attrs.frozen(kw_only=True)
class TLSPlan:
    """How TLS is spoken; ``verify`` False takes any certificate, ``resume`` offers a former session again."""

    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None
    resume: bool = False


def _default_size(plan: Plan) -> Sizes:
    bulk = plan.mode in ("sink", "source")
    return Sizes.parse((_DATAGRAM_BULK if plan.datagrams else _BULK) if bulk else _SMALL)


def _default_timeout(plan: Plan) -> float:
    return 1.0 if plan.datagrams else 5.0


@attrs.frozen(kw_only=True)
class Plan:
    """What is sent where, how often, and for how long; times in seconds, sizes in bytes.

    ``rate`` messages a second are sent on schedule, whatever comes back (an open loop); None keeps ``pipeline``
    messages under way on each connection (a closed loop). ``timeout`` is how long a reply may take, None 5 for streams
    and 1 for datagrams. ``offset`` moves the schedule, so that several generators interleave.

    Raises OptionError for what makes no sense.
    """

    endpoint: Endpoint = attrs.field(converter=_endpoint)
    mode: Mode = "echo"
    connections: int = 10
    size: Sizes = attrs.Factory(_default_size, takes_self=True)
    pipeline: int = 1
    duration: float = 10.0
    warmup: float = 1.0
    rate: float | None = None
    arrivals: Arrivals = "constant"
    expect: Expect | None = None
    request: bytes | None = None
    processes: int = 1
    loop: str = "auto"
    seed: int = 0
    timeout: float = attrs.Factory(_default_timeout, takes_self=True)
    tls: TLSPlan = TLSPlan()
    offset: float = 0.0

    def __attrs_post_init__(self) -> None:
        for name, low, high in (
            ("connections", 1, 100_000),
            ("pipeline", 1, 10_000),
            ("processes", 1, 1024),
            ("duration", 0.05, 7 * 24 * 3600),
            ("warmup", 0, 3600),
            ("timeout", 0.001, 3600),
            ("rate", 0.001, 100_000_000),
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise OptionError(f"{name}={value!r}: expected {low} to {high}")
        if self.endpoint.scheme not in _SCHEMES:
            raise OptionError(f"{self.endpoint}: expected an endpoint of {', '.join(_SCHEMES)}")
        self._check_mode()
        if self.datagrams:
            self._check_datagrams()

    def _check_mode(self) -> None:
        if self.mode == "request-file":
            if not self.request:
                raise OptionError("mode request-file: expected a request that is not empty")
            if self.expect is None and not self.datagrams:
                raise OptionError("mode request-file: expected what a reply looks like (expect)")
        elif self.expect is not None and self.mode != "connect":
            raise OptionError(f"expect {self.expect}: mode {self.mode} has no replies of its own framing")
        if self.pipeline > 1 and self.mode in ("sink", "source", "connect"):
            raise OptionError(f"pipeline={self.pipeline}: mode {self.mode} does not wait for replies one by one")
        if self.rate is not None and self.mode == "source":
            raise OptionError("rate: in mode source the server decides when it sends")
        if self.rate is not None and self.pipeline > 1:
            raise OptionError("pipeline: with a rate, messages are sent on schedule, whatever is under way")

    def _check_datagrams(self) -> None:
        if self.mode == "connect":
            raise OptionError("mode connect: UDP has no connections")
        if self.expect is not None:
            raise OptionError("expect: over UDP a datagram is a reply")
        if self.mode in ("echo", "sink"):
            if self.size.least < SEQUENCE:
                raise OptionError(f"size {self.size}: expected at least {SEQUENCE} bytes, which number the datagram")
            if self.size.most > _MAX_DATAGRAM:
                raise OptionError(f"size {self.size}: a datagram has at most {_MAX_DATAGRAM} bytes")
        if self.mode == "request-file" and (self.open_loop or self.pipeline > 1):
            raise OptionError("mode request-file over UDP: one at a time, since nothing says which reply is whose")
        if self.request is not None and len(self.request) > _MAX_DATAGRAM:
            raise OptionError(f"the request has {len(self.request)} bytes: a datagram has at most {_MAX_DATAGRAM}")

    @property
    def datagrams(self) -> bool:
        """Whether datagrams are sent, and no stream."""
        return self.endpoint.scheme == "udp"

    @property
    def open_loop(self) -> bool:
        """Whether messages are sent on schedule, whatever comes back."""
        return self.rate is not None

    def share(self, number: int, count: int) -> Plan:
        """Return the plan of generator ``number`` of ``count``: its part of the connections and of the rate.

        Raises OptionError where a generator would have no connection.
        """
        if count > self.connections:
            raise OptionError(f"{count} generators for {self.connections} connections: expected one each at least")
        connections = self.connections // count + (number < self.connections % count)
        if self.rate is None:
            return attrs.evolve(self, connections=connections, processes=1, seed=self.seed + number)
        return attrs.evolve(
            self,
            connections=connections,
            rate=self.rate / count,
            processes=1,
            seed=self.seed + number,
            offset=self.offset + number / self.rate,
        )

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        given = attrs.asdict(self, recurse=False)
        return given | {
            "endpoint": str(self.endpoint),
            "size": str(self.size),
            "expect": None if self.expect is None else str(self.expect),
            "request": None if self.request is None else base64.b64encode(self.request).decode(),
            "tls": attrs.asdict(self.tls),
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """Make a plan of its JSON.

        Raises OptionError, ValueError, TypeError, KeyError for what is none.
        """
        expect, request = given["expect"], given["request"]
        read: dict[str, Any] = {
            "size": Sizes.parse(given["size"]),
            "expect": None if expect is None else Expect.parse(expect),
            "request": None if request is None else base64.b64decode(request, validate=True),
            "tls": TLSPlan(**given["tls"]),
        }
        return cls(**given | read)
