"""Headers of both versions: what is built is parsed, what is no header is refused, and nothing else is raised."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet import (
    InetAddress,
    ProxyHeader,
    ProxyProtocolError,
    ProxyTLV,
    ProxyTLVType,
    UnixAddress,
    build_proxy_header,
    parse_proxy_header,
    split_proxied_datagram,
)
from tests.unit.wire.headers import headers_v1, headers_v2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionet.wire.proxy_protocol import ProxyMode

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
EXAMPLE = ProxyHeader(source=InetAddress("192.0.2.1", 56324), destination=InetAddress("192.0.2.11", 443))
EXAMPLE_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.11 56324 443\r\n"
EXAMPLE_V2 = SIGNATURE + bytes.fromhex("21 11 000c c0000201 c000020b dc04 01bb")

any_header = st.one_of(headers_v1, headers_v2)
modes = st.sampled_from(["v1", "v2", "either"])


def v2(rest: bytes, *, version_command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """Write a header by hand."""
    size = len(rest) if length is None else length
    return SIGNATURE + bytes([version_command, family]) + size.to_bytes(2, "big") + rest


def refused(data: bytes, mode: ProxyMode = "either") -> str:
    with pytest.raises(ProxyProtocolError) as caught:
        parse_proxy_header(data, mode=mode)
    return str(caught.value)


# --- both versions ----------------------------------------------------------------------------------------------------


def test_version_1_is_a_line_and_version_2_is_binary() -> None:
    assert build_proxy_header(attrs.evolve(EXAMPLE, version=1)) == EXAMPLE_V1
    assert build_proxy_header(EXAMPLE) == EXAMPLE_V2


@given(any_header, st.binary(max_size=50))
def test_what_is_built_is_parsed_to_the_same_header_and_what_follows_is_left(header: ProxyHeader, after: bytes) -> None:
    built = build_proxy_header(header)
    assert parse_proxy_header(built + after, max_size=65551) == (header, len(built))


@given(any_header, st.data())
def test_of_a_header_that_is_cut_anywhere_more_is_needed(header: ProxyHeader, data: st.DataObject) -> None:
    built = build_proxy_header(header)
    cut = data.draw(st.integers(0, len(built) - 1))
    assert parse_proxy_header(built[:cut], max_size=65551) is None


@pytest.mark.parametrize("header", [EXAMPLE_V1, EXAMPLE_V2])
def test_every_length_short_of_the_whole_needs_more(header: bytes) -> None:
    assert [parse_proxy_header(header[:cut]) for cut in range(len(header))] == [None] * len(header)


@given(st.binary(max_size=300), modes)
def test_whatever_comes_raises_nothing_but_the_one_error(data: bytes, mode: ProxyMode) -> None:
    for begin in b"", SIGNATURE, SIGNATURE + b"\x21", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ":
        try:
            parse_proxy_header(begin + data, mode=mode)
        except ProxyProtocolError:
            pass


@given(any_header, st.data())
def test_a_header_with_a_byte_changed_raises_nothing_but_the_one_error(
    header: ProxyHeader, data: st.DataObject
) -> None:
    built = bytearray(build_proxy_header(header))
    built[data.draw(st.integers(0, len(built) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_proxy_header(built, max_size=65551)
    except ProxyProtocolError:
        return
    if parsed is not None:
        _ = parsed[0].ssl, parsed[0].authority, parsed[0].netns


@given(any_header)
def test_the_kind_of_buffer_does_not_matter(header: ProxyHeader) -> None:
    built = build_proxy_header(header)
    parsed = parse_proxy_header(built, max_size=65551)
    assert parse_proxy_header(bytearray(built), max_size=65551) == parsed
    assert parse_proxy_header(memoryview(built), max_size=65551) == parsed


def test_a_version_that_was_not_asked_for_is_refused_with_its_first_byte() -> None:
    assert "not a PROXY header of version 2" in refused(EXAMPLE_V1[:1], "v2")
    assert "not a PROXY header of version 1" in refused(EXAMPLE_V2[:1], "v1")


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PR\n", b"PROXY\r\n", b"\r\n\r\nGET"])
def test_what_is_no_header_is_refused_with_the_first_byte_that_shows_it(data: bytes) -> None:
    assert "it begins with" in refused(data)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"version": 3}, "version=3"),
        ({"type": 5}, "type=5"),
        ({"destination": None}, "expected both addresses, or neither"),
        ({"destination": InetAddress("::1", 443)}, "different families"),
        ({"local": True}, "LOCAL"),
        ({"version": 1, "tlvs": (ProxyTLV(4, b""),)}, "version 1 has no"),
        ({"version": 1, "type": socket.SOCK_DGRAM}, "version 1 has no"),
        ({"version": 1, "source": UnixAddress("/a"), "destination": UnixAddress("/b")}, "expected an InetAddress"),
    ],
)
def test_a_header_that_cannot_be_is_refused_when_it_is_made(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        attrs.evolve(EXAMPLE, **fields)


# --- version 1 --------------------------------------------------------------------------------------------------------


def v1_line(text: str) -> bytes:
    return b"PROXY " + text.encode() + b"\r\n"


@pytest.mark.parametrize("rest", ["", " ", " ff:f ff:f 65535 65535", " whatever \n\r this is"])
def test_after_unknown_the_line_is_ignored(rest: str) -> None:
    line = v1_line("UNKNOWN" + rest)
    assert parse_proxy_header(line + b"GET /\r\n") == (ProxyHeader(version=1), len(line))


def test_a_version_1_address_is_brought_into_its_canonical_form() -> None:
    parsed = parse_proxy_header(v1_line("TCP6 2001:DB8:0:0:0:0:0:1 ::FFFF:192.0.2.1 1 2"))
    assert parsed is not None
    assert (parsed[0].source, parsed[0].destination) == (
        InetAddress("2001:db8::1", 1),
        InetAddress("::ffff:192.0.2.1", 2),
    )


@pytest.mark.parametrize(
    "text",
    [
        "TCP4 192.0.2.1 192.0.2.11 56324",
        "TCP4 192.0.2.1 192.0.2.11 56324 443 ",
        "TCP4 192.0.2.1  192.0.2.11 56324 443",
        "TCP4\t192.0.2.1 192.0.2.11 56324 443",
        "TCP4 192.0.2.01 192.0.2.11 56324 443",
        "TCP4 192.0.2 192.0.2.11 56324 443",
        "TCP4 ::1 192.0.2.11 56324 443",
        "TCP4 localhost 192.0.2.11 56324 443",
        "TCP4 192.0.2.1 192.0.2.11 056324 443",
        "TCP4 192.0.2.1 192.0.2.11 65536 443",
        "TCP4 192.0.2.1 192.0.2.11 +1 443",
        "TCP4 192.0.2.1 192.0.2.11  443",
        "TCP4 192.0.2.1 192.0.2.11 ² 443",
        "TCP4 192.0.2.1\0 192.0.2.11 1 443",
        "TCP6 192.0.2.1 192.0.2.11 56324 443",
        "TCP6 fe80::1%eth0 ::1 56324 443",
        "TCP6 [::1] ::1 56324 443",
        "UDP4 192.0.2.1 192.0.2.11 56324 443",
        "tcp4 192.0.2.1 192.0.2.11 56324 443",
        "UNKNOWNS",
        "",
    ],
)
def test_a_line_that_is_not_exactly_as_specified_is_refused(text: str) -> None:
    assert "bad PROXY header" in refused(v1_line(text))


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\n\r"])
def test_half_of_a_crlf_does_not_end_the_line(ending: bytes) -> None:
    assert parse_proxy_header(EXAMPLE_V1[:-2] + ending) is None
    assert "bad PROXY header" in refused(EXAMPLE_V1[:-2] + ending + b"GET / HTTP/1.1\r\n")


def test_a_line_may_have_107_bytes_and_no_more() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert parse_proxy_header(line) == (ProxyHeader(version=1), 107)
    assert parse_proxy_header(line[:-1]) is None
    assert "no CRLF within 107 bytes" in refused(b"PROXY UNKNOWN " + b"x" * 92 + b"\r")


# --- version 2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version_command", [0x01, 0x11, 0x22, 0x2F, 0x31])
def test_another_version_or_command_is_refused(version_command: int) -> None:
    assert "bad version and command" in refused(v2(EXAMPLE_V2[16:], version_command=version_command))


@pytest.mark.parametrize("family", [0x13, 0x41, 0xF1, 0x1F])
def test_a_family_or_protocol_that_does_not_exist_is_refused(family: int) -> None:
    assert "bad family and protocol" in refused(v2(bytes(300), family=family))


@pytest.mark.parametrize(("family", "needed"), [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216)])
def test_a_block_that_is_too_short_for_its_addresses_is_refused(family: int, needed: int) -> None:
    assert f"its addresses alone need {needed + 16}" in refused(v2(bytes(needed - 1), family=family))
    assert parse_proxy_header(v2(bytes(needed), family=family)) is not None


@pytest.mark.parametrize("family", [0x00, 0x11, 0xFF])
def test_a_local_header_is_skipped_whatever_it_holds(family: int) -> None:
    header = v2(b"\xff" * 30, version_command=0x20, family=family)
    assert parse_proxy_header(header + b"payload") == (ProxyHeader(local=True), len(header))


@pytest.mark.parametrize(("family", "addresses"), [(0x00, 0), (0x01, 0), (0x10, 12), (0x20, 36), (0x30, 216)])
def test_where_the_proxy_does_not_say_what_is_proxied_there_is_no_address(family: int, addresses: int) -> None:
    header = v2(bytes(addresses) + b"\x05\0\2id", family=family)
    assert parse_proxy_header(header) == (ProxyHeader(tlvs=(ProxyTLV(ProxyTLVType.UNIQUE_ID, b"id"),)), len(header))


def test_a_header_that_will_be_too_long_is_refused_as_soon_as_its_length_is_there() -> None:
    assert parse_proxy_header(v2(b"", length=4080)) is None
    assert "a PROXY header of 4097 bytes: at most 4096" in refused(v2(b"", length=4081))


def test_a_unix_path_fills_all_108_bytes_and_not_more() -> None:
    header = ProxyHeader(source=UnixAddress("/" + "x" * 107), destination=UnixAddress("@abstract"))
    assert parse_proxy_header(build_proxy_header(header)) == (header, 232)
    with pytest.raises(ValueError, match="109 bytes long"):
        build_proxy_header(attrs.evolve(header, source=UnixAddress("/" + "x" * 108)))


# --- datagrams --------------------------------------------------------------------------------------------------------


@given(headers_v2, st.binary(max_size=50))
def test_a_datagram_is_split_into_its_header_and_the_rest(header: ProxyHeader, payload: bytes) -> None:
    split = split_proxied_datagram(build_proxy_header(header) + payload, max_size=65551)
    assert (split.header, split.payload) == (header, payload)
    assert (split.source, split.destination) == (header.source, header.destination)


@pytest.mark.parametrize("cut", range(len(EXAMPLE_V2)))
def test_a_datagram_that_ends_inside_its_header_is_refused(cut: int) -> None:
    with pytest.raises(ProxyProtocolError, match=f"a datagram of {cut} bytes ends inside its PROXY header"):
        split_proxied_datagram(EXAMPLE_V2[:cut])


def test_a_datagram_takes_version_2_only() -> None:
    with pytest.raises(ProxyProtocolError, match="version 2"):
        split_proxied_datagram(EXAMPLE_V1)


def _all_parsed(headers: Sequence[bytes]) -> list[ProxyHeader]:
    parsed = []
    for header in headers:
        found = parse_proxy_header(header)
        assert found is not None
        parsed.append(found[0])
    return parsed


def test_udp_and_tcp_are_told_apart() -> None:
    tcp, udp = _all_parsed([v2(EXAMPLE_V2[16:]), v2(EXAMPLE_V2[16:], family=0x12)])
    assert (tcp.type, udp.type) == (socket.SOCK_STREAM, socket.SOCK_DGRAM)
