"""Cookies: taken back from the peer that they were made for, in time, and from nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aionet

PEER: aionet.Address = aionet.InetAddress("192.0.2.1", 5000)
OTHERS: list[aionet.Address] = [
    aionet.InetAddress("192.0.2.1", 5001),
    aionet.InetAddress("192.0.2.2", 5000),
    aionet.InetAddress("::ffff:192.0.2.1", 5000),
    aionet.InetAddress("fe80::1", 5000, scope_id=1),
    aionet.UnixAddress("192.0.2.1:5000"),
    aionet.UnixAddress("@peer"),
]
SECRET = bytes(range(32))


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 1e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_cookie_is_good_for_its_peer() -> None:
    cookies = aionet.Cookies()
    for peer in (PEER, *OTHERS):
        cookie = cookies.make(peer)
        assert len(cookie) == aionet.Cookies.size
        assert cookies.check(cookie, peer)


def test_a_cookie_is_not_good_for_anybody_else() -> None:
    cookies = aionet.Cookies()
    cookie = cookies.make(PEER)
    assert not any(cookies.check(cookie, other) for other in OTHERS)


def test_a_cookie_is_bound_to_its_context() -> None:
    cookies = aionet.Cookies()
    cookie = cookies.make(PEER, b"request 1")
    assert cookies.check(cookie, PEER, b"request 1")
    assert not cookies.check(cookie, PEER, b"request 2")
    assert not cookies.check(cookie, PEER)


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("start", [0, 1e9, 1e9 + 59])
def test_a_cookie_is_good_for_its_lifetime_and_no_longer(secret: bytes | None, start: float) -> None:
    clock = Clock(start)
    cookies = aionet.Cookies(60, secret=secret, clock=clock)
    cookie = cookies.make(PEER)
    clock.now = start + 59
    assert cookies.check(cookie, PEER)
    cookies.make(PEER)  # by the key of the next period
    assert cookies.check(cookie, PEER)
    clock.now = start + 60
    assert not cookies.check(cookie, PEER)


def test_a_cookie_from_the_future_is_refused() -> None:
    clock = Clock()
    cookies = aionet.Cookies(clock=clock)
    cookie = cookies.make(PEER)
    clock.now -= 1
    assert not cookies.check(cookie, PEER)


def test_the_key_changes() -> None:
    clock = Clock()
    cookies = aionet.Cookies(60, clock=clock)
    for period in range(10):
        clock.now = 1e9 + 60 * period
        assert cookies.check(cookies.make(PEER), PEER)
    assert len(set(cookies._keys.values())) == 2


def test_another_process_takes_a_cookie_only_with_the_same_secret() -> None:
    clock = Clock()
    cookie = aionet.Cookies(secret=SECRET, clock=clock).make(PEER)
    assert aionet.Cookies(secret=SECRET, clock=clock).check(cookie, PEER)
    assert not aionet.Cookies(secret=SECRET[::-1], clock=clock).check(cookie, PEER)
    assert not aionet.Cookies(clock=clock).check(cookie, PEER)


@given(bit=st.integers(0, 8 * aionet.Cookies.size - 1))
def test_a_cookie_with_one_bit_changed_is_refused(bit: int) -> None:
    cookies = aionet.Cookies(clock=Clock())
    cookie = bytearray(cookies.make(PEER))
    cookie[bit // 8] ^= 1 << bit % 8
    assert not cookies.check(bytes(cookie), PEER)


@given(forged=st.binary(max_size=2 * aionet.Cookies.size) | st.binary(min_size=16, max_size=16).map(bytes(8).__add__))
def test_whatever_else_is_sent_is_refused(forged: bytes) -> None:
    assert not aionet.Cookies(clock=Clock(0)).check(forged, PEER)


@pytest.mark.parametrize("lifetime", [0, -1, 0.5, True, "60"])
def test_a_lifetime_has_to_be_whole_seconds(lifetime: object) -> None:
    with pytest.raises(aionet.OptionError, match="expected whole seconds, at least 1"):
        aionet.Cookies(lifetime)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_secret_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(aionet.OptionError, match="a secret of 8 bytes: expected at least 16"):
        aionet.Cookies(secret=b"password")
