"""bind_datagram and connect_datagram: what they take, what they refuse and how they say so."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import DatagramOptions, InetAddress, UnixAddress
from tests.unit.datagram.endpoints import pair

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_taken_address_is_a_listen_error() -> None:
    async with aionet.bind_datagram(("127.0.0.1", 0)) as endpoint:
        with pytest.raises(aionet.ListenError, match=r"bind_datagram on udp://127\.0\.0\.1:\d+: ") as caught:
            await aionet.bind_datagram(endpoint.local)
        assert caught.value.errno == errno.EADDRINUSE
        assert isinstance(endpoint.local, InetAddress)
        with pytest.raises(aionet.ListenError):
            await aionet.bind_datagram("udp://192.0.2.1:0")


async def test_several_may_share_a_port_if_they_say_so() -> None:
    options = DatagramOptions(reuse_port=True)
    async with (
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as one,
        aionet.bind_datagram(one.local, options=options) as other,
    ):
        assert one.local == other.local


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5", "tls://127.0.0.1:5"])
async def test_a_scheme_without_datagrams_is_refused(endpoint: str) -> None:
    for opening in (aionet.bind_datagram(endpoint), aionet.connect_datagram(endpoint)):
        with pytest.raises(aionet.AddressError, match="expected udp://host:port, unix:/path"):
            await opening
    with pytest.raises(aionet.AddressError):
        await aionet.bind_datagram("udp://")


@pytest.mark.parametrize("endpoint", ["udp://127.0.0.1:0", ("127.0.0.1", 0)])
async def test_nobody_can_be_the_peer_at_port_0(endpoint: str | tuple[str, int]) -> None:
    with pytest.raises(aionet.AddressError, match="expected a port from 1 to 65535, that of the peer"):
        await aionet.connect_datagram(endpoint)


async def test_a_local_end_of_another_kind_is_refused() -> None:
    with pytest.raises(aionet.AddressError, match="the local end of the same scheme"):
        await aionet.connect_datagram("udp://127.0.0.1:9", local="unix:/nowhere")
    with pytest.raises(aionet.ConnectError, match="another family"):
        await aionet.connect_datagram("udp://127.0.0.1:9", local="udp://[::1]:0")


async def test_one_may_choose_where_to_send_from() -> None:
    async with (
        aionet.bind_datagram("udp://127.0.0.1:0") as ours,
        aionet.connect_datagram(ours.local, local=("127.0.0.2", 0)) as theirs,
    ):
        await theirs.send(b"x")
        assert str((await ours.recvfrom()).peer).startswith("127.0.0.2:")


async def test_a_unix_endpoint_removes_its_file_and_takes_an_abandoned_one(tmp_path: Path) -> None:
    path = tmp_path / "datagrams"
    async with aionet.bind_datagram(f"unix:{path}") as endpoint:
        assert endpoint.local == UnixAddress(path)
        with pytest.raises(aionet.ListenError, match="somebody answers on this path"):
            await aionet.bind_datagram(f"unix:{path}")
    assert not path.exists()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abandoned:
        abandoned.bind(str(path))
    async with aionet.bind_datagram(f"unix:{path}"), aionet.connect_datagram(f"unix:{path}") as client:
        assert str(client.local).startswith("@")
    with pytest.raises(aionet.ConnectError) as caught:
        await aionet.connect_datagram(f"unix:{path}")
    assert caught.value.attempts[0][0] == UnixAddress(path)


async def test_a_stream_socket_at_the_path_is_left_alone(tmp_path: Path) -> None:
    async with aionet.listen(f"unix:{tmp_path / 'stream'}"):
        with pytest.raises(aionet.ListenError):
            await aionet.bind_datagram(f"unix:{tmp_path / 'stream'}")
        assert (tmp_path / "stream").exists()


async def test_a_descriptor_is_taken_over_or_refused() -> None:
    given = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    given.bind(("127.0.0.1", 0))
    async with (
        aionet.bind_datagram(f"fd://{given.detach()}") as endpoint,
        aionet.connect_datagram(endpoint.local) as client,
    ):
        await client.send(b"x")
        assert await endpoint.recv() == b"x"
    with socket.socket() as stream:
        with pytest.raises(aionet.ListenError, match="not a datagram socket"):
            await aionet.bind_datagram(f"fd://{stream.fileno()}")
        with pytest.raises(aionet.ConnectError, match="not a datagram socket"):
            await aionet.connect_datagram(f"fd://{stream.fileno()}")
        assert stream.fileno() >= 0


async def test_of_a_name_the_first_address_is_taken() -> None:
    asked: list[tuple[str | None, int]] = []

    async def resolver(host: str | None, port: int, **_: object) -> list[InetAddress]:
        asked.append((host, port))
        return [InetAddress("192.0.2.1", port), InetAddress("127.0.0.1", port)]

    async with aionet.bind_datagram("udp://name:0", resolver=resolver) as endpoint:
        assert str(endpoint.local).startswith("127.0.0.1:")
    async with aionet.connect_datagram("udp://name:9", resolver=resolver) as client:
        assert client.peer in {InetAddress("192.0.2.1", 9), InetAddress("127.0.0.1", 9)}  # whichever has a route
    assert asked == [("name", 0), ("name", 9)]


async def test_what_the_system_refuses_is_told_and_the_endpoint_works(tmp_path: Path) -> None:
    options = DatagramOptions(broadcast=True, ttl=3, gro=True, receive_buffer=1)
    async with aionet.bind_datagram(f"unix:{tmp_path / 'unix'}", options=options) as endpoint:
        assert {each.name for each in endpoint.refused_options} == {"broadcast", "ttl", "gro", "receive_buffer"}
        async with aionet.connect_datagram(f"unix:{tmp_path / 'unix'}") as client:
            await client.send(b"x")
        assert await endpoint.recv() == b"x"


@pytest.mark.parametrize(
    ("option", "value"),
    [("receive_queue", 0), ("receive_queue_bytes", 0), ("max_datagram_size", 0), ("ttl", 256), ("ecn", 4), ("gro", 1)],
)
def test_an_option_out_of_range_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(aionet.OptionError, match=f"DatagramOptions: {option}={value}: expected"):
        DatagramOptions(**{option: value})
    with pytest.raises(aionet.OptionError, match="a run of datagrams has to fit"):
        DatagramOptions(gro=True, max_datagram_size=1500)


async def test_broadcasting_takes_an_option() -> None:
    async with pair("ipv4") as (ours, _):
        with pytest.raises(aionet.DatagramError, match=r"DatagramOptions\(broadcast=True\)") as caught:
            await ours.sendto(b"x", ("255.255.255.255", 9))
        assert caught.value.errno == errno.EACCES


async def test_without_a_descriptor_for_it_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("aionet.system.poller.EpollPoller.watch", refuse)
    with pytest.raises(aionet.ListenError, match="Too many open files"):
        await aionet.bind_datagram("udp://127.0.0.1:0")
    with pytest.raises(aionet.ConnectError, match="Too many open files"):
        await aionet.connect_datagram("udp://127.0.0.1:9")
