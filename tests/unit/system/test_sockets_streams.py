"""AsyncSocket as a stream: each function of the socket API, over TCP on IPv4 and IPv6 and over Unix sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aionet import AddressError, AsyncSocket, InetAddress, UnixAddress
from tests.turns import running, turns, until
from tests.unit.system.socket_pairs import connected, each_family, fill, listening, take_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MUCH = bytes(range(256)) * 8192  # 2 MiB: many times what the small buffers hold


@each_family
async def test_connect_and_accept_make_two_ends_that_name_each_other(family: int) -> None:
    with listening(family) as listener:
        assert (listener.family, listener.type, listener.proto) == (family, socket.SOCK_STREAM, 0)
        with AsyncSocket(family) as ours:
            accepting = asyncio.create_task(listener.accept())
            await turns()  # it has to wait
            await ours.connect(listener.getsockname())
            theirs, peer = await accepting
            with theirs:
                assert ours.getpeername() == theirs.getsockname() == listener.getsockname()
                assert peer == theirs.getpeername() == ours.getsockname()
                assert theirs.family == family
                assert ours.fileno() != theirs.fileno()


async def test_accept_takes_what_waits_in_the_backlog() -> None:
    with listening(socket.AF_INET) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        for client in clients:
            theirs, peer = await listener.accept()
            assert peer == client.getsockname()
            theirs.close()
            client.close()


async def test_an_address_may_be_aionets_own() -> None:
    with listening(socket.AF_INET) as listener, AsyncSocket() as ours:
        await ours.connect(InetAddress(*listener.getsockname()))
        assert ours.getpeername() == listener.getsockname()
    with AsyncSocket(socket.AF_UNIX) as listener:
        listener.bind(UnixAddress("\0aionet-own-address"))
        listener.listen()
        with AsyncSocket(socket.AF_UNIX) as ours:
            await ours.connect(UnixAddress("\0aionet-own-address"))


@pytest.mark.parametrize("function", ["bind", "connect"])
@pytest.mark.parametrize("host", ["localhost", "example.org", "127.0.0.1.example"])
async def test_a_host_name_is_refused_before_anybody_looks_it_up(function: str, host: str) -> None:
    with AsyncSocket() as sock:
        with pytest.raises(AddressError, match=host):
            refused: Awaitable[None] | None = getattr(sock, function)((host, 1))
            assert refused is not None
            await refused
        assert sock.getsockname() == ("0.0.0.0", 0)


async def test_every_interface_may_be_left_out() -> None:
    with AsyncSocket() as sock:
        sock.bind(("", 0))
        host, port = sock.getsockname()
        assert host == "0.0.0.0"
        assert port > 0


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="Linux has netlink")
async def test_addresses_of_other_families_are_left_as_they_are() -> None:
    with AsyncSocket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        sock.bind((0, 0))
        assert sock.getsockname()[1] == 0


@each_family
async def test_connecting_where_nobody_listens_is_refused(family: int) -> None:
    with listening(family) as listener:
        address = listener.getsockname()
    with AsyncSocket(family) as sock:
        with pytest.raises(ConnectionRefusedError, match=r"connect to .*: Connection refused") as raised:
            await sock.connect(address)
        assert raised.value.errno == errno.ECONNREFUSED


async def test_a_unix_socket_waits_for_room_in_the_backlog() -> None:
    with listening(socket.AF_UNIX, backlog=0) as listener, AsyncSocket(socket.AF_UNIX) as first:
        await first.connect(listener.getsockname())
        with AsyncSocket(socket.AF_UNIX) as second:
            async with running(second.connect(listener.getsockname())) as connecting:
                await turns()
                assert not connecting.done()
                for _ in range(2):
                    theirs, _peer = await listener.accept()
                    theirs.close()
                await connecting


@each_family
async def test_recv_waits_for_bytes_and_gives_what_came(family: int) -> None:
    async with connected(family) as (ours, theirs), running(ours.recv(1024)) as receiving:
        await turns()
        assert not receiving.done()
        assert await theirs.send(b"hello") == 5
        assert await receiving == b"hello"
        await theirs.send(b"again")
        assert await ours.recv(2) == b"ag"
        assert await ours.recv(1024) == b"ain"


@each_family
async def test_recv_into_fills_the_buffer_or_its_first_bytes(family: int) -> None:
    buffer = bytearray(b"----------")
    async with connected(family) as (ours, theirs):
        await theirs.send(b"12345678")
        assert await ours.recv_into(buffer, 3) == 3
        assert buffer == b"123-------"
        assert await ours.recv_into(memoryview(buffer)[8:]) == 2
        assert buffer == b"123-----45"
        assert await ours.recv_into(buffer) == 3
        assert buffer == b"678-----45"
        async with running(ours.recv_into(buffer)) as receiving:
            await turns()
            await theirs.send(b"9")
            assert await receiving == 1


@each_family
async def test_recvfrom_and_recvmsg_read_a_stream_too(family: int) -> None:
    buffer = bytearray(4)
    async with connected(family) as (ours, theirs):
        await theirs.send(b"123456789")
        assert (await ours.recvfrom(3))[0] == b"123"
        assert (await ours.recvfrom_into(buffer, 2))[0] == 2
        assert buffer[:2] == b"45"
        assert (await ours.recvmsg(100))[0] == b"6789"


async def test_what_is_peeked_at_is_still_there() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        async with running(ours.recv(10, socket.MSG_PEEK)) as peeking:
            await turns()
            await theirs.send(b"hello")
            assert await peeking == b"hello"
        buffer = bytearray(5)
        assert await ours.recv_into(buffer, 0, socket.MSG_PEEK) == 5
        assert await ours.recv(10) == bytes(buffer) == b"hello"


@each_family
async def test_at_the_end_of_stream_there_is_nothing_again_and_again(family: int) -> None:
    async with connected(family) as (ours, theirs):
        await theirs.send(b"last")
        theirs.shutdown(socket.SHUT_WR)
        assert await ours.recv(100) == b"last"
        for _ in range(3):
            assert await ours.recv(100) == b""
            assert await ours.recv_into(bytearray(10)) == 0
        await ours.send(b"the other way is open")
        assert await theirs.recv(100) == b"the other way is open"


async def test_half_closed_for_reading_it_ends_at_once() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        await theirs.send(b"1")
        assert await ours.recv(100) == b"1"
        async with running(ours.recv(100)) as receiving:
            await turns()
            ours.shutdown(socket.SHUT_RD)
            assert await receiving == b""


@each_family
async def test_a_dead_peer_is_an_error_and_not_the_end(family: int) -> None:
    async with connected(family) as (ours, theirs):
        theirs.close()
        with pytest.raises(OSError, match=r"Broken pipe|reset") as raised:
            while True:
                await ours.send(b"x")
                await turns(1)
        assert isinstance(raised.value, ConnectionError)


async def test_a_reset_ends_a_recv_that_waits() -> None:
    async with connected(socket.AF_INET) as (ours, theirs), running(ours.recv(100)) as receiving:
        await turns()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        theirs.close()
        with pytest.raises(ConnectionResetError):
            await receiving


SENDERS: dict[str, Callable[[AsyncSocket], Awaitable[Any]]] = {
    "send": lambda sock: sock.send(b"more"),
    "sendmsg": lambda sock: sock.sendmsg(iter([b"mo", b"re"])),
    "sendall": lambda sock: sock.sendall(b"more"),
}


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
@each_family
async def test_with_full_buffers_a_sender_waits_for_room(
    family: int, send: Callable[[AsyncSocket], Awaitable[Any]]
) -> None:
    async with connected(family) as (ours, theirs):
        taken = await fill(ours)

        async def send_and_end() -> None:
            await send(ours)
            ours.shutdown(socket.SHUT_WR)

        async with running(send_and_end()) as sending:
            await turns()
            assert not sending.done()
            received = await take_all(theirs)
            await sending
        assert len(received) == taken + 4
        assert received.endswith(b"more")


@pytest.mark.parametrize("type_", [bytes, bytearray, memoryview])
@each_family
async def test_sendall_sends_all_of_it(family: int, type_: Callable[[bytes], Any]) -> None:
    async with connected(family) as (ours, theirs), running(take_all(theirs)) as receiving:
        await ours.sendall(type_(b"little"))
        await ours.sendall(type_(b""))
        await ours.sendall(type_(MUCH))
        ours.shutdown(socket.SHUT_WR)
        assert await receiving == b"little" + MUCH


async def test_sendall_counts_bytes_where_items_are_larger() -> None:
    async with connected(socket.AF_UNIX) as (ours, theirs), running(take_all(theirs)) as receiving:
        await ours.sendall(memoryview(MUCH).cast("I"))
        ours.shutdown(socket.SHUT_WR)
        assert await receiving == MUCH


async def test_sendall_to_a_peer_that_goes_raises() -> None:
    async with connected(socket.AF_INET) as (ours, theirs), running(ours.sendall(MUCH)) as sending:
        await turns()
        theirs.close()
        with pytest.raises(ConnectionError):
            await sending


async def test_sendmsg_sends_buffers_as_one() -> None:
    async with connected(socket.AF_INET) as (ours, theirs):
        assert await ours.sendmsg([b"one", bytearray(b"two"), memoryview(b"three")]) == 11
        assert await theirs.recv(100) == b"onetwothree"


@each_family
async def test_options_are_set_and_told(family: int) -> None:
    with AsyncSocket(family) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)


async def test_a_socket_that_blocks_is_made_non_blocking() -> None:
    ours, theirs = socket.socketpair()
    with theirs, AsyncSocket.wrap(ours) as sock:
        assert ours.gettimeout() == 0
        assert sock.fileno() == ours.fileno()
        assert str(sock.fileno()) in repr(sock)


def test_without_a_running_loop_no_socket_is_made() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncSocket()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(RuntimeError, match="no running event loop"):
            AsyncSocket.wrap(ours)
        theirs.send(b"still ours")
        assert ours.recv(100) == b"still ours"


async def test_a_connect_that_was_cancelled_goes_on_in_the_kernel() -> None:
    with listening(socket.AF_INET) as listener, AsyncSocket() as ours:
        async with running(ours.connect(listener.getsockname())):
            await asyncio.sleep(0)
        await ours.wait_writable()
        await until(lambda: ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)
        theirs, _ = await listener.accept()
        theirs.close()
