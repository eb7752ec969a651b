"""An interface is found by its name, its index, or an address of its own."""

from __future__ import annotations

import socket

import pytest

from aionet import AddressError, InetAddress
from aionet.system.interfaces import interface_index

LOOPBACK = socket.if_nametoindex("lo")


@pytest.mark.parametrize(
    "interface",
    ["lo", LOOPBACK, "127.0.0.1", "::1", InetAddress("127.0.0.1", 5), InetAddress("::1", 0)],
    ids=str,
)
def test_loopback_is_found(interface: str | int | InetAddress) -> None:
    assert interface_index(interface) == LOOPBACK


@pytest.mark.parametrize("interface", ["nope", "192.0.2.77", "2001:db8::77", 99999, "", "a\0b"], ids=repr)
def test_one_that_does_not_exist_is_an_error_that_names_those_that_do(interface: str | int) -> None:
    with pytest.raises(AddressError, match=r"no interface .* expected the name, the index or an address of .*lo \(1\)"):
        interface_index(interface)


def test_the_scope_of_an_address_is_its_interface() -> None:
    assert interface_index(InetAddress("fe80::1", 0, 0, 7)) == 7
