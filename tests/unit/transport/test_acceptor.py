"""The accept loop, and what it does with each kind of failure of accept(2)."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aionet.system.exhaustion import REST
from aionet.system.poller import EpollPoller, poller_of
from aionet.transport import acceptor as acceptor_module
from aionet.transport.acceptor import Acceptor
from tests.leaks import open_descriptors, registrations
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import Generator

EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
LOST = [errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT]


class FailingSocket(socket.socket):
    """A listening socket whose accept fails with the errors that it is given, and then works; it counts the calls."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET)
        self.errors: list[int] = []
        self.calls = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.calls += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "as the test wants it")
        return super().accept()


class Scene:
    """An acceptor, what it has accepted, and clients that wait to be accepted."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.sock = stack.enter_context(FailingSocket())
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(4096)
        self.sock.setblocking(False)
        self.peers: list[Any] = []
        self.acceptor = Acceptor(asyncio.get_running_loop(), self.sock, self.accepted)

    def accepted(self, sock: socket.socket, peer: Any) -> None:
        assert not sock.getblocking()
        self.stack.enter_context(sock)
        self.peers.append(peer)

    def connect(self, count: int = 1) -> list[Any]:
        """Connect clients; return their addresses."""
        clients = [self.stack.enter_context(socket.create_connection(self.sock.getsockname())) for _ in range(count)]
        return [client.getsockname() for client in clients]


@contextmanager
def accepting() -> Generator[Scene]:
    with ExitStack() as stack:
        scene = Scene(stack)
        scene.acceptor.start()
        try:
            yield scene
        finally:
            scene.acceptor.stop()


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "REST", 0.002)


async def test_connections_are_accepted_in_their_order_with_the_address_of_the_peer() -> None:
    with accepting() as scene:
        peers = scene.connect(100)
        await until(lambda: len(scene.peers) == 100)
        assert scene.peers == peers


async def test_a_burst_costs_less_than_two_calls_a_connection() -> None:
    with accepting() as scene:
        scene.connect(200)
        await until(lambda: len(scene.peers) == 200)
        await turns()
        assert scene.sock.calls < 200 + 10


async def test_lone_connections_cost_less_than_two_calls_each_even_after_a_burst() -> None:
    with accepting() as scene:
        scene.connect(200)
        await until(lambda: len(scene.peers) == 200)
        await turns()
        calls = scene.sock.calls
        for number in range(201, 221):
            scene.connect()
            await until(lambda: len(scene.peers) == number)  # noqa: B023 - awaited at once
            await turns()
        assert scene.sock.calls - calls < 2 * 20


async def test_a_burst_takes_few_turns_and_others_have_theirs_between() -> None:
    with accepting() as scene:
        scene.connect(500)
        others = 0
        while len(scene.peers) < 500:
            await asyncio.sleep(0)
            others += 1
        assert 500 / 64 <= others < 500 / 5


async def test_in_a_pause_clients_wait_in_the_backlog_until_start() -> None:
    with accepting() as scene:
        scene.acceptor.pause()
        peers = scene.connect(3)
        await turns()
        assert not scene.peers
        scene.acceptor.start()
        scene.acceptor.start()
        await until(lambda: len(scene.peers) == 3)
        assert scene.peers == peers


async def test_after_stop_nobody_is_accepted_any_more() -> None:
    with accepting() as scene:
        scene.acceptor.stop()
        assert not registrations()
        scene.connect()
        scene.acceptor.start()
        scene.acceptor.stop()
        await turns()
        assert not scene.peers
        assert not registrations()


@pytest.mark.parametrize("way", ["pause", "stop"])
async def test_from_inside_it_takes_effect_at_once(way: str) -> None:
    with accepting() as scene:
        accepted = scene.accepted

        def accept_one(sock: socket.socket, peer: Any) -> None:
            accepted(sock, peer)
            if len(scene.peers) >= 5:
                getattr(scene.acceptor, way)()

        scene.acceptor._accepted = accept_one
        scene.connect(20)
        await until(lambda: len(scene.peers) >= 5)
        await turns()
        assert len(scene.peers) == 5


@pytest.mark.parametrize("number", LOST, ids=errno.errorcode.get)
async def test_a_connection_that_was_lost_before_it_was_accepted_is_skipped(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    with accepting() as scene:
        scene.sock.errors = [number] * 5
        peers = scene.connect(3)
        await until(lambda: len(scene.peers) == 3)
        assert scene.peers == peers
        assert scene.acceptor.rests == 0
    assert not caplog.records


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize("number", EXHAUSTED, ids=errno.errorcode.get)
async def test_out_of_descriptors_or_memory_accepting_rests_and_nobody_is_lost(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    with accepting() as scene:
        scene.sock.errors = [number] * 3
        peers = scene.connect(10)
        await until(lambda: scene.acceptor.rests == 3)
        assert not scene.peers
        await until(lambda: len(scene.peers) == 10)
        assert scene.peers == peers
        assert scene.acceptor.rests == 3
    assert caplog.records[0].levelno == logging.ERROR
    assert "accept on ('127.0.0.1'" in caplog.text


@pytest.mark.usefixtures("short_rests")
async def test_a_rest_costs_one_call_and_one_event() -> None:
    with accepting() as scene:
        scene.sock.errors = [errno.EMFILE] * 20
        events = 0
        on_readable = scene.acceptor._on_readable

        def count(events_: int) -> None:
            nonlocal events
            events += 1
            on_readable(events_)

        poller = poller_of(asyncio.get_running_loop())
        assert isinstance(poller, EpollPoller)
        poller._callbacks[scene.sock.fileno()] = count
        scene.connect()
        await until(lambda: scene.peers)
        assert scene.acceptor.rests == 20
        assert scene.sock.calls <= 20 + 2
        assert events <= 20 + 2


async def test_a_rest_needs_no_descriptor_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poller without members is closed, and could not be opened again."""
    monkeypatch.setattr(acceptor_module, "REST", 60.0)
    with accepting() as scene:
        scene.sock.errors = [errno.EMFILE]
        scene.connect()
        await until(lambda: scene.acceptor.rests)
        descriptors = open_descriptors()
        await turns()
        assert open_descriptors() == descriptors
        scene.acceptor._rested()
        await until(lambda: scene.peers)


