"""Sessions of clients behind a proxy: theirs are the caps and the bounds, the proxy's the socket that is answered."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial

import pytest

import aionet
from aionet import DatagramOptions, InetAddress, ProxyHeader, ProxyProtocol
from tests.turns import until
from tests.unit.datagram.proxied import CLIENT, HEADER, TRUSTED, proxied
from tests.unit.datagram.test_sessions import LOOPBACK, echo
from tests.unit.datagram.test_sessions import serving as serving_sessions

TAKES = ProxyProtocol(mode="v2", trusted=TRUSTED)


serving = partial(serving_sessions, proxy=TAKES)  # whose clients are then proxies


@pytest.mark.parametrize(
    "where", [LOOPBACK, "udp://[::1]:0", f"unix:@aionet-test-proxied-{os.getpid()}"], ids=["IPv4", "IPv6", "unix"]
)
async def test_each_client_of_one_proxy_has_a_session_and_the_proxy_the_answers(where: str) -> None:
    async def count(session: aionet.DatagramSession) -> None:
        seen = 0
        async for data in session:
            seen += 1
            await session.send(b"%d %b for %b" % (seen, data, str(session.peer).encode()))

    clients = [InetAddress("192.0.2.1", 4001), InetAddress("192.0.2.1", 4002), InetAddress("2001:db8::1", 4001)]
    async with serving(count, where, amplification=None) as (server, proxy):
        for turn in (1, 2):
            for client in clients:
                await proxy.send(proxied(b"hello", client))
                assert await proxy.recv() == b"%d hello for %b" % (turn, str(client).encode())
        assert [session.peer for session in server.sessions] == clients
        assert (server.statistics().sessions, server.statistics().delivered) == (3, 6)


async def test_each_socket_of_a_proxy_gets_the_answers_to_what_came_from_it() -> None:
    async with serving(echo, clients=2) as (server, one, other):
        for proxy, data in ((one, b"1"), (other, b"2"), (one, b"3")):
            await proxy.send(proxied(data))
            assert await proxy.recv() == data
        assert [session.peer for session in server.sessions] == [CLIENT, CLIENT]


async def test_a_session_knows_its_client_its_proxy_and_the_header() -> None:
    async with serving(echo) as (server, proxy):
        await proxy.send(proxied(b"x"))
        await proxy.recv()
        (session,) = server.sessions
        assert (session.peer, session.proxy) == (CLIENT, HEADER)
        assert session.get_extra_info("peername") == proxy.local.sockaddr
        assert session.get_extra_info("sockname") == server.addresses[0].sockaddr
        assert session.get_extra_info("cipher", "none") == "none"
        both = f"{server.addresses[0]} <-> {CLIENT} via {proxy.local}"
        assert repr(session) == f"<DatagramSession {both}>"
    with pytest.raises(aionet.ClosedError, match=f"send on {both}".replace(".", r"\.")):
        await session.send(b"late")


async def test_without_a_proxy_the_peer_is_who_is_answered() -> None:
    async with aionet.serve_datagram(LOOPBACK, echo) as server, aionet.connect_datagram(server.addresses[0]) as client:
        await client.send(b"x")
        await client.recv()
        (session,) = server.sessions
        assert (session.peer, session.proxy) == (client.local, None)
        assert session.get_extra_info("peername") == client.local.sockaddr
        assert repr(session) == f"<DatagramSession {server.addresses[0]} <-> {client.local}>"


async def test_a_proxy_that_speaks_for_itself_has_a_session_of_its_own() -> None:
    async with serving(echo) as (server, proxy):
        await proxy.send(aionet.build_proxy_header(ProxyHeader(local=True)) + b"are you there")
        assert await proxy.recv() == b"are you there"
        await proxy.send(proxied(b"x"))
        assert await proxy.recv() == b"x"
        assert [session.peer for session in server.sessions] == [proxy.local, CLIENT]


async def test_the_caps_on_networks_are_for_clients() -> None:
    clients = [InetAddress(host, 4000) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1")]
    async with serving(echo, max_sessions_per_prefix=2) as (server, proxy):
        for client in clients:
            await proxy.send(proxied(b"x", client))
        await until(lambda: server.statistics().received == 4)
        assert [session.peer for session in server.sessions] == [clients[0], clients[1], clients[3]]
        assert server.statistics().dropped_prefix == 1


async def test_a_client_whose_session_has_ended_makes_room_for_its_network() -> None:
    async def once(session: aionet.DatagramSession) -> None:
        await session.send(await session.recv())

    async with serving(once, max_sessions_per_prefix=1) as (server, proxy):
        for number in range(3):
            await proxy.send(proxied(b"x", InetAddress("192.0.2.1", 4000 + number)))
            assert await proxy.recv() == b"x"
            await until(lambda: not server.sessions)
        assert server.statistics().sessions == 3


async def test_a_client_that_claims_a_server_s_port_is_dropped() -> None:
    async with serving(echo) as (server, proxy):
        await proxy.send(proxied(b"x", InetAddress("192.0.2.1", 53)))
        await proxy.send(proxied(b"y"))
        assert await proxy.recv() == b"y"
        assert server.statistics().dropped_source == 1


async def test_a_proxy_may_send_from_a_server_s_port() -> None:
    async with serving(echo) as (server, _):
        try:
            proxy = await aionet.connect_datagram(server.addresses[0], local="udp://127.0.0.1:853")
        except aionet.ListenError:
            pytest.skip("ports below 1024 are root's here")
        async with proxy:
            await proxy.send(proxied(b"x"))
            assert await proxy.recv() == b"x"


async def test_a_header_is_nothing_that_may_be_amplified() -> None:
    refused: list[str] = []

    async def answer(session: aionet.DatagramSession) -> None:
        data = await session.recv()
        try:
            await session.send(data * 4)
        except aionet.AmplificationError as error:
            refused.append(str(error))
        await session.send(data * 3)

    async with serving(answer) as (server, proxy):
        await proxy.send(proxied(b"12345"))
        assert await proxy.recv() == b"12345" * 3
        (said,) = refused
        assert f"{server.addresses[0]} -> {CLIENT} via {proxy.local}: 20 bytes" in said


async def test_a_proxy_whose_unix_socket_has_no_name_cannot_be_answered() -> None:
    where = f"unix:@aionet-test-proxied-{os.getpid()}"
    async with serving(echo, where=where, clients=0) as (server,):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(proxied(b"x"), server.addresses[0].sockaddr)
        await until(lambda: server.statistics().dropped_source == 1)
        assert server.statistics().sessions == 0


async def test_answers_leave_from_where_the_proxy_sent_to() -> None:
    options = DatagramOptions(pktinfo=True)
    async with serving(echo, where="udp://0.0.0.0:0", clients=0, options=options) as (server,):
        here = InetAddress("127.0.0.5", server.addresses[0].port)
        async with aionet.connect_datagram(here) as proxy:  # it receives from there alone
            for client in (CLIENT, InetAddress("192.0.2.2", 4000)):
                await proxy.send(proxied(b"x", client))
                assert await proxy.recv() == b"x"
        assert [session.local for session in server.sessions] == [here, here]


async def test_what_is_refused_is_in_the_endpoint_s_statistics() -> None:
    async with serving(echo) as (server, proxy):
        await proxy.send(b"no header")
        await proxy.send(proxied(b"x"))
        assert await proxy.recv() == b"x"
        assert server.endpoint.statistics().refused_headers == 1
        assert server.statistics().received == 1


async def test_an_endpoint_that_takes_headers_may_be_served() -> None:
    async with (
        aionet.bind_datagram(LOOPBACK, proxy=TAKES) as endpoint,
        aionet.connect_datagram(endpoint.local) as proxy,
    ):
        with pytest.raises(aionet.OptionError, match=r"proxy=.*: expected None with an open endpoint"):
            await aionet.serve_datagram(endpoint, echo, proxy=TAKES)
        async with aionet.serve_datagram(endpoint, echo) as server:
            await proxy.send(proxied(b"x"))
            assert await proxy.recv() == b"x"
            assert [session.peer for session in server.sessions] == [CLIENT]


async def test_version_1_is_refused() -> None:
    with pytest.raises(aionet.OptionError, match="expected v2 or either"):
        await aionet.serve_datagram(LOOPBACK, echo, proxy=ProxyProtocol(mode="v1", trusted=TRUSTED))


async def test_another_task_that_receives_is_told_whose_session_it_is() -> None:
    told: list[str] = []

    async def twice(session: aionet.DatagramSession) -> None:
        await session.recv()
        other = asyncio.ensure_future(session.recv())
        await asyncio.sleep(0)
        try:
            await session.recv()
        except aionet.BusyError as error:
            told.append(str(error))
        other.cancel()
        await session.send(b"done")

    async with serving(twice, amplification=None) as (_, proxy):
        await proxy.send(proxied(b"x"))
        assert await proxy.recv() == b"done"
        assert f"<- {CLIENT} via {proxy.local}: another task" in told[0]
