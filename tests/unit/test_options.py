"""Options are checked when they are made, and what is wrong is named."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.errors import OptionError
from aionet.options import Limits, SocketOptions, Timeouts

FLAGS = ("reuse_address", "reuse_port", "nodelay", "keepalive", "dual_stack", "fast_open")
INTEGERS = {
    (SocketOptions, "keepalive_idle"): (1, 32767),
    (SocketOptions, "keepalive_interval"): (1, 32767),
    (SocketOptions, "keepalive_count"): (1, 127),
    (SocketOptions, "receive_buffer"): (1, 2**30 - 1),
    (SocketOptions, "send_buffer"): (1, 2**30 - 1),
    (SocketOptions, "backlog"): (1, 2**31 - 1),
    (SocketOptions, "linger"): (0, 32767),
    (Limits, "max_connections"): (1, 2**63 - 1),
    (Limits, "high_water"): (0, 2**63 - 1),
    (Limits, "receive_buffer"): (1, 2**63 - 1),
}
# The smallest that is taken, and one that is too small.
SECONDS = {
    (Timeouts, "connect"): (0.001, 0),
    (Timeouts, "happy_eyeballs_delay"): (0.01, 0.009),
    (Timeouts, "tls_handshake"): (0.001, 0),
    (Timeouts, "close"): (0, -0.001),
    (Timeouts, "first_bytes"): (0.001, 0),
    (Timeouts, "idle"): (0.001, 0),
    (Timeouts, "message"): (0.001, 0),
    (Timeouts, "write_stall"): (0.001, 0),
    (Timeouts, "drain"): (0, -0.001),
    (SocketOptions, "user_timeout"): (0.001, 0.0009),
}


def make(options: type[Any], name: str, value: object) -> Any:
    return options(**({"keepalive": True} if name.startswith("keepalive_") else {}), **{name: value})


@pytest.mark.parametrize("options", [SocketOptions, Timeouts, Limits])
def test_the_defaults_are_good(options: type[Any]) -> None:
    assert options() == options()
    assert attrs.evolve(options()) == options()


def test_every_option_is_in_these_tables() -> None:
    tested = {*INTEGERS, *SECONDS, *((SocketOptions, name) for name in FLAGS), (Limits, "low_water")}
    assert tested == {
        (options, field.name) for options in (SocketOptions, Timeouts, Limits) for field in attrs.fields(options)
    }


@pytest.mark.parametrize(("options", "name"), INTEGERS)
def test_an_integer_may_be_its_lowest_and_highest_and_no_more(options: type[Any], name: str) -> None:
    lowest, highest = INTEGERS[options, name]
    for good in (lowest, highest):
        assert getattr(make(options, name, good), name) == good
    for value in (lowest - 1, highest + 1, True, float(lowest), str(lowest), math.nan):
        with pytest.raises(OptionError) as caught:
            make(options, name, value)
        expected = f"{options.__name__}: {name}={value!r}: expected an integer from {lowest} to {highest}"
        assert str(caught.value) == expected


@pytest.mark.parametrize(("options", "name"), SECONDS)
def test_seconds_are_finite_numbers_that_are_large_enough(options: type[Any], name: str) -> None:
    smallest, too_small = SECONDS[options, name]
    for good in (smallest, 1, 2.5, None):
        assert getattr(make(options, name, good), name) == good
    for value in (too_small, -1, math.inf, math.nan, 10**400, True, "1"):
        with pytest.raises(OptionError) as caught:
            make(options, name, value)
        assert str(caught.value).startswith(f"{options.__name__}: {name}={value!r}: expected seconds, ")


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_a_bool(name: str) -> None:
    for good in (True, False):
        assert getattr(make(SocketOptions, name, good), name) is good
    for value in (1, 0, "yes"):
        with pytest.raises(OptionError) as caught:
            make(SocketOptions, name, value)
        assert str(caught.value) == f"SocketOptions: {name}={value!r}: expected True or False"


@pytest.mark.parametrize("name", ["keepalive_idle", "keepalive_interval", "keepalive_count"])
def test_keepalive_times_need_keepalive(name: str) -> None:
    options: dict[str, Any] = {name: 5}
    with pytest.raises(OptionError, match=f"{name}=5: expected None while keepalive is False"):
        SocketOptions(**options)


@given(st.integers(0, 2**40))
def test_low_water_follows_high_water(high: int) -> None:
    assert Limits(high_water=high).low_water == high // 4
    assert Limits(high_water=high, low_water=high).low_water == high
    with pytest.raises(OptionError, match=f"low_water={high + 1}: expected at most high_water, which is {high}"):
        Limits(high_water=high, low_water=high + 1)


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None])
def test_low_water_is_an_integer(value: Any) -> None:
    with pytest.raises(OptionError, match=r"low_water=.*: expected an integer from 0 to"):
        Limits(low_water=value)


def test_options_are_frozen_and_named() -> None:
    timeouts = Timeouts()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        timeouts.connect = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Timeouts(1.0)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="Timeouts: connect=-1"):
        attrs.evolve(timeouts, connect=-1)
