"""Hypothesis' strategies for PROXY protocol headers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Literal

from hypothesis import strategies as st

import aionet
from aionet import ProxyHeader, ProxySSL, ProxyTLV, ProxyTLVType

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["headers_v1", "headers_v2", "tlvs"]

_ports: Final = st.integers(0, 65535)


def _inet(version: Literal[4, 6]) -> SearchStrategy[aionet.Address]:
    return st.builds(aionet.InetAddress, st.ip_addresses(v=version).map(str), _ports)


# What a sun_path can say: no NUL in a path, none at the end of an abstract name, for nothing tells it from padding.
_paths: Final = st.binary(max_size=108).map(lambda name: aionet.from_sockaddr(socket.AF_UNIX, name.replace(b"\0", b"")))
_abstract: Final = st.binary(max_size=106).map(
    lambda name: aionet.from_sockaddr(socket.AF_UNIX, b"\0" + name.rstrip(b"\0") + b"x")
)
_unix: Final[SearchStrategy[aionet.Address]] = st.one_of(_paths, _abstract)

_plain_tlvs: Final = st.builds(
    ProxyTLV,
    st.integers(0, 255).filter(lambda type_: type_ not in (ProxyTLVType.CRC32C, ProxyTLVType.SSL)),
    st.binary(max_size=128),
)
_ssl_tlvs: Final = st.builds(
    ProxySSL,
    client=st.integers(0, 255),
    verify=st.integers(0, 2**32 - 1),
    tlvs=st.lists(st.builds(ProxyTLV, st.integers(0, 255), st.binary(max_size=20)), max_size=4).map(tuple),
).map(ProxySSL.to_tlv)
tlvs: Final = st.lists(st.one_of(_plain_tlvs, _ssl_tlvs), max_size=6).map(tuple)


def _header(pair: tuple[aionet.Address | None, aionet.Address | None], **fields: Any) -> ProxyHeader:
    return ProxyHeader(source=pair[0], destination=pair[1], **fields)


def _pairs(*addresses: SearchStrategy[aionet.Address]) -> SearchStrategy[tuple[aionet.Address, aionet.Address]]:
    return st.one_of([st.tuples(each, each) for each in addresses])


headers_v1: Final = st.one_of(
    st.builds(_header, _pairs(_inet(4), _inet(6)), version=st.just(1)), st.just(ProxyHeader(version=1))
)
headers_v2: Final = st.one_of(
    st.builds(
        _header,
        _pairs(_inet(4), _inet(6), _unix),
        type=st.sampled_from([socket.SOCK_STREAM, socket.SOCK_DGRAM]),
        tlvs=tlvs,
    ),
    st.builds(ProxyHeader, tlvs=tlvs),
    st.just(ProxyHeader(local=True)),
)
