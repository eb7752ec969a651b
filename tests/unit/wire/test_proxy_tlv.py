"""What stands behind the addresses of a PROXY protocol header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet import (
    ProxyHeader,
    ProxyProtocolError,
    ProxySSL,
    ProxyTLV,
    ProxyTLVType,
    build_proxy_header,
    parse_proxy_header,
)
from aionet.wire.crc32c import crc32c
from tests.unit.wire.headers import headers_v2

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def with_tlvs(raw: bytes) -> bytes:
    """Write a header with no addresses and these bytes behind them."""
    return SIGNATURE + b"\x21\x00" + len(raw).to_bytes(2, "big") + raw


def parsed(data: bytes) -> ProxyHeader:
    found = parse_proxy_header(data, max_size=65551)
    assert found is not None
    return found[0]


def refused(raw: bytes) -> str:
    with pytest.raises(ProxyProtocolError) as caught:
        parse_proxy_header(with_tlvs(raw))
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of the catalogues of CRCs
        (bytes(32), 0x8A9136AA),  # RFC 3720 B.4, which lists them in the order of bytes on the wire
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_checksum_is_that_of_the_rfc(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_the_known_ones_have_a_name() -> None:
    ssl = ProxySSL(
        client=7,
        tlvs=(
            ProxyTLV(ProxyTLVType.SSL_VERSION, b"TLSv1.3"),
            ProxyTLV(ProxyTLVType.SSL_CN, "Zoë".encode()),
            ProxyTLV(ProxyTLVType.SSL_CIPHER, b"TLS_AES_128_GCM_SHA256"),
            ProxyTLV(ProxyTLVType.SSL_SIG_ALG, b"RSA-SHA256"),
            ProxyTLV(ProxyTLVType.SSL_KEY_ALG, b"RSA2048"),
            ProxyTLV(ProxyTLVType.SSL_CLIENT_CERT, b"\x30\x82"),
        ),
    )
    tlvs = (
        ProxyTLV(ProxyTLVType.NOOP, bytes(5)),
        ProxyTLV(ProxyTLVType.ALPN, b"h2"),
        ProxyTLV(ProxyTLVType.AUTHORITY, b"example.org"),
        ProxyTLV(ProxyTLVType.UNIQUE_ID, b"\0id"),
        ssl.to_tlv(),
        ProxyTLV(ProxyTLVType.NETNS, b"blue"),
        ProxyTLV(0xEA, b"AWS has its own"),
    )
    header = parsed(build_proxy_header(ProxyHeader(tlvs=tlvs)))
    assert header.tlvs == tlvs
    assert (header.alpn, header.authority, header.unique_id, header.netns) == (b"h2", "example.org", b"\0id", "blue")
    assert header.ssl == ssl
    assert (ssl.over_tls, ssl.verified, ssl.version, ssl.common_name) == (True, True, "TLSv1.3", "Zoë")
    assert (ssl.cipher, ssl.signature_algorithm, ssl.key_algorithm) == (
        "TLS_AES_128_GCM_SHA256",
        "RSA-SHA256",
        "RSA2048",
    )
    assert ssl.client_certificate == b"\x30\x82"


def test_what_is_not_there_is_none() -> None:
    header = ProxyHeader()
    assert (header.alpn, header.authority, header.unique_id, header.netns, header.ssl) == (None,) * 5
    ssl = ProxySSL()
    assert (ssl.version, ssl.common_name, ssl.cipher, ssl.client_certificate) == (None,) * 4


@pytest.mark.parametrize(("client", "verify", "verified"), [(1, 0, False), (3, 0, True), (5, 0, True), (3, 18, False)])
def test_only_a_certificate_that_was_shown_is_verified(client: int, verify: int, verified: bool) -> None:  # noqa: FBT001 - a value of the table
    assert ProxySSL(client=client, verify=verify).verified is verified


def test_text_that_is_no_utf8_is_shown_and_no_error() -> None:
    header = parsed(build_proxy_header(ProxyHeader(tlvs=(ProxyTLV(ProxyTLVType.AUTHORITY, b"caf\xe9"),))))
    assert header.authority == r"caf\xe9"


@given(headers_v2)
def test_a_checksum_is_built_and_checked(header: ProxyHeader) -> None:
    built = build_proxy_header(header, checksum=True)
    found = parsed(built)
    if header.local:  # skipped unseen
        return
    assert found.tlvs[:-1] == header.tlvs
    assert found.tlvs[-1].type == ProxyTLVType.CRC32C
    assert build_proxy_header(found) == build_proxy_header(found, checksum=True) == built


@given(headers_v2.filter(lambda header: not header.local), st.data())
def test_a_bit_that_is_wrong_anywhere_is_found_by_the_checksum(header: ProxyHeader, data: st.DataObject) -> None:
    built = bytearray(build_proxy_header(header, checksum=True))
    # Behind the length: in front of it, a header of another shape would need more, or be LOCAL.
    built[data.draw(st.integers(16, len(built) - 5))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = parse_proxy_header(built, max_size=65551)
    except ProxyProtocolError:
        return
    assert found is not None
    assert not any(tlv.type == ProxyTLVType.CRC32C for tlv in found[0].tlvs)  # the checksum itself was hit


def test_a_bad_checksum_says_both() -> None:
    assert "bad checksum 0x00000001: the header's is 0x" in refused(b"\3\0\4\0\0\0\1")


def test_a_checksum_of_another_length_and_a_second_one_are_refused() -> None:
    assert "a checksum of 3 bytes" in refused(b"\3\0\3\0\0\0")
    assert "2 checksums" in refused(b"\3\0\4\0\0\0\0" * 2)


@pytest.mark.parametrize("raw", [b"\4", b"\4\0", b"\4\0\3ab", b"\4\xff\xff", b"\4\0\1a\4\0"])
def test_a_tlv_that_reaches_beyond_the_header_is_refused(raw: bytes) -> None:
    assert "the PROXY header" in refused(raw)


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0", b"\1\0\0\0\0\x21", b"\1\0\0\0\0\x21\0\5TLS"])
def test_an_ssl_tlv_that_is_too_short_for_what_it_says_is_refused(value: bytes) -> None:
    assert "the SSL TLV" in refused(b"\x20" + len(value).to_bytes(2, "big") + value)


def test_a_unique_id_has_at_most_128_bytes() -> None:
    assert parsed(with_tlvs(b"\5\0\x80" + bytes(128))).unique_id == bytes(128)
    assert "a unique id of 129 bytes" in refused(b"\5\0\x81" + bytes(129))


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: ProxyTLV(256, b""), "type 256"),
        (lambda: ProxyTLV(-1, b""), "type -1"),
        (lambda: ProxyTLV(1, bytes(65536)), "65536 bytes"),
        (lambda: ProxySSL(client=256), "client=256"),
        (lambda: ProxySSL(verify=2**32), "verify=4294967296"),
        (lambda: build_proxy_header(ProxyHeader(tlvs=(ProxyTLV(4, bytes(65535)),))), "65554 bytes"),
        (lambda: build_proxy_header(ProxyHeader(version=1), checksum=True), "version 1 has no checksum"),
        (lambda: build_proxy_header(ProxyHeader(tlvs=(ProxyTLV(3, b""),) * 2)), "2 checksums"),
    ],
)
def test_what_cannot_be_said_is_refused(make: object, wrong: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=wrong):
        make()
