"""How a transport ends: closed, aborted, ended by the peer, broken or dropped; connection_lost comes last, and once."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aionet.transport.stream import StreamTransport
from tests.faults.peers import read_what_is_there, receive_to_end, reset
from tests.leaks import open_descriptors, registrations
from tests.turns import running, turns, until
from tests.unit.transport.recording import Recording, RecordingBuffered, fill, over_tcp, over_unix, unhandled

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = 0.02  # seconds

each_pair = pytest.mark.parametrize("over", [over_tcp, over_unix], ids=["tcp", "unix"])


@each_pair
async def test_close_sends_all_first_and_tells_the_protocol_when_the_peer_has_ended(over: Any) -> None:
    protocol = Recording()
    async with over(protocol) as (transport, peer):
        written = fill(transport)
        transport.close()
        assert transport.is_closing()
        assert not transport.is_reading()
        assert len(await receive_to_end(peer)) == written
        await turns()
        assert not protocol.lost.is_set()
        peer.close()
        await protocol.lost.wait()
    assert protocol.record == [("connection_made",), ("connection_lost", type(None))]


@each_pair
async def test_close_with_unread_input_lets_the_peer_read_the_whole_reply(over: Any) -> None:
    protocol = Recording()
    async with over(protocol) as (transport, peer):
        transport.pause_reading()
        await asyncio.get_running_loop().sock_sendall(peer, bytes(100_000))
        transport.write(bytes(50_000))
        transport.close()
        assert len(await receive_to_end(peer)) == 50_000
        await asyncio.get_running_loop().sock_sendall(peer, bytes(100_000))
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost.wait()
    assert protocol.record[-1] == ("connection_lost", type(None))
    assert protocol.received == b""


@each_pair
async def test_after_the_peers_end_close_waits_for_nothing_but_its_own_data(over: Any) -> None:
    protocol = Recording(eof_received=lambda _protocol: True)
    async with over(protocol) as (transport, peer):
        written = fill(transport)
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: "eof_received" in protocol.names())
        assert not transport.is_closing()
        transport.close()
        await turns()
        assert not protocol.lost.is_set()
        assert len(await receive_to_end(peer)) == written
        await protocol.lost.wait()
    assert protocol.record[-1] == ("connection_lost", type(None))


@pytest.mark.parametrize("keep_open", [None, False, True, "yes"])
@pytest.mark.parametrize("kind", [Recording, RecordingBuffered])
async def test_eof_received_decides_whether_the_transport_stays(kind: type[Recording], keep_open: Any) -> None:
    protocol = kind(eof_received=lambda _protocol: keep_open)
    async with over_tcp(protocol) as (transport, peer):
        peer.shutdown(socket.SHUT_WR)
        await turns()
        assert transport.is_closing() == (not keep_open)
        assert protocol.lost.is_set() == (not keep_open)
        if keep_open:
            transport.write(b"still here")
            assert peer.recv(100) == b"still here"
            transport.close()
        await protocol.lost.wait()
    assert protocol.record == [("connection_made",), ("eof_received",), ("connection_lost", type(None))]


async def test_both_ends_sent_the_transport_stays_until_somebody_closes_it() -> None:
    protocol = Recording(eof_received=lambda _protocol: True)
    async with over_tcp(protocol) as (transport, peer):
        transport.write_eof()
        peer.shutdown(socket.SHUT_WR)
        await turns()
        assert protocol.names() == ["connection_made", "eof_received"]
        assert not transport.is_closing()
        transport.close()
        await turns(2)
        assert protocol.lost.is_set()


# --- a peer that does not take part -----------------------------------------------------------------------------------


@each_pair
async def test_a_peer_that_never_reads_holds_up_a_close_for_close_timeout_alone(over: Any) -> None:
    protocol = Recording()
    async with over(protocol, close_timeout=SOON) as (transport, _peer):
        fill(transport)
        closed = asyncio.get_running_loop().time()
        transport.close()
        await protocol.lost.wait()
        assert asyncio.get_running_loop().time() - closed > SOON * 0.9  # clocks are rounded
        assert transport.get_write_buffer_size() == 0
    assert protocol.record[-1] == ("connection_lost", type(None))


async def test_a_peer_that_never_ends_holds_up_a_close_for_close_timeout_alone() -> None:
    protocol = Recording()
    async with over_tcp(protocol, close_timeout=SOON) as (transport, peer):
        transport.write(b"bye")
        closed = asyncio.get_running_loop().time()
        transport.close()
        async with running(receive_to_end(peer)) as receiving:
            assert await receiving == b"bye"
        await protocol.lost.wait()
        assert asyncio.get_running_loop().time() - closed > SOON * 0.9  # clocks are rounded


async def test_drips_do_not_prolong_a_close() -> None:
    protocol = Recording()
    async with over_tcp(protocol, close_timeout=SOON) as (transport, peer):
        transport.close()
        while not protocol.lost.is_set():
            try:
                peer.send(b"x")
            except ConnectionError:
                break
            await asyncio.sleep(SOON / 10)
        await protocol.lost.wait()


async def test_a_close_that_has_ended_leaves_no_timer() -> None:
    protocol = Recording()
    async with over_tcp(protocol, close_timeout=3600) as (transport, peer):
        transport.close()
        timer = transport._close_handle
        assert timer is not None
        peer.close()
        await protocol.lost.wait()
    assert timer.cancelled()


# --- abort ------------------------------------------------------------------------------------------------------------


async def test_abort_resets_at_once_and_drops_what_is_queued() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        fill(transport)
        transport.abort()
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        assert not protocol.lost.is_set()  # the callback comes from the loop
        await turns(2)
        assert protocol.record == [("connection_made",), ("connection_lost", type(None))]
        with pytest.raises(ConnectionResetError):
            await receive_to_end(peer)


@pytest.mark.parametrize("before", ["close", "write_eof", "pause_reading", "abort"])
async def test_abort_ends_whatever_is_under_way(before: str) -> None:
    protocol = Recording()
    async with over_tcp(protocol, close_timeout=3600) as (transport, _peer):
        fill(transport)
        getattr(transport, before)()
        transport.abort()
        await turns(2)
    assert protocol.record == [("connection_made",), ("connection_lost", type(None))]


@pytest.mark.parametrize("callback", ["connection_made", "data_received", "eof_received", "pause_writing"])
@pytest.mark.parametrize("end", ["abort", "close"])
async def test_a_callback_may_end_its_connection(callback: str, end: str) -> None:
    protocol = Recording(**{callback: lambda protocol: getattr(protocol.transport, end)()})
    async with over_tcp(protocol) as (transport, peer):
        transport.set_write_buffer_limits(high=0)
        if callback == "pause_writing":
            fill(transport)
        elif callback != "connection_made":
            peer.send(b"x")
            await turns()
            if end == "abort" and callback == "data_received":
                with pytest.raises(ConnectionResetError):
                    peer.recv(1)
        read_what_is_there(peer)
        peer.close()
        await protocol.lost.wait()
    assert protocol.names()[-1] == "connection_lost"
    assert protocol.names().count("connection_lost") == 1
    assert callback in protocol.names()


# --- the peer ---------------------------------------------------------------------------------------------------------


async def test_a_reset_is_told_with_its_error() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        reset(peer)
        await protocol.lost.wait()
        assert transport.is_closing()
    assert protocol.record == [("connection_made",), ("connection_lost", ConnectionResetError)]


async def test_data_before_a_reset_is_told_before_it() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (_transport, peer):
        peer.send(b"last words")
        reset(peer)
        await protocol.lost.wait()
    assert protocol.record == [
        ("connection_made",),
        ("data_received", b"last words"),
        ("connection_lost", ConnectionResetError),
    ]


async def test_a_reset_while_closing_is_an_end_as_good_as_any() -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        transport.write(b"bye")
        transport.close()
        reset(peer)
        await protocol.lost.wait()
    assert protocol.names() == ["connection_made", "connection_lost"]


# --- what is left -----------------------------------------------------------------------------------------------------


def close_both(transport: StreamTransport, peer: socket.socket) -> None:
    transport.close()
    peer.close()


ENDS: dict[str, Callable[[StreamTransport, socket.socket], Any]] = {
    "abort": lambda transport, _peer: transport.abort(),
    "close": close_both,
    "reset": lambda _transport, peer: reset(peer),
    "end": lambda _transport, peer: peer.close(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_after_the_end_nothing_is_watched_and_the_protocol_is_let_go(
    end: Callable[[StreamTransport, socket.socket], Any],
) -> None:
    protocol = Recording()
    async with over_tcp(protocol) as (transport, peer):
        number = transport.get_extra_info("socket").fileno()
        assert number in registrations()
        end(transport, peer)
        await protocol.lost.wait()
        assert number not in registrations()
        assert transport.get_extra_info("socket").fileno() == -1
        assert transport.get_protocol() is not protocol
        assert transport.get_extra_info("peername")[0] == transport.get_extra_info("sockname")[0] == "127.0.0.1"


async def test_a_socket_that_somebody_else_closes_ends_the_transport() -> None:
    protocol = Recording()
    async with over_unix(protocol) as (transport, _peer):
        transport._sock.close()
        transport.write(b"x")
        transport.write(b"x")
        await turns(3)
        transport.close()
        await protocol.lost.wait()
    assert protocol.names() == ["connection_made", "connection_lost"]


async def test_one_that_is_dropped_warns_and_is_closed() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def drop() -> None:
        transport = StreamTransport(asyncio.get_running_loop(), ours, asyncio.Protocol())
        transport.start()
        transport.pause_reading()  # else the loop keeps it
        del transport
        gc.collect()

    number = ours.fileno()
    with theirs:
        with pytest.warns(ResourceWarning, match=r"unclosed transport <StreamTransport fd=\d+ OPEN>"):
            drop()
        assert number not in open_descriptors()


async def test_nothing_is_reported_that_is_no_mistake() -> None:
    told = unhandled()
    for end in ENDS.values():
        protocol = Recording()
        async with over_tcp(protocol) as (transport, peer):
            fill(transport)
            end(transport, peer)
            await protocol.lost.wait()
    assert told == []
