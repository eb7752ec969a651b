"""Listening: one port for all addresses, what is left out, what is refused; a failure gives everything back."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from tests.faults.peers import address_of, connected, listening_socket
from tests.leaks import open_descriptors
from tests.turns import turns

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_HERE = "192.0.2.1"


def resolver_to(*hosts: str) -> Callable[..., Any]:
    """Resolve every name to these hosts."""

    async def resolve(_host: str | None, port: int, **_options: object) -> list[aionet.InetAddress]:
        return [aionet.InetAddress(host, port) for host in hosts]

    return resolve


def ports_of(listening: aionet.Listener | aionet.Server) -> set[int]:
    return {address.port for address in listening.addresses if isinstance(address, aionet.InetAddress)}


def can_connect(address: aionet.Address) -> bool:
    with socket.socket(address.family) as client:
        return client.connect_ex(address.sockaddr) == 0


async def nothing(stream: aionet.Stream) -> None:
    """Handle nothing."""


# --- one port ---------------------------------------------------------------------------------------------------------


async def test_port_0_is_one_port_for_all_addresses() -> None:
    hosts = ("127.0.0.1", "127.0.0.2", "::1")
    async with aionet.listen("tcp://several.example:0", resolver=resolver_to(*hosts)) as listener:
        assert [address.host for address in listener.addresses if isinstance(address, aionet.InetAddress)] == [*hosts]
        (port,) = ports_of(listener)
        assert port
        assert all(can_connect(address) for address in listener.addresses)


async def test_port_0_on_every_interface_is_one_port_for_both_families() -> None:
    async with aionet.serve("tcp://*:0", nothing) as server:
        assert {address.family for address in server.addresses} == {socket.AF_INET, socket.AF_INET6}
        assert len(ports_of(server)) == 1


async def test_each_endpoint_has_its_own_port() -> None:
    async with aionet.listen(["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]) as listener:
        assert len(ports_of(listener)) == 2


class _Rival(socket.socket):
    """Sockets among which somebody else owns the port on the second address, ``times`` times."""

    times = 0
    taken: list[socket.socket]

    def bind(self, address: Any) -> None:
        super().bind(address)
        if address == ("127.0.0.1", 0) and _Rival.times:
            _Rival.times -= 1
            rival = socket.socket()
            _Rival.taken.append(rival)
            rival.bind(("127.0.0.2", self.getsockname()[1]))


@pytest.fixture
def rival(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(socket, "socket", _Rival)
    _Rival.taken = []
    yield _Rival
    for sock in _Rival.taken:
        sock.close()


@pytest.mark.parametrize("times", [1, 5])
async def test_a_port_that_is_taken_on_the_second_address_is_given_back_and_another_one_asked_for(
    rival: Any, times: int
) -> None:
    rival.times = times
    async with aionet.listen("tcp://x.example:0", resolver=resolver_to("127.0.0.1", "127.0.0.2")) as listener:
        assert len(rival.taken) == times
        (port,) = ports_of(listener)
        assert port not in {sock.getsockname()[1] for sock in rival.taken}


async def test_after_many_ports_that_were_taken_it_gives_up(rival: Any) -> None:
    rival.times = 1000
    with pytest.raises(aionet.ListenError, match="no port that is free on all of 2 addresses") as caught:
        await aionet.listen("tcp://x.example:0", resolver=resolver_to("127.0.0.1", "127.0.0.2"))
    assert caught.value.errno == errno.EADDRINUSE
    assert rival.times > 900


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_", [aionet.listen, lambda endpoint: aionet.serve(endpoint, nothing)])
async def test_a_port_that_is_taken_is_an_error_that_names_it(open_: Callable[[Any], Any]) -> None:
    with listening_socket("tcp") as taken:
        address = address_of(taken)
        with pytest.raises(aionet.ListenError, match=f"listen on {address}: Address already in use") as caught:
            await open_(address)
        assert caught.value.errno == errno.EADDRINUSE


async def test_if_one_endpoint_cannot_be_had_the_others_are_given_back() -> None:
    with listening_socket("tcp") as free:
        address = address_of(free)
    with listening_socket("tcp") as taken:
        with pytest.raises(aionet.ListenError):
            await aionet.listen([address, address_of(taken)])
        assert not can_connect(address)


async def test_an_address_that_this_machine_does_not_have_is_left_out() -> None:
    async with aionet.listen("tcp://x.example:0", resolver=resolver_to(NOT_HERE, "127.0.0.1")) as listener:
        assert [str(address).partition(":")[0] for address in listener.addresses] == ["127.0.0.1"]


async def test_if_this_machine_has_none_of_the_addresses_that_is_an_error() -> None:
    with pytest.raises(aionet.ListenError, match=f"listen on {NOT_HERE}:0: Cannot assign requested address") as caught:
        await aionet.listen("tcp://x.example:0", resolver=resolver_to(NOT_HERE))
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_nobody_can_listen_on_another_scheme() -> None:
    with pytest.raises(aionet.AddressError, match="expected tcp://host:port, unix:/path or fd://number"):
        await aionet.listen("udp://127.0.0.1:0")


@pytest.mark.parametrize("opening", [aionet.listen, lambda endpoints: aionet.serve(endpoints, aionet.Stream.aclose)])
@pytest.mark.parametrize("endpoints", [[], set()])
def test_no_endpoint_at_all_is_refused(opening: Callable[[Any], object], endpoints: Any) -> None:
    with pytest.raises(aionet.AddressError, match="expected at least one"):
        opening(endpoints)


async def test_several_endpoints_are_a_list_or_a_set_of_whatever_is_an_endpoint() -> None:
    places: list[str] = ["tcp://127.0.0.1:0"]
    addresses: set[aionet.InetAddress] = {aionet.InetAddress("127.0.0.1", 0)}
    opening: aionet.Opening[aionet.Listener] = aionet.listen(places)
    async with opening as one, aionet.listen(addresses) as other:
        assert ports_of(one) != ports_of(other)


async def test_a_handler_that_cannot_be_called_is_refused() -> None:
    handler: Any = "echo"
    with pytest.raises(TypeError, match="handler='echo': expected an async function"):
        await aionet.serve("tcp://127.0.0.1:0", handler)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["listen", "serve"])
async def test_a_backlog_beyond_the_systems_cap_is_reported_with_the_cap(kind: str) -> None:
    options = aionet.SocketOptions(backlog=1_000_000)
    opening: Any = aionet.listen if kind == "listen" else aionet.serve
    arguments = ["tcp://127.0.0.1:0"] if kind == "listen" else ["tcp://127.0.0.1:0", nothing]
    async with opening(*arguments, options=options) as listening:
        (refused,) = listening.refused_options
        assert refused.name == "backlog"
        assert refused.requested == 1_000_000
        assert 0 < refused.granted < 1_000_000


async def test_what_a_unix_socket_does_not_have_is_reported() -> None:
    options = aionet.SocketOptions(reuse_port=True, keepalive=True)
    async with aionet.listen(f"unix:@aionet-test-refused-{os.getpid()}", options=options) as listener:
        assert {refused.name for refused in listener.refused_options} == {"reuse_port", "keepalive"}


async def test_a_listener_that_is_passed_on_gets_the_options_that_do_not_come_too_late() -> None:
    options = aionet.SocketOptions(keepalive=True, reuse_address=True, dual_stack=True)
    with listening_socket("tcp") as passed:
        address = passed.getsockname()
        async with aionet.listen(f"fd://{passed.detach()}", options=options) as listener:
            assert {each.name for each in listener.refused_options} == {"reuse_address", "dual_stack"}
            with socket.create_connection(address):
                stream = await listener.accept()
                sock = stream.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                stream.abort()


async def test_accepted_streams_have_the_options_of_the_listener() -> None:
    options = aionet.SocketOptions(nodelay=True, keepalive=True, keepalive_idle=77)
    async with aionet.listen("tcp://127.0.0.1:0", options=options) as listener:
        assert not listener.refused_options
        with socket.create_connection(listener.addresses[0].sockaddr[:2]):  # type: ignore[arg-type]
            stream = await listener.accept()
            sock = stream.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
            stream.abort()


async def test_ipv6_alone_leaves_ipv4_to_others_unless_it_is_asked_for_both() -> None:
    async with aionet.listen("tcp://[::]:0") as listener:
        (port,) = ports_of(listener)
        assert not can_connect(aionet.InetAddress("127.0.0.1", port))
    async with aionet.listen("tcp://[::]:0", options=aionet.SocketOptions(dual_stack=True)) as listener:
        (port,) = ports_of(listener)
        assert can_connect(aionet.InetAddress("127.0.0.1", port))


# --- descriptors that were passed on ----------------------------------------------------------------------------------


async def test_a_listening_descriptor_is_taken_over() -> None:
    with listening_socket("tcp") as listening:
        address = address_of(listening)
        async with aionet.listen(f"fd://{listening.detach()}") as listener:
            assert listener.addresses == (address,)
            with socket.create_connection(address.sockaddr[:2]):  # type: ignore[arg-type]
                (await listener.accept()).abort()
    assert not can_connect(address)


@pytest.mark.parametrize("kind", ["connected", "datagram", "unbound"])
async def test_a_descriptor_that_does_not_listen_is_refused_and_stays_its_owners(kind: str) -> None:
    async with connected("tcp") as (_stream, peer):
        match kind:
            case "connected":
                sock = peer
            case "datagram":
                sock = socket.socket(type=socket.SOCK_DGRAM)
            case _:
                sock = socket.socket()
        with sock:
            number = sock.fileno()
            with pytest.raises(aionet.ListenError, match=f"listen on fd://{number}: not a listening stream socket"):
                await aionet.listen(f"fd://{number}")
            assert sock.getsockname()


async def test_a_number_that_is_no_open_descriptor_is_an_error_that_names_it() -> None:
    with socket.socket() as sock:
        number = sock.fileno()
    with pytest.raises(aionet.ListenError, match=f"listen on fd://{number}: Bad file descriptor") as caught:
        await aionet.listen(f"fd://{number}")
    assert caught.value.errno == errno.EBADF


# --- accepting --------------------------------------------------------------------------------------------------------


async def test_connections_that_nobody_accepts_wait_in_the_backlog_and_cost_no_descriptors() -> None:
    async with aionet.listen("tcp://127.0.0.1:0") as listener:
        address = listener.addresses[0].sockaddr[:2]
        with ExitStack() as stack:
            stack.enter_context(socket.create_connection(address))  # type: ignore[arg-type]
            (await listener.accept()).abort()
            before = len(open_descriptors())
            for _ in range(10):
                stack.enter_context(socket.create_connection(address))  # type: ignore[arg-type]
            await turns()
            assert len(open_descriptors()) <= before + 10 + 1  # one too many is accepted: the next accept's
            for _ in range(10):
                (await listener.accept()).abort()
