"""Every async test runs on every loop, and no test leaves anything behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from tests.hangs import cancelled_after, time_limit
from tests.leaks import no_descriptors_left, nothing_left
from tests.tools import IN_CI

LOOP_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}

try:
    import uvloop
except ImportError:
    if IN_CI:
        raise
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test once on each of these; ``@pytest.mark.asyncio(loop_factories=["asyncio"])`` narrows it."""
    return LOOP_FACTORIES


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which more descriptors are open, or more tasks run, than before it."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("leaves_nothing_on_its_loop")  # looks while that loop still runs
        yield
    else:
        with no_descriptors_left():
            yield


@pytest.fixture
async def leaves_nothing_on_its_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail an async test that hangs, or that leaves descriptors, tasks or unhandled exceptions behind."""
    with cancelled_after(0.9 * time_limit(request.node)):
        async with nothing_left():
            yield
