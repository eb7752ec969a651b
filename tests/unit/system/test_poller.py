"""Readiness of many descriptors: the same from an epoll set as from the loop's own add_reader and add_writer."""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from aionet.system.poller import READABLE, WRITABLE, EpollPoller, LoopPoller, Poller
from tests.conftest import LOOP_FACTORIES
from tests.faults.peers import listening_socket, reset
from tests.leaks import open_descriptors
from tests.turns import turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aionet.system.loops import LoopFactory

POLLERS = [EpollPoller, LoopPoller]
each_loop_factory = pytest.mark.parametrize("factory", LOOP_FACTORIES.values(), ids=LOOP_FACTORIES)


@pytest.fixture(params=POLLERS)
async def poller(request: pytest.FixtureRequest) -> Poller:
    made: Poller = request.param(asyncio.get_running_loop())
    return made


@pytest.fixture
def sockets() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Make pairs of connected sockets, ours and the peer's."""
    with ExitStack() as stack:

        def make() -> tuple[socket.socket, socket.socket]:
            ours, theirs = socket.socketpair()
            for sock in (ours, theirs):
                sock.setblocking(False)
                stack.enter_context(sock)
            return ours, theirs

        yield make


class Watched:
    """A descriptor that a poller watches, and what was told of it."""

    def __init__(self, poller: Poller, sock: socket.socket, events: int) -> None:
        self.told: list[int] = []
        self.poller = poller
        self.fd = sock.fileno()
        poller.watch(self.fd, events, self.told.append)

    def forget(self) -> None:
        self.poller.forget(self.fd)

    def told_of(self) -> int:
        """Return all events that were told since the last call."""
        events = 0
        while self.told:
            events |= self.told.pop()
        return events


async def test_what_is_not_ready_is_not_told(poller: Poller, sockets: Any) -> None:
    ours, _theirs = sockets()
    watched = Watched(poller, ours, READABLE)
    await turns()
    assert watched.told == []
    watched.forget()


async def test_a_descriptor_is_told_of_again_and_again_for_as_long_as_it_is_ready(poller: Poller, sockets: Any) -> None:
    ours, theirs = sockets()
    watched = Watched(poller, ours, READABLE)
    theirs.send(b"x")
    await until(lambda: len(watched.told) >= 3)
    assert set(watched.told) == {READABLE}
    ours.recv(1)
    await turns(2)  # what was already on its way
    watched.told.clear()
    await turns()
    assert watched.told == []
    watched.forget()


async def test_only_what_was_asked_for_is_told(poller: Poller, sockets: Any) -> None:
    ours, theirs = sockets()
    theirs.send(b"x")
    watched = Watched(poller, ours, WRITABLE)
    await until(lambda: watched.told)
    assert watched.told_of() == WRITABLE
    poller.watch(ours.fileno(), READABLE, watched.told.append)
    await turns(2)
    watched.told.clear()
    await until(lambda: watched.told)
    assert watched.told_of() == READABLE
    poller.watch(ours.fileno(), READABLE | WRITABLE, watched.told.append)
    await turns()
    assert watched.told_of() == READABLE | WRITABLE
    watched.forget()


@pytest.mark.parametrize("events", [READABLE, WRITABLE, READABLE | WRITABLE])
async def test_the_last_callback_is_the_one_that_is_called(poller: Poller, sockets: Any, events: int) -> None:
    ours, theirs = sockets()
    theirs.send(b"x")
    former = Watched(poller, ours, READABLE | WRITABLE)
    latter = Watched(poller, ours, events)
    await until(lambda: latter.told_of() == events)
    assert former.told == []
    latter.forget()


async def test_what_is_forgotten_is_not_told_any_more(poller: Poller, sockets: Any) -> None:
    ours, theirs = sockets()
    watched = Watched(poller, ours, READABLE | WRITABLE)
    theirs.send(b"x")
    await until(lambda: watched.told)
    watched.forget()
    watched.told.clear()
    await turns()
    assert watched.told == []


async def test_forgetting_what_nobody_watches_does_nothing(poller: Poller, sockets: Any) -> None:
    ours, _theirs = sockets()
    poller.forget(ours.fileno())
    watched = Watched(poller, ours, WRITABLE)
    watched.forget()
    watched.forget()
    await turns()
    assert watched.told == []


@pytest.mark.parametrize("events", [READABLE, WRITABLE])
async def test_a_hang_up_is_told_whatever_was_asked_for(poller: Poller, sockets: Any, events: int) -> None:
    ours, theirs = sockets()
    while True:  # no room: nothing but the hang-up makes it writable
        try:
            ours.send(bytes(65536))
        except BlockingIOError:
            break
    watched = Watched(poller, ours, events)
    await turns()
    assert watched.told == []
    theirs.close()
    await until(lambda: watched.told)
    watched.forget()


