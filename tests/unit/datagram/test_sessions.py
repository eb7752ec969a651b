"""serve_datagram: a handler for each peer, within bounds, from the first datagram to the end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import aionet
from tests.turns import turns, unless_held_up, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Handler = Callable[[aionet.DatagramSession], Awaitable[object]]

LOOPBACK = "udp://127.0.0.1:0"
LONG = 3600.0


async def echo(session: aionet.DatagramSession) -> None:
    """Send back what comes."""
    async for data in session:
        await session.send(data)


async def wait(session: aionet.DatagramSession) -> None:
    """Receive nothing."""
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(
    handler: Handler,
    where: str = LOOPBACK,
    clients: int = 1,
    *,
    options: aionet.DatagramOptions | None = None,
    proxy: aionet.ProxyProtocol | None = None,
    **bounds: Any,
) -> AsyncGenerator[tuple[Any, ...]]:
    """A server, and clients that are connected to it."""
    async with AsyncExitStack() as stack:
        sessions = aionet.SessionOptions(**bounds)
        server = await stack.enter_async_context(
            aionet.serve_datagram(where, handler, sessions=sessions, options=options, proxy=proxy)
        )
        made = [await stack.enter_async_context(aionet.connect_datagram(server.addresses[0])) for _ in range(clients)]
        yield server, *made


def accounted(server: aionet.DatagramServer) -> bool:
    """Whether every datagram is somewhere."""
    said = server.statistics()
    dropped: int = sum(value for name, value in attrs.asdict(said).items() if name.startswith("dropped_"))
    return said.received == said.delivered + said.waiting + dropped


@pytest.mark.parametrize(
    "where", [LOOPBACK, "udp://[::1]:0", f"unix:@aionet-test-sessions-{os.getpid()}"], ids=["IPv4", "IPv6", "unix"]
)
async def test_each_peer_has_a_handler_of_its_own(where: str) -> None:
    async def count(session: aionet.DatagramSession) -> None:
        seen = 0
        async for data in session:
            seen += 1
            await session.send(b"%d %b" % (seen, data))

    async with serving(count, where, clients=3, amplification=None) as (server, *clients):
        for turn in (1, 2):
            for client in clients:
                await client.send(b"hello")
            assert [await client.recv() for client in clients] == [b"%d hello" % turn] * 3
        assert {session.peer for session in server.sessions} == {client.local for client in clients}
        assert (server.statistics().sessions, server.statistics().delivered) == (3, 6)


async def test_an_endpoint_that_is_open_is_taken_over_and_closed() -> None:
    endpoint = await aionet.bind_datagram(LOOPBACK)
    async with (
        aionet.serve_datagram(endpoint, echo) as server,
        aionet.connect_datagram(server.addresses[0]) as client,
    ):
        assert server.endpoint is endpoint
        with pytest.raises(aionet.BusyError):
            await endpoint.recvfrom()
        await client.send(b"x")
        assert await client.recv() == b"x"
    assert endpoint.closed


async def test_what_had_come_before_the_server_is_served() -> None:
    async with (
        aionet.bind_datagram(LOOPBACK) as endpoint,
        aionet.connect_datagram(endpoint.local) as client,
    ):
        await client.send(b"early")
        await until(lambda: endpoint.statistics().receive_queue)
        async with aionet.serve_datagram(endpoint, echo):
            assert await client.recv() == b"early"


async def test_an_endpoint_that_is_closed_or_busy_is_refused() -> None:
    async with aionet.bind_datagram(LOOPBACK) as endpoint:
        receiving = asyncio.ensure_future(endpoint.recvfrom())
        await turns()
        with pytest.raises(aionet.BusyError, match="another task is receiving"):
            await aionet.serve_datagram(endpoint, echo)
        receiving.cancel()
        await asyncio.wait([receiving])
        with pytest.raises(aionet.OptionError, match="expected None with an open endpoint"):
            await aionet.serve_datagram(endpoint, echo, options=aionet.DatagramOptions())
    with pytest.raises(aionet.ClosedError):
        await aionet.serve_datagram(endpoint, echo)


async def test_what_comes_while_the_handler_is_busy_waits_in_order() -> None:
    go_on = asyncio.Event()
    received = []

    async def late(session: aionet.DatagramSession) -> None:
        await go_on.wait()
        async for data in session:
            received.append(data)  # noqa: PERF401 - one at a time

    async with serving(late) as (server, client):
        for number in range(20):
            await client.send(b"%d" % number)
        await until(lambda: server.statistics().waiting == 20)
        go_on.set()
        await until(lambda: len(received) == 20)
        assert received == [b"%d" % number for number in range(20)]
        await client.send(b"")
        await until(lambda: len(received) == 21)
        assert received[-1] == b""


@pytest.mark.parametrize(
    ("bounds", "size", "kept"),
    [
        ({"session_queue": 3}, 10, 3),
        ({"session_queue_bytes": 1000}, 300, 3),
        ({"queue_bytes": 1000}, 500, 2),
    ],
)
async def test_a_full_queue_drops_the_newest_and_counts_it(bounds: dict[str, Any], size: int, kept: int) -> None:
    go_on = asyncio.Event()
    received = []

    async def late(session: aionet.DatagramSession) -> None:
        await go_on.wait()
        async for data in session:
            received.append(data[0])  # noqa: PERF401 - one at a time

    async with serving(late, **bounds) as (server, client):
        for number in range(10):
            await client.send(bytes([number] * size))
        await until(lambda: server.statistics().received == 10)
        assert (server.statistics().waiting, server.statistics().dropped_queue) == (kept, 10 - kept)
        assert accounted(server)
        go_on.set()
        await until(lambda: len(received) == kept)
        assert received == list(range(kept))
        assert accounted(server)
        assert server.statistics().waiting == 0


async def test_what_a_handler_leaves_unread_is_counted() -> None:
    go_on = asyncio.Event()

    async def leave(session: aionet.DatagramSession) -> None:
        await go_on.wait()
        await session.recv()

    async with serving(leave) as (server, client):
        for _ in range(5):
            await client.send(b"x")
        await until(lambda: server.statistics().waiting == 5)
        go_on.set()
        await until(lambda: not server.sessions)
        assert server.statistics().dropped_unread == 4
        assert accounted(server)
        assert server._queues.bytes_waiting == 0


async def test_after_its_end_the_peer_begins_a_new_session() -> None:
    async def once(session: aionet.DatagramSession) -> None:
        await session.send(await session.recv())

    async with serving(once) as (server, client):
        for turn in range(3):
            await client.send(b"x")
            assert await client.recv() == b"x"
            await until(lambda: not server.sessions)
            assert server.statistics().sessions == turn + 1


async def test_no_more_sessions_than_there_may_be() -> None:
    async with serving(echo, clients=3, max_sessions=2) as (server, first, second, third):
        for client in (first, second):
            await client.send(b"x")
            await client.recv()
        await third.send(b"x")
        await until(lambda: server.statistics().dropped_max_sessions == 1)
        await first.send(b"those who are there go on")
        await first.recv()
        assert server.statistics().sessions == 2
        assert accounted(server)


async def test_no_more_sessions_of_a_network_than_there_may_be() -> None:
    async with (
        serving(echo, clients=3, max_sessions_per_prefix=2) as (server, *clients),
        aionet.connect_datagram(server.addresses[0], local="udp://127.0.1.1:0") as elsewhere,
    ):
        for client in (*clients, elsewhere):
            await client.send(b"x")
        assert await elsewhere.recv() == b"x"
        assert (server.statistics().sessions, server.statistics().dropped_prefix) == (3, 1)
        assert accounted(server)


async def test_a_peer_on_a_privileged_port_is_not_served() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((f"127.0.0.{os.getpid() % 200 + 10}", 1023))  # the tests of another process have another address
        except PermissionError:
            pytest.skip("this user may not bind a privileged port")
        async with serving(echo) as (server, _):
            sock.sendto(b"x", server.addresses[0].sockaddr)
            await until(lambda: server.statistics().dropped_source == 1)
            assert accounted(server)
        async with serving(echo, privileged_ports=True) as (server, _):
            sock.sendto(b"x", server.addresses[0].sockaddr)
            await until(lambda: server.statistics().sessions == 1)


async def test_the_session_of_a_silent_peer_ends() -> None:
    ended = []

    async def until_the_end(session: aionet.DatagramSession) -> None:
        async for _ in session:
            pass
        with pytest.raises(aionet.SessionTimeoutError, match=r"recv on 127.* nothing came for 0.02 s") as caught:
            await session.recv()
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(aionet.SessionTimeoutError):
            await session.send(b"x")
        ended.append(session.peer)

    async with serving(until_the_end, idle=0.02) as (server, client):
        await client.send(b"x")
        await until(lambda: ended)
        await until(lambda: not server.sessions)
        assert (server.statistics().timed_out, server.statistics().handler_errors) == (1, 0)


async def test_a_timeout_that_a_handler_leaves_alone_is_no_mistake_of_its(caplog: pytest.LogCaptureFixture) -> None:
    async def receive(session: aionet.DatagramSession) -> None:
        while True:
            await session.recv()

    async with serving(receive, idle=0.02) as (server, client):
        await client.send(b"x")
        await until(lambda: server.statistics().timed_out)
        await until(lambda: not server.sessions)
        assert server.statistics().handler_errors == 0
    assert not caplog.records


@unless_held_up(0.2)
async def test_a_peer_that_goes_on_keeps_its_session() -> None:
    async with serving(echo, clients=2, idle=0.5) as (server, talker, silent):
        await silent.send(b"x")
        while not server.statistics().timed_out:
            await talker.send(b"x")
            await talker.recv()
            await asyncio.sleep(0.01)
        await until(lambda: len(server.sessions) < 2)
        assert [session.peer for session in server.sessions] == [talker.local]
        assert server.statistics().sessions == 2


async def test_three_bytes_leave_for_each_that_came_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def reply(session: aionet.DatagramSession) -> None:
        size = len(await session.recv())
        await session.send(bytes(2 * size))
        await session.send(bytearray(size))
        with pytest.raises(aionet.AmplificationError, match=r"1 bytes after 30: at most 30 go to a peer"):
            await session.send(b"x")
        await session.send(b"")
        await session.recv()
        await session.send(memoryview(bytes(3)))
        await session.send(b"x")

    async with serving(reply) as (server, client):
        await client.send(bytes(10))
        assert [len(await client.recv()) for _ in range(3)] == [20, 10, 0]
        await client.send(b"x")
        assert await client.recv() == bytes(3)
        await until(lambda: not server.sessions)
        assert (server.statistics().refused_sends, server.statistics().handler_errors) == (2, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_peer_that_is_validated_may_be_sent_anything() -> None:
    cookies = aionet.Cookies()

    async def ask_first(session: aionet.DatagramSession) -> None:
        async for data in session:
            if cookies.check(data, session.peer):
                session.validate()
                await session.send(bytes(10000))
            else:
                await session.send(cookies.make(session.peer))

    async with serving(ask_first, clients=2) as (server, client, thief):
        await client.send(bytes(24))
        cookie = await client.recv()
        await thief.send(cookie)  # replayed from another address
        assert len(await thief.recv()) == aionet.Cookies.size
        await client.send(cookie)
        assert await client.recv() == bytes(10000)
        assert [session.validated for session in server.sessions] == [True, False]


async def test_a_handler_that_raises_is_logged_once_with_its_peer(caplog: pytest.LogCaptureFixture) -> None:
    failed: list[tuple[aionet.DatagramSession, Exception]] = []

    async def fail(session: aionet.DatagramSession) -> None:
        if await session.recv() == b"fail":
            raise ZeroDivisionError("on purpose")
        await session.send(b"fine")

    hooks = aionet.Hooks(handler_failed=lambda *what: failed.append(what))
    async with (
        aionet.serve_datagram(LOOPBACK, fail, hooks=hooks) as server,
        aionet.connect_datagram(server.addresses[0]) as client,
    ):
        await client.send(b"fail")
        await until(lambda: failed and not server.sessions)
        await client.send(b"more")
        assert await client.recv() == b"fine"
        (record,) = caplog.records
        assert record.getMessage() == f"session with {client.local}: the handler raised"
        assert [(session.peer, repr(exc)) for session, exc in failed] == [
            (client.local, "ZeroDivisionError('on purpose')")
        ]
        assert server.statistics().handler_errors == 1


async def test_hooks_hear_of_each_session() -> None:
    heard: list[tuple[str, aionet.Address]] = []
    hooks = aionet.Hooks(
        connected=lambda session: heard.append(("connected", session.peer)),
        disconnected=lambda session: heard.append(("disconnected", session.peer)),
    )
    async with (
        aionet.serve_datagram(LOOPBACK, aionet.DatagramSession.recv, hooks=hooks) as server,
        aionet.connect_datagram(server.addresses[0]) as client,
    ):
        await client.send(b"x")
        await until(lambda: len(heard) == 2)
        assert heard == [("connected", client.local), ("disconnected", client.local)]


async def test_a_cancelled_recv_loses_nothing() -> None:
    received: list[bytes] = []

    async def impatient(session: aionet.DatagramSession) -> None:
        while len(received) < 100:
            try:
                async with asyncio.timeout(0):
                    received.append(await session.recv())
            except TimeoutError:
                await asyncio.sleep(0)

    async with serving(impatient, session_queue=100) as (server, client):
        for number in range(100):
            await client.send(b"%d" % number)
            if number % 3 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(received) == 100)
        assert received == [b"%d" % number for number in range(100)]
        await until(lambda: not server.sessions)


async def test_a_second_receiver_of_a_session_is_refused() -> None:
    errors = []

    async def twice(session: aionet.DatagramSession) -> None:
        await session.recv()
        first = asyncio.ensure_future(session.recv())
        await asyncio.sleep(0)
        try:
            await session.recv()
        except aionet.BusyError as error:
            errors.append(error)
        await session.send(await first)

    async with serving(twice) as (_, client):
        await client.send(b"x")
        await until(lambda: errors)
        await client.send(b"y")
        assert await client.recv() == b"y"


async def test_a_closed_session_says_so() -> None:
    said = []

    async def close(session: aionet.DatagramSession) -> None:
        await session.recv()
        waiting = asyncio.ensure_future(session.recv())
        await asyncio.sleep(0)
        await session.aclose()
        await session.aclose()
        for awaitable in (waiting, session.recv(), session.send(b"x"), anext(session)):
            with pytest.raises(aionet.ClosedError):
                await awaitable
        said.append(session.closed)

    async with serving(close) as (server, client):
        await client.send(b"x")
        await until(lambda: said == [True])
        await until(lambda: not server.sessions)
        assert server.statistics().handler_errors == 0


async def test_replies_leave_from_the_address_that_was_asked() -> None:
    options = aionet.DatagramOptions(pktinfo=True)
    async with aionet.serve_datagram("udp://0.0.0.0:0", echo, options=options) as server:
        port = server.addresses[0].port  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]
        with aionet.AsyncSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            for host in ("127.0.0.2", "127.0.0.3"):
                await sock.sendto(b"x", (host, port))
                assert await sock.recvfrom(100) == (b"x", (host, port))
        assert sorted(str(session.local) for session in server.sessions) == [f"127.0.0.2:{port}", f"127.0.0.3:{port}"]


async def test_runs_of_datagrams_are_split() -> None:
    sizes = []

    async def measure(session: aionet.DatagramSession) -> None:
        async for data in session:
            sizes.append(len(data))  # noqa: PERF401 - one at a time

    options = aionet.DatagramOptions(gro=True)
    async with (
        aionet.serve_datagram(LOOPBACK, measure, options=options) as server,
        aionet.connect_datagram(server.addresses[0]) as client,
    ):
        await client.send_many([bytes(1000)] * 9 + [bytes(10)])
        await until(lambda: len(sizes) == 10)
        assert sizes == [1000] * 9 + [10]


async def test_drain_lets_sessions_finish_and_begins_no_others() -> None:
    async def finish(session: aionet.DatagramSession) -> None:
        await session.recv()
        await session.draining.wait()
        await session.send(await session.recv())

    async with serving(finish, clients=2) as (server, client, late):
        await client.send(b"x")
        await until(lambda: server.sessions)
        draining = asyncio.ensure_future(server.drain(LONG))
        await turns()
        assert server.state.name == "DRAINING"
        await late.send(b"x")
        await until(lambda: server.statistics().dropped_draining == 1)
        await client.send(b"last")
        assert await client.recv() == b"last"
        assert await draining == aionet.DrainResult(finished=1, aborted=0)
        assert server.state.name == "CLOSED"
        assert server.endpoint.closed
        assert accounted(server)


async def test_drain_cuts_off_who_does_not_finish() -> None:
    async with serving(wait, clients=2, drain=0.0) as (server, *clients):
        for client in clients:
            await client.send(b"x")
        await until(lambda: len(server.sessions) == 2)
        assert await server.drain() == aionet.DrainResult(finished=0, aborted=2)
        assert (server.statistics().aborted, server.statistics().active) == (2, 0)
        assert server.statistics().dropped_unread == 2
        assert accounted(server)


async def test_a_handler_may_close_the_server() -> None:
    async def close(session: aionet.DatagramSession) -> None:
        await session.recv()
        await server.aclose()
        await session.send(b"bye")

    async with serving(close) as (server, client):
        await client.send(b"close")
        assert await client.recv() == b"bye"
        await server.serve_forever(signals=())
        assert server.state is aionet.ServerState.CLOSED


async def test_who_closes_the_endpoint_ends_the_server() -> None:
    async with serving(wait) as (server, client):
        await client.send(b"x")
        await until(lambda: server.sessions)
        await server.endpoint.aclose()
        await server.serve_forever(signals=())
        assert not server.sessions


async def test_a_server_without_sessions_drains_at_once() -> None:
    async with serving(echo) as (server, _):
        assert await server.drain(LONG) == aionet.DrainResult(finished=0, aborted=0)
        await server.aclose()


async def test_a_handler_s_context_is_its_own() -> None:
    variable = contextvars.ContextVar[str]("variable", default="nobody's")
    variable.set("the server's")
    seen = []

    async def look(session: aionet.DatagramSession) -> None:
        async for data in session:
            seen.append(variable.get())
            variable.set(data.decode())
            assert asyncio.current_task() is not None
            await session.send(b"seen")

    async with serving(look, clients=2, amplification=None) as (_, one, other):
        for turn in ("1", "2"):
            for client, name in ((one, "one"), (other, "other")):
                await client.send(f"{name} {turn}".encode())
                await client.recv()
    assert seen == ["the server's", "the server's", "one 1", "other 1"]
