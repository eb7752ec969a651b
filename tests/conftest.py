"""Every async test runs on every loop, and no test leaves anything behind."""

import gc
from collections.abc import AsyncIterator, Iterator, Mapping

import hypothesis
import pytest
import pytest_asyncio

from aionet.system.loops import LoopFactory, available_loops, loop_factory
from tests.hangs import cancelled_after, time_limit
from tests.leaks import no_descriptors_left, no_settings_left, nothing_left
from tests.tools import IN_CI

LOOP_FACTORIES = {name: loop_factory(name) for name in ("asyncio", "uvloop") if IN_CI or name in available_loops()}

# No deadline and no complaint about slow inputs: they would measure the machine. The same inputs each time in CI.
hypothesis.settings.register_profile(
    "aionet", deadline=None, derandomize=IN_CI, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("aionet")


def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    """Run each async test once on each of these; ``@pytest.mark.asyncio(loop_factories=["asyncio"])`` narrows it."""
    return LOOP_FACTORIES


def pytest_collection_finish() -> None:
    """Leave what there is so far out of the collections to come: many tests collect, and would walk through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which more descriptors are open, or more tasks run, than before it, or the logger is set."""
    with no_settings_left():
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
