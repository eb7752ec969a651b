"""Datagrams that are too many, too large, refused, or that nobody has room for."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import aionet
from aionet import DatagramOptions, DatagramRefusedError, DatagramTooLargeError, InetAddress
from tests.ports import free_port
from tests.turns import running, turns, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aionet import DatagramEndpoint

FLOOD = 200_000


def blast(address: tuple[str, int], count: int, size: int, pause: threading.Event) -> None:
    """Send datagrams as fast as a thread can, from a plain socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        data = bytes(size)
        for _ in range(count):
            if pause.is_set():
                return
            sock.sendto(data, address)


def check(endpoint: DatagramEndpoint) -> None:
    found = endpoint.statistics()
    assert found.received == found.delivered + found.dropped_queue


async def test_in_a_flood_every_datagram_is_accounted_for_and_others_are_served() -> None:
    options = DatagramOptions(receive_queue=256)

    async def echo(stream: aionet.Stream) -> None:
        async for data in stream:
            await stream.send(data)

    stop = threading.Event()
    async with (
        aionet.serve("tcp://127.0.0.1:0", echo) as server,
        aionet.connect(server.addresses[0]) as stream,
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as endpoint,
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert isinstance(endpoint.local, InetAddress)
        flood = asyncio.create_task(
            asyncio.to_thread(blast, (endpoint.local.host, endpoint.local.port), FLOOD, 1000, stop)
        )
        answers = 0
        try:
            # Nobody receives yet. Later it is the scheduler's choice which is full first, the queue or the kernel.
            await until(lambda: endpoint.statistics().dropped_queue)
            while not flood.done():
                await endpoint.recvfrom()  # a slow consumer: one datagram, then an exchange over TCP
                check(endpoint)
                assert endpoint.statistics().receive_queue <= 256
                await stream.send(b"still there?")
                assert await stream.recv_exactly(12) == b"still there?"
                answers += 1
                check(endpoint)
        finally:
            stop.set()
            await asyncio.wait([flood])
        await _settle(endpoint)
        found = endpoint.statistics()
        assert found.received + found.receive_queue + found.dropped_kernel == FLOOD
        assert found.dropped_queue > 0
        assert answers > 10
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 64 * 1024, f"grown by {grown} KiB"


async def _settle(endpoint: DatagramEndpoint) -> None:
    """Let everything come that the kernel still has."""
    found = None
    while found != (found := endpoint.statistics()):
        await turns(20)


async def test_what_the_kernel_has_no_room_for_is_counted() -> None:
    async with aionet.bind_datagram("udp://127.0.0.1:0", options=DatagramOptions(receive_buffer=4096)) as endpoint:
        assert isinstance(endpoint.local, InetAddress)
        # The loop does not run meanwhile, so nothing is taken off the socket.
        blast((endpoint.local.host, endpoint.local.port), 1000, 500, threading.Event())
        await _settle(endpoint)
        found = endpoint.statistics()
        assert found.dropped_kernel > 0
        assert found.receive_queue + found.dropped_kernel == 1000
        await endpoint.aclose()
        closed = endpoint.statistics()
        assert closed.dropped_kernel == found.dropped_kernel
        assert closed.received == closed.dropped_queue == found.receive_queue


@pytest.mark.parametrize("gro", [False, True], ids=["singly", "in runs"])
async def test_the_queue_is_bounded_in_bytes_too(gro: bool) -> None:  # noqa: FBT001
    options = DatagramOptions(receive_queue_bytes=10_000, receive_buffer=200_000, gro=gro)
    async with (
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as endpoint,
        aionet.connect_datagram(endpoint.local) as sender,
    ):
        for number in range(10):
            await sender.send_many([b"%d" % number * 1000] * 10)
            await turns()
            check(endpoint)
            assert endpoint.statistics().receive_queue * 1000 <= 10_000
        found = endpoint.statistics()
        assert found.received + found.receive_queue == 100
        assert (await endpoint.recv()).startswith(b"0")  # the newest went, not the oldest
        await endpoint.recv_many()
        await sender.send(b"room again")
        assert await endpoint.recv() == b"room again"


async def test_a_fast_consumer_loses_nothing_to_a_short_queue() -> None:
    options = DatagramOptions(receive_queue=1)
    async with (
        aionet.bind_datagram("udp://127.0.0.1:0", options=options) as endpoint,
        aionet.connect_datagram(endpoint.local) as sender,
    ):

        async def consume() -> None:
            async for datagram in endpoint:
                await endpoint.sendto(datagram.data, datagram.peer)

        async with running(consume()):
            await turns()
            for number in range(20):
                await sender.send(b"%d" % number)
            assert [int(await sender.recv()) for _ in range(20)] == list(range(20))
        assert endpoint.statistics().dropped_queue == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_refusal_is_told_once_and_the_endpoint_goes_on(host: str) -> None:
    address = InetAddress(host.strip("[]"), free_port())  # nobody is there
    async with aionet.connect_datagram(address) as endpoint:
        async with running(endpoint.recvfrom()) as receiving:
            await turns()
            await endpoint.send(b"x")
            with pytest.raises(DatagramRefusedError, match=r"recvfrom on .* <- .*: nobody receives there") as caught:
                await receiving
            assert isinstance(caught.value, ConnectionRefusedError)
            assert caught.value.errno == errno.ECONNREFUSED
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        await endpoint.send(b"x")
        await until(lambda: endpoint._transport.error)
        with pytest.raises(DatagramRefusedError, match="send on"):
            await endpoint.send(b"not sent")
        sent = endpoint.statistics().sent
        async with aionet.bind_datagram(address) as there:
            await endpoint.send(b"question")
            datagram = await there.recvfrom()
            assert datagram.data == b"question"
            await there.sendto(b"answer", datagram.peer)
            assert await endpoint.recv() == b"answer"
        assert endpoint.statistics().sent == sent + 1


async def test_a_refusal_that_a_send_runs_into_is_told_by_that_send() -> None:
    address = InetAddress("127.0.0.1", free_port())  # nobody is there
    async with aionet.connect_datagram(address) as endpoint:
        await endpoint.send(b"x")  # the refusal is there when it returns, and the loop has not come round
        sends: list[Callable[[], Awaitable[None]]] = [
            lambda: endpoint.send(b"y"),
            lambda: endpoint.send_many([b"y"] * 3),
            lambda: endpoint.sendto(b"y", address),
            lambda: endpoint.sendto(b"y", address, ecn=aionet.ECN.CE),
        ]
        for send in sends:
            with pytest.raises(DatagramRefusedError):
                await send()
            await endpoint.send(b"x")


async def test_unconnected_nobody_is_told_and_the_next_exchange_is_as_ever() -> None:
    address = InetAddress("127.0.0.1", free_port())  # nobody is there
    async with aionet.bind_datagram("udp://127.0.0.1:0") as ours, aionet.bind_datagram("udp://127.0.0.1:0") as theirs:
        for _ in range(3):
            await ours.sendto(b"x", address)
            await turns()
        await ours.sendto(b"question", theirs.local)
        datagram = await theirs.recvfrom()
        await theirs.sendto(b"answer", datagram.peer)
        assert await ours.recv() == b"answer"


@pytest.mark.parametrize(("host", "most"), [("127.0.0.1", 65507), ("[::1]", 65527)])
async def test_the_largest_datagram_passes_and_a_larger_one_is_refused(host: str, most: int) -> None:
    async with aionet.bind_datagram(f"udp://{host}:0") as ours, aionet.connect_datagram(ours.local) as theirs:
        await theirs.send(bytes(most))
        datagram = await ours.recvfrom()
        assert (len(datagram.data), datagram.truncated) == (most, False)
        for send in (
            theirs.send(bytes(most + 1)),
            theirs.sendto(bytes(most + 1), ours.local),
            theirs.sendto(bytes(most + 1), ours.local, ecn=aionet.ECN.CE),
        ):
            with pytest.raises(DatagramTooLargeError, match="larger than the protocol or the path takes") as caught:
                await send
            assert isinstance(caught.value, aionet.LimitError)
            assert caught.value.errno == errno.EMSGSIZE
        await theirs.send(b"goes on")
        assert await ours.recv() == b"goes on"


async def test_what_may_not_be_fragmented_is_refused_above_the_path_mtu() -> None:
    options = DatagramOptions(dont_fragment=True)
    async with (
        aionet.bind_datagram("udp://127.0.0.1:0") as ours,
        aionet.connect_datagram(ours.local, options=options) as theirs,
    ):
        assert theirs.refused_options == ()
        mtu = theirs.path_mtu
        assert mtu is not None
        await theirs.send(bytes(min(mtu, 65535) - 28))
        assert len(await ours.recv()) == min(mtu, 65535) - 28


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
async def test_senders_that_wait_for_room_keep_their_order(tmp_path: Path, connected: bool) -> None:  # noqa: FBT001
    place = f"unix:{tmp_path / 'slow'}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(tmp_path / "slow"))
        slow.setblocking(False)
        opening = aionet.connect_datagram(place) if connected else aionet.bind_datagram(f"unix:{tmp_path / 'sender'}")
        async with opening as sender:
            to = aionet.UnixAddress(tmp_path / "slow")

            async def send(number: int) -> None:
                await (sender.send(b"%d" % number) if connected else sender.sendto(b"%d" % number, to))

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(number)) for number in range(100)]
                await turns()
                assert not tasks[-1].done()
                assert sender.statistics().send_blocked > 0
                tasks[50].cancel()
                got: list[int] = []
                while len(got) < 99:
                    try:
                        got.append(int(slow.recv(100)))
                    except BlockingIOError:
                        await asyncio.sleep(0)
            assert got == [number for number in range(100) if number != 50]
            assert sender.statistics().sent == 99
            await send(100)
            assert slow.recv(100) == b"100"


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
async def test_a_sender_that_waits_for_room_is_told_of_the_close(tmp_path: Path, connected: bool) -> None:  # noqa: FBT001
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(tmp_path / "slow"))
        opening = (
            aionet.connect_datagram(f"unix:{tmp_path / 'slow'}")
            if connected
            else aionet.bind_datagram(f"unix:{tmp_path / 'sender'}")
        )
        async with opening as sender:

            async def send() -> None:
                while True:
                    await sender.sendto(b"x", aionet.UnixAddress(tmp_path / "slow"))

            async with running(send()) as first, running(send()) as second:
                await until(lambda: sender.statistics().send_blocked >= 1)
                await sender.aclose()
                for task in (first, second):
                    with pytest.raises(aionet.ClosedError):
                        await task


async def test_a_unix_peer_that_is_gone_is_an_error_and_the_endpoint_goes_on(tmp_path: Path) -> None:
    async with aionet.bind_datagram(f"unix:{tmp_path / 'ours'}") as ours:
        with pytest.raises(aionet.DatagramError, match="No such file") as caught:
            await ours.sendto(b"x", aionet.UnixAddress(tmp_path / "nobody"))
        assert caught.value.errno == errno.ENOENT
        async with aionet.bind_datagram(f"unix:{tmp_path / 'theirs'}") as theirs:
            await ours.sendto(b"x", str(tmp_path / "theirs"))
            assert (await theirs.recvfrom()).peer == ours.local


async def test_an_unconnected_endpoint_has_nobody_to_send_to() -> None:
    async with aionet.bind_datagram("udp://127.0.0.1:0") as endpoint:
        for send in (endpoint.send(b"x"), endpoint.send_many([b"x"]), endpoint.send_many([b"x", b"y"])):
            with pytest.raises(aionet.DatagramError, match="not connected: expected sendto, or connect_datagram"):
                await send
