"""A DatagramProtocol over the loop's transport and over aionet's: told the same; and what aionet's alone promises."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import aionet
from aionet.system.poller import EpollPoller, poller_of
from tests.turns import turns, until

if TYPE_CHECKING:
    from pathlib import Path


class Recording(asyncio.DatagramProtocol):
    """Notes each callback; ``doing`` maps the name of one to what it shall do besides."""

    transport: Any = None

    def __init__(self, **doing: Any) -> None:
        self.record: list[tuple[Any, ...]] = []
        self.doing = doing

    def note(self, name: str, *facts: object) -> None:
        self.record.append((name, *facts))
        if name in self.doing:
            self.doing[name](self)

    def names(self) -> list[str]:
        return [name for name, *_ in self.record]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("connection_made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.addr = addr
        self.note("datagram_received", data)

    def error_received(self, exc: Exception) -> None:
        self.note("error_received", type(exc))

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note("connection_lost", exc)


async def exchange(api: Any, family: int) -> list[tuple[Any, ...]]:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    server = Recording(datagram_received=lambda this: this.transport.sendto(b"answer", this.addr))
    ours, _ = await api.create_datagram_endpoint(lambda: server, local_addr=(host, 0))
    theirs, client = await api.create_datagram_endpoint(Recording, remote_addr=ours.get_extra_info("sockname")[:2])
    theirs.sendto(b"question")
    await until(lambda: "datagram_received" in client.names())
    theirs.sendto(b"again", ours.get_extra_info("sockname"))
    await until(lambda: client.names().count("datagram_received") == 2)
    facts = [
        theirs.get_extra_info("peername") == ours.get_extra_info("sockname"),
        ours.get_extra_info("peername"),
        theirs.get_extra_info("socket").type,
        theirs.get_extra_info("nothing", 5),
        ours.is_closing(),
        client.addr[:2] == ours.get_extra_info("sockname")[:2],
    ]
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        theirs.sendto(b"x", ("192.0.2.1", 9))
    with pytest.raises(TypeError):
        theirs.sendto("text")
    ours.close()
    ours.close()
    await until(lambda: "connection_lost" in server.names())
    theirs.sendto(b"to nobody")
    await until(lambda: "error_received" in client.names())
    theirs.abort()
    await until(lambda: "connection_lost" in client.names())
    return [*server.record, *client.record, *facts, theirs.is_closing()]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
async def test_a_protocol_is_told_the_same_as_over_the_loops_transport(family: int) -> None:
    assert await exchange(aionet, family) == await exchange(asyncio.get_running_loop(), family)


async def endpoint(**keywords: Any) -> tuple[aionet.DatagramTransport, Recording]:
    return await aionet.create_datagram_endpoint(Recording, **keywords)


async def test_empty_datagrams_are_sent_and_received() -> None:
    ours, protocol = await endpoint(local_addr=("127.0.0.1", 0))
    ours.sendto(b"", ours.get_extra_info("sockname"))
    ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: len(protocol.record) == 3)
    assert protocol.record[1:] == [("datagram_received", b""), ("datagram_received", b"x")]
    ours.close()
    await turns(2)


async def test_a_callback_that_raises_does_not_end_the_endpoint() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    ours, protocol = await endpoint(local_addr=("127.0.0.1", 0))
    error = RuntimeError("on purpose")

    def fail(_: Recording) -> None:
        raise error

    protocol.doing["datagram_received"] = fail
    for _ in range(2):
        ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: len(told) == 2)
    assert told == [error, error]
    assert not ours.is_closing()
    ours.close()
    await turns(2)


async def test_a_protocol_that_closes_hears_of_no_more_datagrams() -> None:
    ours, protocol = await endpoint(local_addr=("127.0.0.1", 0))
    protocol.doing["datagram_received"] = lambda this: this.transport.close()
    for _ in range(5):
        ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: "connection_lost" in protocol.names())
    assert protocol.names() == ["connection_made", "datagram_received", "connection_lost"]
    with pytest.warns(RuntimeWarning, match="nothing is sent"):
        ours.sendto(b"x", ("127.0.0.1", 9))


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
async def test_writing_pauses_above_high_water_and_no_accounts_drift(tmp_path: Path, connected: bool) -> None:  # noqa: FBT001
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(tmp_path / "slow"))
        slow.setblocking(False)
        place = {"remote_addr" if connected else "local_addr": str(tmp_path / ("slow" if connected else "ours"))}
        ours, protocol = await endpoint(family=socket.AF_UNIX, **place)
        ours.set_write_buffer_limits(high=1000)
        assert ours.get_write_buffer_limits() == (250, 1000)
        addr = None if connected else str(tmp_path / "slow")
        sent: list[bytes] = []
        while "pause_writing" not in protocol.names():
            sent.append(b"" if len(sent) % 2 else b"%d" % len(sent))
            ours.sendto(sent[-1], addr)
        assert ours.get_write_buffer_size() > 1000
        got: list[bytes] = []
        while len(got) < len(sent):
            try:
                got.append(slow.recv(100))
            except BlockingIOError:
                await asyncio.sleep(0)
        assert got == sent
        await until(lambda: "resume_writing" in protocol.names())
        assert ours.get_write_buffer_size() == 0
        assert protocol.names().count("pause_writing") == protocol.names().count("resume_writing") == 1
        for _ in range(20):
            ours.sendto(b"last", addr)
        ours.close()  # sends what is queued first
        await turns(3)
        assert "connection_lost" not in protocol.names()
        late: list[bytes] = []
        while len(late) < 20:
            try:
                late.append(slow.recv(100))
            except BlockingIOError:
                await asyncio.sleep(0)
        await until(lambda: "connection_lost" in protocol.names())


async def test_an_abort_drops_what_is_queued(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(tmp_path / "slow"))
        ours, protocol = await endpoint(family=socket.AF_UNIX, remote_addr=str(tmp_path / "slow"))
        while not ours.get_write_buffer_size():
            ours.sendto(b"x")
        ours.abort()
        ours.abort()
        await turns(2)
        assert protocol.names() == ["connection_made", "connection_lost"]
        assert ours.get_write_buffer_size() == 0


async def test_limits_are_checked() -> None:
    ours, _ = await endpoint(local_addr=("127.0.0.1", 0))
    with pytest.raises(ValueError, match="must be >= low"):
        ours.set_write_buffer_limits(high=1, low=2)
    ours.set_write_buffer_limits(low=10)
    assert ours.get_write_buffer_limits() == (10, 40)
    ours.close()
    await turns(2)


async def test_another_protocol_may_take_over() -> None:
    ours, first = await endpoint(local_addr=("127.0.0.1", 0))
    second = Recording()
    assert ours.get_protocol() is first
    ours.set_protocol(second)
    ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: second.record)
    ours.close()
    await turns(2)
    assert first.names() == ["connection_made"]
    assert second.names() == ["datagram_received", "connection_lost"]


async def test_callbacks_run_in_the_context_in_which_the_endpoint_was_made() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    seen: list[int] = []
    ours, protocol = await endpoint(local_addr=("127.0.0.1", 0))
    protocol.doing["datagram_received"] = lambda _: seen.append(variable.get())
    variable.set(2)
    ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: seen)
    assert seen == [1]
    ours.close()
    await turns(2)


async def test_a_host_name_is_refused_in_sendto() -> None:
    ours, _ = await endpoint(local_addr=("127.0.0.1", 0))
    with pytest.raises(ValueError, match="localhost"):
        ours.sendto(b"x", ("localhost", 9))
    ours.close()
    await turns(2)


async def test_a_socket_that_was_made_elsewhere_is_taken_over() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    ours, protocol = await endpoint(sock=sock)
    ours.sendto(b"x", ours.get_extra_info("sockname"))
    await until(lambda: len(protocol.record) == 2)
    ours.close()
    await turns(2)
    assert sock.fileno() == -1


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({}, ValueError),
        ({"local_addr": "path"}, TypeError),
        ({"family": socket.AF_UNIX}, ValueError),
        ({"family": socket.AF_UNIX, "local_addr": ("127.0.0.1", 0)}, TypeError),
        ({"local_addr": ("192.0.2.1", 0)}, aionet.ListenError),
        ({"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 9)}, aionet.ListenError),
        ({"remote_addr": ("255.255.255.255", 9)}, aionet.ConnectError),
        ({"local_addr": ("127.0.0.1", 0), "family": socket.AF_INET6}, aionet.ResolveError),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_and_nothing_is_left_open(keywords: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await endpoint(**keywords)


async def test_a_given_socket_excludes_the_rest_and_has_to_be_one_for_datagrams() -> None:
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for keywords in ({"sock": stream}, {"sock": sock, "family": socket.AF_INET}):
            with pytest.raises(ValueError, match="expected a datagram socket and no other argument"):
                await endpoint(**keywords)


async def test_options_of_the_loops_method_reach_the_socket() -> None:
    ours, _ = await endpoint(local_addr=("127.0.0.1", 0), reuse_port=True, allow_broadcast=True)
    sock = ours.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    ours.close()
    await turns(2)


async def test_where_the_factory_raises_the_socket_is_closed() -> None:
    def factory() -> asyncio.DatagramProtocol:
        message = "on purpose"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="on purpose"):
        await aionet.create_datagram_endpoint(factory, local_addr=("127.0.0.1", 0))


async def test_one_that_nobody_holds_goes_on_since_the_loop_does() -> None:
    ours, protocol = await endpoint(local_addr=("127.0.0.1", 0))
    address = ours.get_extra_info("sockname")
    del ours
    protocol.transport = None
    gc.collect()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", address)
    protocol.doing["datagram_received"] = lambda _: None
    await until(lambda: "datagram_received" in protocol.names())
    poller = poller_of(asyncio.get_running_loop())
    assert isinstance(poller, EpollPoller)
    [callback] = poller._callbacks.values()
    assert isinstance(callback, partial)
    callback.args[0].__self__.close()
    await turns(2)
