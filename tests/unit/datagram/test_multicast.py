"""Groups on the loopback interface; between two machines: tests/faults/test_multicast_between_networks.py."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import AddressError, DatagramError, DatagramOptions, InetAddress
from tests.turns import turns

if TYPE_CHECKING:
    from aionet import DatagramEndpoint

LOOPBACK = socket.if_nametoindex("lo")


def port_of(endpoint: DatagramEndpoint) -> int:
    assert isinstance(endpoint.local, InetAddress)
    return endpoint.local.port


async def receives(endpoint: DatagramEndpoint, sender: DatagramEndpoint, group: InetAddress) -> bool:
    """Whether what the sender sends to the group reaches the endpoint: on this machine it does at once, or never."""
    await sender.sendto(b"announced", group)
    await turns()
    waits = endpoint.statistics().receive_queue
    if waits:
        assert (await endpoint.recvfrom()).data == b"announced"
    return bool(waits)


@pytest.mark.parametrize("interface", ["lo", LOOPBACK, "127.0.0.1"], ids=["name", "index", "address"])
async def test_an_ipv4_group_is_heard_from_join_to_leave(interface: str | int) -> None:
    options = DatagramOptions(multicast_interface=interface)
    async with (
        aionet.bind_datagram("udp://0.0.0.0:0") as ours,
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as sender,
    ):
        group = InetAddress("239.255.7.7", port_of(ours))
        assert not await receives(ours, sender, group)
        ours.join_group("239.255.7.7", interface=interface)
        assert await receives(ours, sender, group)
        with pytest.raises(DatagramError, match=r"join_group 239\.255\.7\.7 on 0\.0\.0\.0"):
            ours.join_group(group, interface=interface)
        ours.leave_group(group, interface=interface)
        assert not await receives(ours, sender, group)
        with pytest.raises(DatagramError, match="leave_group"):
            ours.leave_group(group, interface=interface)


def joined_ipv6_groups() -> list[tuple[int, str]]:
    """Return the index of the interface and the group, of each that this machine has joined."""
    lines = [line.split() for line in Path("/proc/net/igmp6").read_text().splitlines()]
    return [(int(line[0]), socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line[2]))) for line in lines]


@pytest.mark.parametrize("interface", ["lo", LOOPBACK, "::1", None], ids=["name", "index", "address", "scope"])
async def test_an_ipv6_group_is_joined_until_it_is_left(interface: str | int | None) -> None:
    # Nothing is sent: the loopback interface of many machines has no route for IPv6 multicast.
    group = "ff12::77" if interface is not None else InetAddress("ff12::77", 0, 0, LOOPBACK)
    async with aionet.bind_datagram("udp://[::]:0") as endpoint:
        endpoint.join_group(group, interface=interface)
        assert (LOOPBACK, "ff12::77") in joined_ipv6_groups()
        endpoint.leave_group(group, interface=interface)
        assert (LOOPBACK, "ff12::77") not in joined_ipv6_groups()
        endpoint.join_group(group, source="::1", interface=interface)
        assert (LOOPBACK, "ff12::77") in joined_ipv6_groups()
    assert (LOOPBACK, "ff12::77") not in joined_ipv6_groups()


async def test_of_one_source_only_that_is_heard() -> None:
    async with (
        aionet.bind_datagram("udp://0.0.0.0:0") as ours,
        aionet.bind_datagram("udp://127.0.0.1:0", options=DatagramOptions(multicast_interface="lo")) as wanted,
        aionet.bind_datagram("udp://127.0.0.2:0", options=DatagramOptions(multicast_interface="lo")) as other,
    ):
        group = InetAddress("232.1.1.1", port_of(ours))
        ours.join_group(group, source="127.0.0.1", interface="lo")
        assert await receives(ours, wanted, group)
        assert not await receives(ours, other, group)
        ours.join_group(group, source=InetAddress("127.0.0.2", 0), interface="lo")
        assert await receives(ours, other, group)
        ours.leave_group(group, source="127.0.0.1", interface="lo")
        assert not await receives(ours, wanted, group)


async def test_what_others_on_this_machine_have_joined_is_not_heard() -> None:
    options = DatagramOptions(reuse_address=True, multicast_interface="lo")
    async with (
        aionet.bind_datagram("udp://0.0.0.0:0", options=options) as joined,
        aionet.bind_datagram(f"udp://0.0.0.0:{port_of(joined)}", options=options) as bystander,
    ):
        joined.join_group("239.255.7.8", interface="lo")
        assert await receives(joined, bystander, InetAddress("239.255.7.8", port_of(joined)))
        assert bystander.statistics().receive_queue == 0


async def test_what_one_sends_oneself_is_heard_unless_switched_off() -> None:
    for loopback in (True, False):
        options = DatagramOptions(multicast_interface="lo", multicast_loopback=loopback, multicast_ttl=0)
        async with aionet.bind_datagram("udp://0.0.0.0:0", options=options) as endpoint:
            assert endpoint.refused_options == ()
            endpoint.join_group("239.255.7.9", interface="lo")
            group = InetAddress("239.255.7.9", port_of(endpoint))
            # The loopback interface brings back what leaves by it, whatever the option says.
            await receives(endpoint, endpoint, group)
            sock = endpoint.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == loopback
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0


async def test_an_interface_that_does_not_exist_is_named() -> None:
    async with aionet.bind_datagram("udp://0.0.0.0:0") as endpoint:
        for interface in ("nope", 4711, "192.0.2.1"):
            with pytest.raises(AddressError, match=rf"no interface '?{interface}'? .*expected the name.* lo \(1\)"):
                endpoint.join_group("239.255.7.7", interface=interface)
            with pytest.raises(AddressError, match="no interface"):
                await aionet.bind_datagram("udp://0.0.0.0:0", options=DatagramOptions(multicast_interface=interface))


async def test_what_is_no_group_of_the_endpoints_family_is_refused() -> None:
    async with aionet.bind_datagram("udp://0.0.0.0:0") as endpoint:
        for group in ("192.0.2.1", "ff02::1"):
            with pytest.raises(AddressError, match="expected a multicast address of its family"):
                endpoint.join_group(group)
        with pytest.raises(AddressError, match="the source is of another family"):
            endpoint.join_group("232.1.1.1", source="::1")
        with pytest.raises(AddressError):
            endpoint.join_group("name.local")


async def test_groups_are_for_systems_whose_numbers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async with aionet.bind_datagram("udp://0.0.0.0:0") as endpoint:
        monkeypatch.setattr("sys.platform", "darwin")
        with pytest.raises(DatagramError, match="numbers are not known"):
            endpoint.join_group("239.255.7.7")
        monkeypatch.undo()
