"""AsyncSocket with datagrams: UDP on IPv4 and IPv6, Unix datagram sockets; and messages with control data."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct

import pytest

from aionet import AddressError, AsyncSocket, InetAddress
from tests.turns import running, turns
from tests.unit.system.socket_pairs import bound, connected, each_family

each_ip_family = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])


@each_family
async def test_a_datagram_goes_to_an_address_and_tells_where_it_came_from(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        assert ours.type == socket.SOCK_DGRAM
        async with running(ours.recvfrom(100)) as receiving:
            await turns()
            assert not receiving.done()
            assert await theirs.sendto(b"question", ours.getsockname()) == 8
            data, peer = await receiving
        assert (data, peer) == (b"question", theirs.getsockname())
        await ours.sendto(b"answer", peer)
        buffer = bytearray(100)
        assert await theirs.recvfrom_into(buffer) == (6, ours.getsockname())
        assert buffer[:6] == b"answer"


@each_family
async def test_connected_it_sends_and_receives_without_addresses(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        await ours.connect(theirs.getsockname())
        await theirs.connect(ours.getsockname())
        assert ours.getpeername() == theirs.getsockname()
        assert await ours.send(b"one") == 3
        await ours.sendall(b"two")
        assert await theirs.recv(100) == b"one"
        buffer = bytearray(100)
        assert await theirs.recv_into(buffer) == 3
        assert buffer[:3] == b"two"


@each_family
async def test_each_datagram_is_received_alone_and_what_does_not_fit_is_lost(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        for data in (b"12345", b"678", b"9"):
            await theirs.sendto(data, ours.getsockname())
        assert await ours.recv(3) == b"123"
        data, _, flags, _ = await ours.recvmsg(2)
        assert (data, flags & socket.MSG_TRUNC) == (b"67", socket.MSG_TRUNC)
        assert (await ours.recvfrom(100))[0] == b"9"


@each_family
async def test_an_empty_datagram_is_a_datagram(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        async with running(ours.recvfrom(100)) as receiving:
            await turns()
            assert await theirs.sendto(b"", ours.getsockname()) == 0
            assert (await receiving)[0] == b""
        await theirs.connect(ours.getsockname())
        await theirs.sendall(b"")
        await theirs.send(b"next")
        assert await ours.recv(100) == b""
        assert await ours.recv(100) == b"next"


async def test_an_empty_datagram_waits_for_room_as_any_other() -> None:
    with bound(socket.AF_UNIX) as ours, bound(socket.AF_UNIX) as theirs:
        await ours.connect(theirs.getsockname())
        count = 0
        try:
            while True:
                ours._sock.send(b"early")
                count += 1
        except BlockingIOError:
            pass
        async with running(ours.sendall(b"")) as sending:
            await turns()
            assert not sending.done()
            for _ in range(count):
                assert await theirs.recv(100) == b"early"
            assert await theirs.recv(100) == b""
            await sending


@each_ip_family
async def test_an_address_may_be_aionets_own(family: int) -> None:
    with bound(family) as ours, bound(family) as theirs:
        host, port = ours.getsockname()[:2]
        await theirs.sendto(b"one", InetAddress(host, port))
        await theirs.sendmsg([b"t", b"wo"], address=InetAddress(host, port))
        assert await ours.recv(100) == b"one"
        assert await ours.recv(100) == b"two"


@each_ip_family
async def test_a_host_name_is_refused_before_anybody_looks_it_up(family: int) -> None:
    with bound(family) as ours:
        with pytest.raises(AddressError, match="localhost"):
            await ours.sendto(b"x", ("localhost", 9))
        with pytest.raises(AddressError, match="localhost"):
            await ours.sendmsg([b"x"], (), 0, ("localhost", 9))


async def test_flags_may_be_given_with_an_address() -> None:
    with bound(socket.AF_INET) as ours, bound(socket.AF_INET) as theirs:
        assert await theirs.sendto(b"one", ours.getsockname(), socket.MSG_DONTWAIT) == 3
        assert await ours.recv(100, socket.MSG_PEEK) == b"one"
        assert await ours.recvfrom(100, socket.MSG_PEEK) == (b"one", theirs.getsockname())
        assert await ours.recvfrom_into(bytearray(100), 0, socket.MSG_PEEK) == (3, theirs.getsockname())
        assert (await ours.recvmsg(100, 0, socket.MSG_PEEK))[0] == b"one"
        assert await ours.recv(100) == b"one"


async def test_one_that_nobody_receives_is_an_error_once_and_the_socket_goes_on() -> None:
    with bound(socket.AF_INET) as nobody:
        address = nobody.getsockname()
    with bound(socket.AF_INET) as ours, bound(socket.AF_INET) as theirs:
        await ours.connect(address)
        async with running(ours.recv(100)) as receiving:
            await turns()
            await ours.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                await receiving
        await ours.connect(theirs.getsockname())
        await theirs.sendto(b"alive", ours.getsockname())
        assert await ours.recv(100) == b"alive"


async def test_a_datagram_that_is_too_long_is_refused() -> None:
    with bound(socket.AF_INET) as ours, pytest.raises(OSError, match=r"[Mm]essage too long"):
        await ours.sendto(bytes(65536), ours.getsockname())


async def test_broadcasts_are_sent_by_name() -> None:
    # SO_BROADCAST is off: the name was taken for the address that it is
    with bound(socket.AF_INET) as ours, pytest.raises(PermissionError):
        await ours.sendto(b"x", ("<broadcast>", 9))


@each_ip_family
async def test_control_messages_tell_where_a_datagram_arrived(family: int) -> None:
    level, option, message = (
        (socket.IPPROTO_IP, 8, 8)  # IP_PKTINFO
        if family == socket.AF_INET
        else (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO)
    )
    with bound(family) as ours, bound(family) as theirs:
        ours.setsockopt(level, option, 1)
        async with running(ours.recvmsg(100, 1000)) as receiving:
            await turns()
            await theirs.sendto(b"x", ours.getsockname())
            data, control, flags, peer = await receiving
        assert (data, flags, peer) == (b"x", 0, theirs.getsockname())
        [(at, type_, _)] = control
        assert (at, type_) == (level, message)


async def test_descriptors_are_passed_to_the_other_end() -> None:
    async with connected(socket.AF_UNIX) as (ours, theirs):
        reading, writing = os.pipe()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing]).tobytes())]
        async with running(theirs.recvmsg(100, socket.CMSG_LEN(struct.calcsize("i")))) as receiving:
            await turns()
            assert await ours.sendmsg([b"a pipe"], iter(rights)) == 6
            data, [(level, type_, payload)], _, _ = await receiving
        os.close(writing)
        assert (data, level, type_) == (b"a pipe", socket.SOL_SOCKET, socket.SCM_RIGHTS)
        (passed,) = struct.unpack("i", payload)
        assert passed != writing
        os.write(passed, b"through it")
        os.close(passed)
        assert os.read(reading, 100) == b"through it"
        os.close(reading)


async def test_descriptors_are_passed_even_where_the_first_attempt_found_no_room() -> None:
    with bound(socket.AF_UNIX) as ours, bound(socket.AF_UNIX) as theirs:
        await ours.connect(theirs.getsockname())
        try:
            while True:
                ours._sock.send(b"early")
        except BlockingIOError:
            pass
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]
        async with running(ours.sendmsg(iter([b"standard ", b"input"]), iter(rights))) as sending:
            await turns()
            assert not sending.done()
            control: list[tuple[int, int, bytes]] = []
            data = b""
            while data != b"standard input":
                data, control, _, _ = await theirs.recvmsg(100, 100)
            assert await sending == 14
        [(_, _, payload)] = control
        os.close(struct.unpack("i", payload)[0])


async def test_packets_in_sequence_keep_their_bounds() -> None:
    ours, theirs = (AsyncSocket.wrap(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    with ours, theirs:
        await ours.send(b"one")
        await ours.send(b"two")
        assert await theirs.recv(100) == b"one"
        assert await theirs.recv_into(bytearray(100)) == 3
        async with running(theirs.recv(100)) as receiving:
            await turns()
            await ours.send(b"three")
            assert await receiving == b"three"


async def test_a_slow_receiver_gets_all_that_the_kernel_kept() -> None:
    with bound(socket.AF_UNIX) as ours, bound(socket.AF_UNIX) as theirs:
        await ours.connect(theirs.getsockname())

        async def send() -> None:
            for number in range(1000):
                await ours.send(b"%d" % number)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            assert [int(await theirs.recv(100)) for _ in range(1000)] == list(range(1000))
