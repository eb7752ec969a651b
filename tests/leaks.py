"""What a test must not leave behind.

Descriptors, registrations, running tasks, exceptions that only the loop saw, another setting of aionet's logger.
"""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from aionet.system.poller import EpollPoller, poller_of

# Closing is allowed to take a few turns of the loop; what is still there after this long, in seconds, was forgotten.
GRACE = 2.0


def open_descriptors() -> dict[int, str]:
    """Return each open descriptor of this process, with what it refers to.

    All but /dev/null: libuv keeps one in reserve for each loop, from that loop's first stream on.
    """
    descriptors: dict[int, str] = {}
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - three times for each test: pathlib would take most of it
        try:
            descriptors[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - as above
        except FileNotFoundError:  # the descriptor through which the directory itself was read
            continue
    return {fd: target for fd, target in descriptors.items() if target != "/dev/null"}


def registrations() -> set[int]:
    """Return the descriptors that the running loop makes callbacks for, as far as aionet has asked it to."""
    poller = poller_of(asyncio.get_running_loop())
    return set(poller._callbacks) if isinstance(poller, EpollPoller) else set()


def logger_settings() -> tuple[object, ...]:
    """Return how the logger ``aionet`` is set: a later test that reads what is logged depends on it."""
    logger = logging.getLogger("aionet")
    return logger.level, logger.disabled, logger.propagate, tuple(logger.handlers)


@contextmanager
def logging_as_it_was() -> Generator[None]:
    """Set the logger ``aionet`` back at the end of the body, whatever a program of a user did to it."""
    logger = logging.getLogger("aionet")
    level, disabled, propagate, handlers = logger.level, logger.disabled, logger.propagate, logger.handlers[:]
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.disabled, logger.propagate, logger.handlers[:] = disabled, propagate, handlers


@contextmanager
def no_settings_left() -> Generator[None]:
    """Fail if the body leaves the logger ``aionet`` set another way."""
    before = logger_settings()
    yield
    if (now := logger_settings()) != before:
        pytest.fail(f"the test left the logger aionet changed: from {before} to {now}", pytrace=False)


@contextmanager
def no_descriptors_left() -> Generator[None]:
    """Fail if the body leaves a descriptor open."""
    before = open_descriptors()
    yield
    if _opened_since(before):
        gc.collect()  # what only the collector closes also emits a ResourceWarning, and fails the test by that
    if left := _opened_since(before):
        pytest.fail(_report(left), pytrace=False)


@asynccontextmanager
async def nothing_left(grace: float = GRACE) -> AsyncGenerator[None]:
    """Fail if the body leaves a descriptor open or registered, a task running, or an exception for the loop to log."""
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    unhandled = _record_unhandled(loop)
    descriptors = open_descriptors()
    registered = registrations()
    tasks = asyncio.all_tasks()

    def left() -> list[str]:
        running = asyncio.all_tasks() - tasks - {asyncio.current_task()}
        callbacks = [f"registered: descriptor {fd}" for fd in registrations() - registered]
        return [*_opened_since(descriptors), *callbacks, *map(repr, running)]

    yield
    for _ in range(5):  # closing takes a few turns, and collecting longer than all of them
        if not left():
            break
        await asyncio.sleep(0)
    else:
        gc.collect()
    try:
        async with asyncio.timeout(grace):
            while left():  # noqa: ASYNC110 - no event tells that a descriptor was closed
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(_report(left()), pytrace=False)
    loop.set_exception_handler(handler)  # that of a check around this one
    if unhandled:
        pytest.fail("\n  ".join(["only the loop's exception handler saw:", *unhandled]), pytrace=False)


def _opened_since(before: dict[int, str]) -> list[str]:
    """Return what is open beyond ``before``: counted, since uvloop opens its wake-up sockets anew for each run."""
    now = open_descriptors()
    if len(now) <= len(before):
        return []
    return [f"descriptor {fd} -> {target}" for fd, target in now.items() if before.get(fd) != target]


def _report(left: list[str]) -> str:
    return "\n  ".join(["left behind by the test:", *left])


def _record_unhandled(loop: asyncio.AbstractEventLoop) -> list[str]:
    unhandled: list[str] = []

    def record(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        unhandled.append(f"{context['message']}: {context.get('exception')!r}")
        loop.default_exception_handler(context)

    loop.set_exception_handler(record)
    return unhandled
