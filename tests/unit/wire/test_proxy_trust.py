"""Who is believed."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from aionet import InetAddress, OptionError, ProxyProtocol, UnixAddress


@pytest.mark.parametrize(
    ("trusted", "host"),
    [
        ("10.0.0.0/8", "10.255.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8::/32", "2001:db8::7"),
        ("10.0.0.0/8", "::ffff:10.0.0.1"),
        (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"),
        (ipaddress.ip_network("::ffff:10.0.0.0/104"), "10.1.2.3"),
        ("0.0.0.0/0", "192.0.2.1"),
    ],
)
def test_an_address_in_a_trusted_network_is_trusted(trusted: Any, host: str) -> None:
    assert ProxyProtocol(mode="v1", trusted=[trusted]).trusts(InetAddress(host, 1))


@pytest.mark.parametrize(
    ("trusted", "host"),
    [
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.1.2.3", "10.1.2.4"),
        ("::ffff:10.0.0.0/104", "11.0.0.1"),
        ("10.0.0.0/8", "2001:db8::7"),
        ("0.0.0.0/0", "2001:db8::7"),
        ("::/0", "::ffff:10.0.0.1"),
        ("unix:", "127.0.0.1"),
    ],
)
def test_all_others_are_not(trusted: str, host: str) -> None:
    assert not ProxyProtocol(mode="v1", trusted=[trusted]).trusts(InetAddress(host, 1))


def test_unix_sockets_are_trusted_by_name() -> None:
    assert ProxyProtocol(mode="v1", trusted=["10.0.0.0/8", "unix:"]).trusts(UnixAddress())
    assert not ProxyProtocol(mode="v1", trusted=["0.0.0.0/0"]).trusts(UnixAddress())


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"mode": "v3"}, "mode='v3'"),
        ({"trusted": []}, "trusted is empty"),
        ({"trusted": "10.0.0.0/8"}, "expected a list"),
        ({"trusted": ["10.0.0.1/8"]}, "host bits"),
        ({"trusted": ["proxy.example"]}, "trusted='proxy.example'"),
        ({"trusted": None}, "trusted=None: expected a list"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"max_header": None}, "max_header=None"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"max_header": 231}, "max_header=231"),
        ({"max_header": 65552}, "max_header=65552"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong):
        ProxyProtocol(**({"mode": "v1", "trusted": ["10.0.0.0/8"]} | options))
