"""connect: which addresses are tried, in which order, from where, with which options, and what the errors say."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet import (
    AddressError,
    ConnectError,
    ConnectTimeoutError,
    InetAddress,
    ResolveError,
    SocketOptions,
    Timeouts,
)
from tests.leaks import open_descriptors
from tests.turns import running, turns, until
from tests.unit.stream.places import AT_ONCE, listening, peer_of, refusing, resolver_of, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionet.address import EndpointLike


# --- one address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "endpoint",
    [
        lambda address: address,
        lambda address: f"tcp://{address}",
        lambda address: (address.host, address.port),
        aionet.Endpoint.parse,
    ],
    ids=["Address", "string", "pair", "Endpoint"],
)
async def test_an_endpoint_may_be_said_in_several_ways(
    host: str, endpoint: Callable[[InetAddress], EndpointLike]
) -> None:
    with listening(host) as (_, address):
        assert await peer_of(endpoint(address)) == address


async def test_a_stream_may_be_awaited_or_entered() -> None:
    with listening() as (_, address):
        stream = await aionet.connect(address, timeouts=AT_ONCE)
        assert not stream.closed
        await stream.aclose()
        async with aionet.connect(address, timeouts=AT_ONCE) as stream:
            assert not stream.closed
        assert stream.closed


async def test_nothing_happens_before_it_is_awaited_or_entered() -> None:
    with listening() as (sock, address):
        opening = aionet.connect(address, timeouts=AT_ONCE)
        await turns()
        with pytest.raises(BlockingIOError):
            sock.accept()
        del opening


async def test_the_same_connect_may_be_awaited_again_for_another_stream() -> None:
    with listening() as (_, address):
        opening = aionet.connect(address, timeouts=AT_ONCE)
        one, other = await opening, await opening
        assert one.local != other.local
        await one.aclose()
        await other.aclose()


async def test_a_refused_connection_names_the_endpoint_the_address_and_the_reason() -> None:
    with refusing() as address:
        with pytest.raises(ConnectError) as caught:
            await aionet.connect(address)
        assert str(caught.value) == f"connect to tcp://{address}: {address}: Connection refused"
        assert caught.value.errno == errno.ECONNREFUSED
        assert [(tried, error.errno) for tried, error in caught.value.attempts] == [(address, errno.ECONNREFUSED)]
        assert caught.value.__cause__ is caught.value.attempts[0][1]
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_port_that_answers_itself_refuses() -> None:
    with refusing() as address:
        pass
    with pytest.raises(ConnectError, match="nobody listens") as caught:
        await aionet.connect(address, local=address, options=SocketOptions(reuse_address=True))
    assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize(
    "endpoint", ["", "tcp://", "tcp://127.0.0.1", "127.0.0.1:80", "tcp://127.0.0.1:99999", "http://x:80", 5, None]
)
async def test_what_is_no_endpoint_is_refused_at_once(endpoint: Any) -> None:
    with pytest.raises(AddressError):
        await aionet.connect(endpoint)


@pytest.mark.parametrize("endpoint", ["udp://127.0.0.1:80"])
async def test_what_cannot_be_connected_to_is_refused(endpoint: str) -> None:
    with pytest.raises(AddressError, match=endpoint):
        await aionet.connect(endpoint)


# --- several addresses ------------------------------------------------------------------------------------------------


async def test_each_address_is_tried_until_one_answers() -> None:
    with refusing() as one, refusing() as two, listening() as (_, three):
        assert await peer_of("tcp://example:1", resolver=resolver_of(one, two, three)) == three


async def test_the_families_are_tried_in_turn_beginning_with_the_first() -> None:
    with refusing("::1") as six, refusing("::1") as also_six, refusing() as four, refusing() as also_four:
        with pytest.raises(ConnectError) as caught:
            await aionet.connect(
                "tcp://example:1",
                resolver=resolver_of(six, also_six, four, also_four),
                timeouts=Timeouts(happy_eyeballs_delay=None),
            )
        assert [address for address, _ in caught.value.attempts] == [six, four, also_six, also_four]


async def test_an_address_that_fails_makes_room_for_the_next_at_once() -> None:
    with refusing() as one, listening() as (_, two):
        timeouts = Timeouts(happy_eyeballs_delay=None, close=0)
        assert await peer_of("tcp://example:1", resolver=resolver_of(one, two), timeouts=timeouts) == two


async def test_an_address_that_is_silent_is_overtaken_by_the_next() -> None:
    with silent() as one, listening() as (_, two):
        timeouts = Timeouts(happy_eyeballs_delay=0.01, close=0)
        assert await peer_of("tcp://example:1", resolver=resolver_of(one, two), timeouts=timeouts) == two


async def test_a_silent_address_does_not_hide_a_failure_that_comes_later() -> None:
    with silent() as one, refusing() as two, listening() as (_, three):
        timeouts = Timeouts(happy_eyeballs_delay=0.01, close=0)
        assert await peer_of("tcp://example:1", resolver=resolver_of(one, two, three), timeouts=timeouts) == three


async def test_without_a_delay_the_next_address_waits_for_a_failure() -> None:
    with silent() as one, listening() as (sock, two):
        timeouts = Timeouts(happy_eyeballs_delay=None, connect=0.05)
        with pytest.raises(ConnectTimeoutError):
            await aionet.connect("tcp://example:1", resolver=resolver_of(one, two), timeouts=timeouts)
        with pytest.raises(BlockingIOError):
            sock.accept()


async def test_an_address_that_answers_in_time_leaves_the_next_alone() -> None:
    with listening() as (_, one), listening() as (sock, two):
        assert await peer_of("tcp://example:1", resolver=resolver_of(one, two)) == one
        with pytest.raises(BlockingIOError):
            sock.accept()


async def test_the_losers_of_the_race_leave_no_descriptor() -> None:
    with silent() as one, silent() as two, listening() as (_, three):
        before = len(open_descriptors())
        timeouts = Timeouts(happy_eyeballs_delay=0.01, close=0)
        async with aionet.connect(
            "tcp://example:1", resolver=resolver_of(one, two, three), timeouts=timeouts
        ) as stream:
            assert stream.peer == three
            await until(lambda: len(open_descriptors()) <= before + 2)  # the stream's own, and its poller's


async def test_the_error_lists_every_address_with_its_own_reason() -> None:
    with refusing() as one, refusing("::1") as two, refusing() as three:
        with pytest.raises(ConnectError) as caught:
            await aionet.connect("tcp://example:1", resolver=resolver_of(one, two, three), local=("127.0.0.1", 0))
        reasons = {address: error.errno for address, error in caught.value.attempts}
        assert reasons == {one: errno.ECONNREFUSED, two: errno.EAFNOSUPPORT, three: errno.ECONNREFUSED}
        for address, error in caught.value.attempts:
            assert f"{address}: {error.strerror}" in str(caught.value)
        assert str(caught.value).startswith("connect to tcp://example:1: ")
        assert not isinstance(caught.value, TimeoutError)


async def test_a_name_without_addresses_is_an_error() -> None:
    with pytest.raises((ConnectError, ResolveError), match=r"example.*no address"):
        await aionet.connect("tcp://example:1", resolver=resolver_of())


async def test_a_name_that_cannot_be_resolved_raises_what_the_resolver_raised() -> None:
    error = ResolveError(socket.EAI_NONAME, "cannot resolve 'example'")

    async def resolve(host: str | None, port: int, **_options: object) -> list[InetAddress]:
        raise error

    with pytest.raises(ResolveError) as caught:
        await aionet.connect("tcp://example:1", resolver=resolve)
    assert caught.value is error


# --- timeouts and cancelling ------------------------------------------------------------------------------------------


async def test_an_address_that_stays_silent_raises_when_the_time_is_up() -> None:
    with silent() as address:
        before = len(open_descriptors())
        with pytest.raises(ConnectTimeoutError) as caught:
            await aionet.connect(address, timeouts=Timeouts(connect=0.03))
        assert str(caught.value) == f"connect to tcp://{address}: no answer within 0.03 s"
        assert caught.value.errno == errno.ETIMEDOUT
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, ConnectionError)
        assert caught.value.attempts == ()
        await until(lambda: len(open_descriptors()) <= before)


async def test_a_timeout_lists_what_had_failed_before() -> None:
    with refusing() as one, silent() as two:
        with pytest.raises(ConnectTimeoutError) as caught:
            await aionet.connect("tcp://example:1", resolver=resolver_of(one, two), timeouts=Timeouts(connect=0.03))
        assert [address for address, _ in caught.value.attempts] == [one]
        assert f"{one}: Connection refused" in str(caught.value)


async def test_the_time_for_resolving_counts() -> None:
    async def resolve(host: str | None, port: int, **_options: object) -> list[InetAddress]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(ConnectTimeoutError, match="tcp://example:1"):
        await aionet.connect("tcp://example:1", resolver=resolve, timeouts=Timeouts(connect=0.03))


@pytest.mark.parametrize("connect", [None, 30])
async def test_a_resolver_whose_own_time_is_up_is_a_timeout(connect: float | None) -> None:
    async def resolve(host: str | None, port: int, **_options: object) -> list[InetAddress]:
        raise TimeoutError("the name server does not answer")

    with pytest.raises(TimeoutError):
        await aionet.connect("tcp://example:1", resolver=resolve, timeouts=Timeouts(connect=connect))


async def test_a_callers_own_timeout_is_the_callers() -> None:
    with silent() as address:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await aionet.connect(address)
        assert not isinstance(caught.value, ConnectTimeoutError)


async def test_a_cancelled_connect_leaves_no_descriptor() -> None:
    with silent() as one, silent() as two:
        before = len(open_descriptors())
        timeouts = Timeouts(happy_eyeballs_delay=0.01)
        connecting = aionet.connect("tcp://example:1", resolver=resolver_of(one, two), timeouts=timeouts)
        async with running(_wait_for(connecting)):
            await until(lambda: len(open_descriptors()) >= before + 2)
        await until(lambda: len(open_descriptors()) <= before)


async def _wait_for(opening: Any) -> None:
    await opening


# --- from where, and with which options -------------------------------------------------------------------------------


async def test_a_connection_comes_from_the_local_address() -> None:
    with listening() as (_, address):
        async with aionet.connect(address, local=("127.0.0.2", 0), timeouts=AT_ONCE) as stream:
            assert isinstance(stream.local, InetAddress)
            assert stream.local.host == "127.0.0.2"
            assert stream.local.port > 0


async def test_a_connection_comes_from_the_local_port() -> None:
    with refusing("127.0.0.3") as free:
        pass
    with listening() as (_, address):
        async with aionet.connect(address, local=f"tcp://{free}", timeouts=AT_ONCE) as stream:
            assert stream.local == free
            with pytest.raises(ConnectError) as caught:
                await aionet.connect(address, local=free)
            assert caught.value.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL}


async def test_a_local_address_of_another_family_is_said() -> None:
    with listening() as (_, address), pytest.raises(ConnectError, match=r"\[::1\]:0 is of another family"):
        await aionet.connect(address, local=("::1", 0))


async def test_a_local_address_that_this_machine_does_not_have_is_an_error() -> None:
    with listening() as (_, address):
        with pytest.raises(ConnectError) as caught:
            await aionet.connect(address, local=("192.0.2.1", 0))
        assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("local", ["unix:/nowhere", "fd://3", "udp://127.0.0.1:0"])
async def test_a_local_end_of_another_kind_is_refused(local: str) -> None:
    with listening() as (_, address), pytest.raises(AddressError):
        await peer_of(address, local=local)


async def test_the_options_are_set() -> None:
    options = SocketOptions(keepalive=True, keepalive_idle=77, send_buffer=40_000, nodelay=False, linger=3)
    with listening() as (_, address):
        async with aionet.connect(address, options=options, timeouts=AT_ONCE) as stream:
            sock = stream.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 80_000  # Linux doubles it
            assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_small_writes_leave_at_once_unless_told_otherwise() -> None:
    with listening() as (_, address):
        async with aionet.connect(address, timeouts=AT_ONCE) as stream:
            assert stream.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not stream.get_extra_info("socket").get_inheritable()


async def test_what_the_system_refuses_of_the_options_is_reported() -> None:
    options = SocketOptions(send_buffer=1, receive_buffer=1_000_000_000)
    with listening() as (_, address):
        async with aionet.connect(address, options=options, timeouts=AT_ONCE) as stream:
            refused = {each.name: each for each in stream.refused_options}
            assert refused.keys() == {"send_buffer", "receive_buffer"}
            sock = stream.get_extra_info("socket")
            assert refused["send_buffer"].requested == 1
            assert refused["send_buffer"].granted == sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) / 2


async def test_what_the_system_does_as_asked_is_not_reported() -> None:
    options = SocketOptions(keepalive=True, keepalive_idle=77, send_buffer=40_000, linger=3, reuse_port=True)
    with listening() as (_, address):
        async with aionet.connect(address, options=options, timeouts=AT_ONCE) as stream:
            assert stream.refused_options == ()


async def test_a_socket_that_is_passed_on_gets_the_options_that_do_not_come_too_late() -> None:
    options = SocketOptions(keepalive=True, keepalive_idle=77, reuse_port=True, fast_open=True)
    with listening() as (_, address), socket.create_connection(address.sockaddr[:2]) as passed:
        async with aionet.connect(f"fd://{passed.detach()}", options=options, timeouts=AT_ONCE) as stream:
            sock = stream.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
            assert {each.name for each in stream.refused_options} == {"reuse_port", "fast_open"}
