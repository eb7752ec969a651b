"""The order of addresses and the schedule of attempts, as RFC 8305 has them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.address import Address, InetAddress, UnixAddress
from aionet.wire.eyeballs import Schedule, interleave

V6 = [InetAddress(f"2001:db8::{n}", 80) for n in range(1, 5)]
V4 = [InetAddress(f"192.0.2.{n}", 80) for n in range(1, 5)]

address_lists = st.lists(st.sampled_from([*V6, *V4]), unique=True)


def test_families_alternate_and_begin_with_the_first() -> None:
    assert interleave([*V6[:3], *V4[:1]]) == [V6[0], V4[0], V6[1], V6[2]]
    assert interleave([*V4[:2], *V6[:2]]) == [V4[0], V6[0], V4[1], V6[1]]
    assert interleave([V4[0], V6[0], V6[1], V4[1]]) == [V4[0], V6[0], V4[1], V6[1]]


@given(address_lists)
def test_interleaving_keeps_every_address_and_the_order_inside_a_family(addresses: list[InetAddress]) -> None:
    result = interleave(addresses)
    assert sorted(map(str, result)) == sorted(map(str, addresses))
    assert result[:1] == addresses[:1]
    for family in {address.family for address in addresses}:
        assert [a for a in result if a.family == family] == [a for a in addresses if a.family == family]


@given(address_lists)
def test_a_family_follows_itself_only_when_the_other_has_run_out(addresses: list[InetAddress]) -> None:
    result = interleave(addresses)
    for index, (one, following) in enumerate(pairwise(result)):
        if one.family == following.family:
            assert {address.family for address in result[index:]} == {one.family}


def test_unix_addresses_can_be_scheduled_too() -> None:
    assert interleave([UnixAddress("/a"), UnixAddress("/b")]) == [UnixAddress("/a"), UnixAddress("/b")]


def test_without_addresses_all_have_failed() -> None:
    schedule = Schedule([])
    assert schedule.next_attempt() is None
    assert schedule.all_failed
    assert schedule.failures == ()


def test_each_delay_begins_the_next_attempt() -> None:
    schedule = Schedule(V6[:3])
    assert [schedule.next_attempt() for _ in range(5)] == [*V6[:3], None, None]
    assert not schedule.has_next
    assert not schedule.all_failed


def test_a_failure_begins_the_next_attempt_at_once() -> None:
    schedule = Schedule(V6[:2])
    assert schedule.next_attempt() == V6[0]
    assert schedule.has_next
    refused, unreachable = ConnectionRefusedError("refused"), OSError("unreachable")
    assert schedule.attempt_failed(V6[0], refused) == V6[1]
    assert not schedule.all_failed
    assert schedule.attempt_failed(V6[1], unreachable) is None
    assert schedule.all_failed
    assert schedule.failures == ((V6[0], refused), (V6[1], unreachable))


def test_attempts_may_fail_out_of_order() -> None:
    schedule = Schedule(V6[:2])
    schedule.next_attempt()
    schedule.next_attempt()
    schedule.attempt_failed(V6[1], OSError("second"))
    assert not schedule.all_failed
    schedule.attempt_failed(V6[0], OSError("first"))
    assert schedule.all_failed
    assert [address for address, _ in schedule.failures] == [V6[1], V6[0]]


def test_an_attempt_that_was_never_begun_cannot_fail() -> None:
    schedule = Schedule(V6[:1])
    with pytest.raises(ValueError, match="not in list"):
        schedule.attempt_failed(V6[0], OSError())


@given(address_lists, st.data())
def test_whatever_happens_each_address_is_tried_once_and_in_order(
    addresses: list[Address], data: st.DataObject
) -> None:
    schedule = Schedule(addresses)
    tried: list[Address] = []
    failed: list[Address] = []
    while not schedule.all_failed:
        running = [address for address in tried if address not in failed]
        # None is the delay; with nothing running, only a new attempt can get further.
        event = data.draw(st.sampled_from([None, *running])) if schedule.has_next else running[0]
        if event is None:
            address = schedule.next_attempt()
        else:
            address = schedule.attempt_failed(event, OSError(str(event)))
            failed.append(event)
        if address is not None:
            tried.append(address)
        assert tried == addresses[: len(tried)]
        assert schedule.has_next == (len(tried) < len(addresses))
        assert schedule.all_failed == (len(failed) == len(addresses))
    assert [address for address, _ in schedule.failures] == failed
