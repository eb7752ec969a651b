"""The watchdog of the test suite itself."""

import asyncio

import pytest

from tests.hangs import cancelled_after, time_limit


async def test_a_test_that_waits_for_ever_is_cancelled_and_its_stack_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(asyncio.CancelledError, match=r"took longer than 0\.01 s"), cancelled_after(0.01):
        await asyncio.Event().wait()
    assert "await asyncio.Event().wait()" in capsys.readouterr().err


async def test_a_test_that_ends_in_time_is_left_alone() -> None:
    with cancelled_after(0.01):
        pass
    await asyncio.sleep(0.02)


@pytest.mark.timeout(17)
def test_a_timeout_marker_sets_the_limit(request: pytest.FixtureRequest) -> None:
    assert time_limit(request.node) == 17
