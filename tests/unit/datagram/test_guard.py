"""Who may have a session."""

from __future__ import annotations

import attrs
import pytest

from aionet import InetAddress, OptionError, SessionOptions, UnixAddress
from aionet.datagram.guard import Guard, network_of


def admitted(guard: Guard, *hosts: str) -> list[bool]:
    """Whether each may have a session."""
    return [guard.admit(InetAddress(host, 40000)) for host in hosts]


def test_one_network_does_not_get_all_sessions() -> None:
    guard = Guard(SessionOptions(max_sessions_per_prefix=2))
    assert admitted(guard, "192.0.2.1", "192.0.2.255", "192.0.2.7", "192.0.3.1") == [True, True, False, True]
    assert (guard.dropped_prefix, guard.dropped_max_sessions) == (1, 0)


def test_one_host_counts_as_often_as_it_has_sessions() -> None:
    guard = Guard(SessionOptions(max_sessions_per_prefix=2))
    assert admitted(guard, *["192.0.2.1"] * 3) == [True, True, False]


def test_who_leaves_makes_room() -> None:
    guard = Guard(SessionOptions(max_sessions=2, max_sessions_per_prefix=1))
    assert admitted(guard, "192.0.2.1", "192.0.2.2", "2001:db8::1", "198.51.100.1") == [True, False, True, False]
    guard.leave(InetAddress("192.0.2.1", 40000))
    assert admitted(guard, "192.0.2.2", "198.51.100.1") == [True, False]
    assert (guard.dropped_prefix, guard.dropped_max_sessions) == (1, 2)


def test_nothing_is_kept_of_those_who_left() -> None:
    guard = Guard(SessionOptions())
    peers = [InetAddress(f"192.0.{number}.1", 40000) for number in range(200)]
    assert all(map(guard.admit, peers))
    for peer in peers:
        guard.leave(peer)
    assert not guard._networks


@pytest.mark.parametrize(
    ("one", "other", "options"),
    [
        ("192.0.2.1", "192.0.2.254", SessionOptions()),
        ("192.0.2.1", "::ffff:192.0.2.2", SessionOptions()),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::", SessionOptions()),
        ("0.0.0.1", "127.255.255.255", SessionOptions(ipv4_prefix=1)),
    ],
)
def test_addresses_of_one_network(one: str, other: str, options: SessionOptions) -> None:
    assert network_of(InetAddress(one, 1), options) == network_of(InetAddress(other, 1), options)


@pytest.mark.parametrize(
    ("one", "other", "options"),
    [
        ("192.0.2.1", "192.0.3.1", SessionOptions()),
        ("192.0.2.1", "192.0.2.2", SessionOptions(ipv4_prefix=32)),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", SessionOptions()),
        ("2001:db8:0:100::1", "2001:db8:0:101::1", SessionOptions(ipv6_prefix=64)),
        ("::ffff:192.0.2.1", "::ffff:192.0.3.1", SessionOptions()),
        ("::", "0.0.0.0", SessionOptions()),
        ("::1", "::2", SessionOptions(ipv6_prefix=128)),
    ],
)
def test_addresses_of_two_networks(one: str, other: str, options: SessionOptions) -> None:
    assert network_of(InetAddress(one, 1), options) != network_of(InetAddress(other, 1), options)


def test_a_server_s_port_is_no_client_s() -> None:
    guard = Guard(SessionOptions())
    assert [guard.admit(InetAddress("192.0.2.1", port)) for port in (53, 1023, 1024)] == [False, False, True]
    assert guard.dropped_source == 2


def test_privileged_ports_may_be_allowed_but_not_port_0_which_has_no_answer() -> None:
    guard = Guard(SessionOptions(privileged_ports=True))
    assert [guard.admit(InetAddress("192.0.2.1", port)) for port in (123, 0)] == [True, False]


def test_a_unix_socket_without_a_name_cannot_be_answered() -> None:
    guard = Guard(SessionOptions(max_sessions_per_prefix=1))
    assert [guard.admit(UnixAddress(path)) for path in ("", "@a", "/b")] == [False, True, True]
    guard.leave(UnixAddress("@a"))
    assert guard.dropped_source == 1


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(SessionOptions)])
def test_no_option_takes_nonsense(name: str) -> None:
    for value in (-1, "many", float("nan")):
        with pytest.raises(OptionError, match=f"SessionOptions: {name}="):
            SessionOptions(**{name: value})  # type: ignore[arg-type]
