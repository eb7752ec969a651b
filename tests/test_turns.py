"""What is about real time runs again where the machine was the cause, and only there."""

import time

import pytest

from tests.turns import unless_held_up


async def test_a_failure_is_one_where_the_loop_ran() -> None:
    tries = []

    @unless_held_up(10)
    async def fails() -> None:
        tries.append(1)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await fails()
    assert len(tries) == 1


async def test_a_failure_is_tried_again_where_the_loop_stood_still() -> None:
    tries = []

    @unless_held_up(0.01)
    async def fails_at_first() -> None:
        tries.append(1)
        if len(tries) == 1:
            time.sleep(0.02)  # noqa: ASYNC251 - what holds the loop up
            raise ValueError("late")

    await fails_at_first()
    assert len(tries) == 2