@pytest.mark.usefixtures("short_rests")
async def test_rests_are_logged_once_an_interval(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor_module, "_LOG_INTERVAL", 0.05)
    loop = asyncio.get_running_loop()
    with accepting() as scene:
        scene.sock.errors = [errno.EMFILE] * 100
        began = loop.time()
        scene.connect()
        await until(lambda: scene.peers)
        took = loop.time() - began
    assert scene.acceptor.rests == 100
    assert 2 <= len(caplog.records) <= 1 + took / 0.05


async def test_by_default_a_rest_is_long_and_the_log_is_patient() -> None:
    assert REST == 0.1
    assert acceptor_module._LOG_INTERVAL == 1.0


async def test_a_start_during_a_rest_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "REST", 60.0)
    with accepting() as scene:
        scene.sock.errors = [errno.EMFILE]
        scene.connect()
        await until(lambda: scene.acceptor.rests)
        scene.acceptor.start()
        await turns()
        assert not scene.peers
        scene.acceptor._rested()
        await until(lambda: scene.peers)


@pytest.mark.parametrize("way", ["pause", "stop"])
async def test_a_rest_does_not_outlast_a_pause_or_a_stop(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "REST", 60.0)
    with accepting() as scene:
        scene.sock.errors = [errno.EMFILE]
        scene.connect()
        await until(lambda: scene.acceptor.rests)
        rest = scene.acceptor._rest
        assert rest is not None
        getattr(scene.acceptor, way)()
        assert rest.cancelled()
        await turns()
        assert not scene.peers


async def test_any_other_failure_is_reported_once_and_the_listener_stops() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    with accepting() as scene:
        scene.sock.errors = [errno.EINVAL] * 10
        scene.connect()
        await until(lambda: reported)
        scene.acceptor.start()
        await turns()
        assert not registrations()
    (context,) = reported
    assert context["exception"].errno == errno.EINVAL


async def test_what_waits_is_accepted_at_once_as_long_as_there_is_room() -> None:
    with accepting() as scene:
        peers = scene.connect(10)
        scene.acceptor.accept_waiting(lambda: len(scene.peers) < 7)
        assert scene.peers == peers[:7]
        scene.acceptor.accept_waiting(lambda: True)
        assert scene.peers == peers


@pytest.mark.parametrize("number", LOST, ids=errno.errorcode.get)
async def test_a_lost_connection_does_not_hide_those_that_wait_behind_it(number: int) -> None:
    with accepting() as scene:
        peers = scene.connect(3)
        scene.sock.errors = [number] * 2
        scene.acceptor.accept_waiting(lambda: True)
        assert scene.peers == peers


@pytest.mark.parametrize("number", EXHAUSTED, ids=errno.errorcode.get)
async def test_out_of_descriptors_what_waits_is_left(number: int) -> None:
    with accepting() as scene:
        scene.connect(3)
        scene.sock.errors = [number]
        scene.acceptor.accept_waiting(lambda: True)
        assert not scene.peers
        assert scene.sock.calls == 1
