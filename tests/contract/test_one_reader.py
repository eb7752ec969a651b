"""One task receives at a time: a second one is told so at once, and steals nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aionet import BusyError
from tests.contract.test_cancelling import RECEIVES, Receive
from tests.turns import running, turns

if TYPE_CHECKING:
    from tests.contract.pairs import PairFactory


@pytest.mark.parametrize("first", RECEIVES.values(), ids=RECEIVES)
@pytest.mark.parametrize("second", RECEIVES.values(), ids=RECEIVES)
async def test_a_second_reader_is_refused_and_the_first_gets_everything(
    pairs: PairFactory, first: Receive, second: Receive
) -> None:
    async with pairs() as (ours, theirs), running(first(ours)) as receiving:
        await turns()
        for _ in range(2):
            with pytest.raises(BusyError):
                await second(ours)
        await theirs.send(b"hello\n")
        with pytest.raises(BusyError):
            await second(ours)
        assert await receiving == b"hello\n"
        await theirs.send(b"HELLo\n")
        assert await second(ours) == b"HELLo\n"


@pytest.mark.parametrize("second", RECEIVES.values(), ids=RECEIVES)
async def test_a_second_reader_is_refused_while_a_message_has_arrived_in_part(
    pairs: PairFactory, second: Receive
) -> None:
    async with pairs() as (ours, theirs), running(ours.recv_exactly(12)) as receiving:
        await theirs.send(b"hello\n")
        await turns()
        with pytest.raises(BusyError):
            await second(ours)
        await theirs.send(b"HELLo\n")
        assert await receiving == b"hello\nHELLo\n"


async def test_a_refused_reader_is_told_what_it_wanted_and_where(pairs: PairFactory) -> None:
    async with pairs() as (ours, _), running(ours.recv()):
        await turns()
        with pytest.raises(BusyError) as caught:
            await ours.recv_line()
        assert str(caught.value).startswith(f"recv_line on {ours.local} <- {ours.peer}: ")
        assert isinstance(caught.value, RuntimeError)


async def test_after_a_cancel_another_task_may_receive(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs):
        for receive in RECEIVES.values():
            async with running(receive(ours)):
                await turns()
        await theirs.send(b"x")
        assert await ours.recv() == b"x"


async def test_each_end_has_a_reader_of_its_own(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv()) as one, running(theirs.recv()) as other:
        await turns()
        await ours.send(b"to them")
        await theirs.send(b"to us")
        assert (await one, await other) == (b"to us", b"to them")


async def test_sending_is_not_receiving(pairs: PairFactory) -> None:
    async with pairs() as (ours, theirs), running(ours.recv()) as receiving:
        await turns()
        await ours.send(b"x")
        await ours.flush()
        await ours.send_eof()
        assert await theirs.recv_exactly(1) == b"x"
        await theirs.send(b"y")
        assert await receiving == b"y"
