"""Control messages: what is parsed, what is left aside."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet import ECN, AddressError, InetAddress
from aionet.system.ancillary import UDP_GRO, local_message, parse, segment_size, switch_on

messages = st.lists(
    st.tuples(st.sampled_from([0, 1, 17, 41]), st.sampled_from([1, 8, 35, 50, 67, 104]), st.binary(max_size=30))
)


@given(messages, st.integers(0, 65535))
def test_whatever_the_messages_are_they_are_read_or_left_aside(
    messages: list[tuple[int, int, bytes]], port: int
) -> None:
    local, ecn, timestamp = parse(messages, port)
    assert local is None or local.port == port
    assert ecn is None or ecn in ECN
    assert timestamp is None or isinstance(timestamp, int)


def test_each_kind_is_understood() -> None:
    four = struct.pack("I4s4s", 1, socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.255"))
    assert parse([(socket.IPPROTO_IP, 8, four)], 53).local == InetAddress("192.0.2.1", 53)
    six = struct.pack("16sI", socket.inet_pton(socket.AF_INET6, "fe80::1"), 7)
    assert parse([(socket.IPPROTO_IPV6, 50, six)], 53).local == InetAddress("fe80::1", 53, 0, 7)
    six = struct.pack("16sI", socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 7)
    assert parse([(socket.IPPROTO_IPV6, 50, six)], 53).local == InetAddress("2001:db8::1", 53)
    assert parse([(socket.IPPROTO_IP, socket.IP_TOS, b"\xfe")], 0).ecn is ECN.ECT_0
    assert parse([(socket.IPPROTO_IPV6, 67, struct.pack("i", 3))], 0).ecn is ECN.CE
    assert parse([(socket.SOL_SOCKET, 35, struct.pack("ll", 5, 7))], 0).timestamp == 5_000_000_007
    assert segment_size([(socket.IPPROTO_UDP, UDP_GRO or 0, struct.pack("i", 1200))]) == 1200
    assert segment_size([(0, 0, b"")]) == 0


def test_a_local_address_of_another_family_is_refused_or_mapped() -> None:
    with pytest.raises(AddressError, match="an IPv6 address, and the endpoint is IPv4"):
        local_message(InetAddress("::1", 0), socket.AF_INET)
    _, _, value = local_message(InetAddress("192.0.2.1", 0), socket.AF_INET6)
    assert value[:16] == socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1")


def test_what_a_socket_does_not_have_is_said() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        assert switch_on(sock, "pktinfo") == "this kind of socket has no such option"
        assert switch_on(sock, "timestamps") is None
    with socket.socket() as sock:
        assert switch_on(sock, "gro")
