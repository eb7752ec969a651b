"""The checks of the test suite itself: that they can fail."""

import asyncio
import logging
import socket

import pytest

from aionet.system.poller import READABLE, poller_of
from tests.conftest import LOOP_FACTORIES
from tests.leaks import logging_as_it_was, no_descriptors_left, no_settings_left, nothing_left


async def test_an_async_test_runs_on_the_loop_it_is_named_for(request: pytest.FixtureRequest) -> None:
    expected = LOOP_FACTORIES[request.node.callspec.id] if len(LOOP_FACTORIES) > 1 else asyncio.SelectorEventLoop
    probe = expected()
    probe.close()
    assert type(asyncio.get_running_loop()) is type(probe)


async def test_a_socket_left_open_fails_an_async_test() -> None:
    sockets: list[socket.socket] = []
    with pytest.raises(pytest.fail.Exception, match=r"descriptor \d+ -> socket"):
        async with nothing_left(grace=0.01):
            sockets.append(socket.socket())
    sockets.pop().close()


async def test_a_registration_left_fails_an_async_test() -> None:
    poller = poller_of(asyncio.get_running_loop())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(pytest.fail.Exception, match=rf"registered: descriptor {ours.fileno()}"):
            async with nothing_left(grace=0.01):
                poller.watch(ours.fileno(), READABLE, lambda _events: None)
        poller.forget(ours.fileno())


async def test_a_task_left_running_fails_an_async_test() -> None:
    tasks: list[asyncio.Task[object]] = []
    with pytest.raises(pytest.fail.Exception, match=r"Event\.wait"):
        async with nothing_left(grace=0.01):
            tasks.append(asyncio.create_task(asyncio.Event().wait()))
    tasks.pop().cancel()


async def test_a_task_that_ends_soon_after_the_test_is_no_leak() -> None:
    async with nothing_left():
        task = asyncio.create_task(asyncio.sleep(0.01))
    assert task.done()


async def test_an_exception_that_only_the_loop_saw_fails_an_async_test() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
        async with nothing_left():
            asyncio.get_running_loop().call_soon(fail)
            await asyncio.sleep(0)


def test_a_socket_left_open_fails_a_plain_test() -> None:
    sockets: list[socket.socket] = []
    with pytest.raises(pytest.fail.Exception, match=r"descriptor \d+ -> socket"), no_descriptors_left():
        sockets.append(socket.socket())
    sockets.pop().close()


def test_another_level_of_the_logger_fails_any_test() -> None:
    with (
        logging_as_it_was(),
        pytest.raises(pytest.fail.Exception, match="left the logger aionet changed"),
        no_settings_left(),
    ):
        logging.getLogger("aionet").setLevel(logging.CRITICAL)


def test_what_a_program_does_to_the_logger_is_undone() -> None:
    logger = logging.getLogger("aionet")
    with no_settings_left(), logging_as_it_was():
        logger.setLevel(logging.CRITICAL)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.disabled = True
