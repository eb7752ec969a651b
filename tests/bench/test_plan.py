"""What a run does, and what makes no sense."""

import json
from typing import Any

import pytest

from aionet.bench.expect import Expect
from aionet.bench.plan import Plan, TLSPlan
from aionet.bench.sizes import Sizes
from aionet.errors import AddressError, OptionError

TCP, UDP = "tcp://127.0.0.1:8000", "udp://127.0.0.1:8000"
_usual: dict[str, Any] = {"endpoint": TCP}
REQUEST: dict[str, Any] = {"mode": "request-file", "request": b"PING\r\n", "expect": Expect.parse("line")}


@pytest.mark.parametrize(
    "plan",
    [
        Plan(endpoint=TCP),
        Plan(endpoint=UDP, mode="sink", rate=0.5, arrivals="poisson", seed=7),
        Plan(endpoint="tls://localhost:443", mode="connect", tls=TLSPlan(ca_file="/ca.pem", resume=True)),
        Plan(endpoint="unix:@name", pipeline=5, **REQUEST),
    ],
)
def test_a_plan_survives_json(plan: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"connections": 0}, "connections=0: expected 1 to"),
        ({"duration": float("nan")}, "duration=nan"),
        ({"rate": 0}, "rate=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"endpoint": "fd://3"}, "fd://3: expected an endpoint of tcp"),
        ({"mode": "request-file", "expect": Expect.parse("line")}, "expected a request that is not empty"),
        ({"mode": "request-file", "request": b"x"}, "what a reply looks like"),
        ({"expect": Expect.parse("line")}, "mode echo has no replies of its own framing"),
        ({"mode": "sink", "pipeline": 2}, "pipeline=2: mode sink"),
        ({"mode": "source", "rate": 5}, "the server decides"),
        ({"rate": 5, "pipeline": 2}, "sent on schedule"),
        ({"endpoint": UDP, "mode": "connect"}, "UDP has no connections"),
        ({"endpoint": UDP, "size": Sizes.parse("7")}, "at least 8 bytes"),
        ({"endpoint": UDP, "size": Sizes.parse("uniform:8-65508")}, "at most 65507"),
        ({"endpoint": UDP} | REQUEST, "a datagram is a reply"),
        ({"endpoint": UDP, "mode": "request-file", "request": b"x" * 65508}, "the request has 65508 bytes"),
        ({"endpoint": UDP, "mode": "request-file", "request": b"x", "rate": 5}, "nothing says which reply"),
        ({"endpoint": UDP, "mode": "request-file", "request": b"x", "pipeline": 5}, "nothing says which reply"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Plan(**_usual | given)


def test_an_endpoint_that_is_none_is_refused() -> None:
    with pytest.raises(AddressError, match="bad endpoint"):
        Plan(endpoint="127.0.0.1:8000")


@pytest.mark.parametrize(("connections", "count"), [(10, 3), (3, 3), (7, 1)])
def test_the_shares_are_the_whole(connections: int, count: int) -> None:
    plan = Plan(endpoint=TCP, connections=connections, rate=900.0, processes=count, seed=4)
    shares = [plan.share(number, count) for number in range(count)]
    assert sum(share.connections for share in shares) == connections
    assert sum(share.rate or 0 for share in shares) == pytest.approx(900)
    assert len({share.seed for share in shares}) == len({share.offset for share in shares}) == count
    assert {share.processes for share in shares} == {1}


def test_a_share_without_a_connection_is_refused() -> None:
    with pytest.raises(OptionError, match="5 generators for 4 connections"):
        Plan(endpoint=TCP, connections=4).share(0, 5)


def test_what_is_not_given_suits_the_mode() -> None:
    sizes = [str(Plan(endpoint=each, mode=mode).size) for each in (TCP, UDP) for mode in ("echo", "sink")]
    assert sizes == ["64", "65536", "64", "1200"]
    assert (Plan(endpoint=TCP).timeout, Plan(endpoint=UDP).timeout) == (5.0, 1.0)