async def test_of_two_in_one_batch_the_one_that_the_other_forgets_is_not_told(poller: Poller, sockets: Any) -> None:
    pairs = [sockets(), sockets()]
    told: list[int] = []

    def tell_and_forget_the_other(index: int) -> None:
        told.append(index)
        poller.forget(pairs[1 - index][0].fileno())

    poller.watch(pairs[0][0].fileno(), READABLE, lambda _events: tell_and_forget_the_other(0))
    poller.watch(pairs[1][0].fileno(), READABLE, lambda _events: tell_and_forget_the_other(1))
    for _ours, theirs in pairs:
        theirs.send(b"x")
    await turns()
    assert len(set(told)) == 1
    for ours, _theirs in pairs:
        poller.forget(ours.fileno())


async def test_a_callback_that_raises_is_reported_and_the_others_are_told_all_the_same(
    poller: Poller, sockets: Any
) -> None:
    loop = asyncio.get_running_loop()
    reported: list[BaseException] = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

    def fail(_events: int) -> None:
        raise ZeroDivisionError

    failing, _ = sockets()
    poller.watch(failing.fileno(), WRITABLE, fail)
    watched = [Watched(poller, sockets()[0], WRITABLE) for _ in range(3)]
    await turns()
    poller.forget(failing.fileno())
    for each in watched:
        assert each.told
        each.forget()
    assert {type(exc) for exc in reported} == {ZeroDivisionError}


async def test_many_that_stay_ready_are_told_of_in_turn(poller: Poller, sockets: Any) -> None:
    watched = [Watched(poller, sockets()[0], WRITABLE) for _ in range(150)]
    await turns(30)
    counts = [len(each.told) for each in watched]
    for each in watched:
        each.forget()
    assert min(counts) > 0
    assert max(counts) - min(counts) <= 2


async def test_data_and_a_reset_in_one_event_are_both_told() -> None:
    # uvloop ends a plain add_reader registration here, after the first call.
    poller = EpollPoller(asyncio.get_running_loop())
    with listening_socket("tcp") as listening, socket.create_connection(listening.getsockname()) as ours:
        ours.setblocking(False)
        received: list[bytes | OSError] = []

        def read(_events: int) -> None:
            try:
                received.append(ours.recv(1024))
            except OSError as exc:
                received.append(exc)
                poller.forget(ours.fileno())

        poller.watch(ours.fileno(), READABLE, read)
        await turns()
        theirs, _ = listening.accept()
        theirs.send(b"last words")
        reset(theirs)
        await until(lambda: len(received) == 2)
    assert received[0] == b"last words"
    assert isinstance(received[1], ConnectionResetError)


# --- the set ----------------------------------------------------------------------------------------------------------


def open_sets() -> int:
    """Count the open epoll sets; a loop has one or more of its own."""
    return list(open_descriptors().values()).count("anon_inode:[eventpoll]")


async def test_the_set_is_open_while_it_has_members_and_reopened_on_demand(sockets: Any) -> None:
    poller = EpollPoller(asyncio.get_running_loop())
    ours, theirs = sockets()
    before = open_sets()
    theirs.send(b"x")
    for _ in range(2):
        watched = Watched(poller, ours, READABLE)
        assert open_sets() == before + 1
        await until(lambda watched=watched: watched.told)  # type: ignore[misc]
        watched.forget()
        await turns(2)
        assert open_sets() == before


async def test_one_member_after_another_in_one_turn_keeps_the_set(
    sockets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    opened = itertools.count()
    add_reader = loop.add_reader

    def counting(*args: Any) -> None:
        next(opened)
        add_reader(*args)

    monkeypatch.setattr(loop, "add_reader", counting)
    poller = EpollPoller(loop)
    ours, theirs = sockets()
    theirs.send(b"x")
    for _ in range(3):
        Watched(poller, ours, READABLE).forget()
    last = Watched(poller, ours, READABLE)
    await until(lambda: last.told)
    last.forget()
    assert next(opened) == 1


@pytest.mark.parametrize("type_", POLLERS)
@each_loop_factory
def test_after_its_loop_has_closed_it_forgets_and_refuses(
    factory: LoopFactory, type_: Callable[[asyncio.AbstractEventLoop], Poller], sockets: Any
) -> None:
    ours, _theirs = sockets()
    loop = factory()
    poller = type_(loop)
    before = open_sets()
    poller.watch(ours.fileno(), READABLE, print)
    loop.close()
    poller.forget(ours.fileno())
    assert open_sets() < before or type_ is LoopPoller
    with pytest.raises(RuntimeError, match="closed"):
        poller.watch(ours.fileno(), READABLE, print)


async def test_a_descriptor_that_was_closed_unforgotten_harms_nobody(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        poller.watch(ours.fileno(), READABLE, print)
        number = ours.fileno()
        ours.close()
        poller.forget(number)


async def test_the_next_owner_of_a_number_that_was_closed_unforgotten_is_told(sockets: Any) -> None:
    poller = EpollPoller(asyncio.get_running_loop())
    closed, other = socket.socketpair()
    poller.watch(closed.fileno(), READABLE, print)
    number = closed.fileno()
    closed.close()
    ours, theirs = sockets()
    try:
        assert ours.fileno() == number
        watched = Watched(poller, ours, READABLE)
        theirs.send(b"x")
        await until(lambda: watched.told)
        watched.forget()
    finally:
        other.close()
