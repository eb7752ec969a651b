"""Which of two is faster, and how sure that is."""

import random

import pytest

from aionet.bench.compare import compare


def runs(chance: random.Random, median: float, count: int = 7) -> list[float]:
    """Rates of so many runs, which spread by a twentieth."""
    return [chance.gauss(median, median / 20) for _ in range(count)]


def test_a_clear_difference_is_shown_with_its_interval() -> None:
    found = compare([100, 101, 99, 100, 102, 98, 100], [142, 143, 141, 142, 144, 140, 142], paired=True)
    assert found.different
    assert found.ratio == pytest.approx(1.42)
    assert found.low <= found.ratio <= found.high
    assert str(found).startswith("1.42x, 95 % 1.4")


def test_equal_sides_show_none() -> None:
    found = compare([100, 110, 90, 105, 95], [101, 108, 91, 104, 96], paired=False)
    assert not found.different
    assert str(found).startswith("no difference shown (")


def test_what_slowed_a_round_slowed_both_sides_of_a_pair() -> None:
    a = [100.0, 50.0, 80.0, 60.0, 90.0, 70.0]
    b = [value * 1.1 for value in a]
    assert compare(a, b, paired=True).different
    assert not compare(a, b, paired=False).different


@pytest.mark.parametrize("count", [5, 7])
def test_the_interval_holds_the_truth_nearly_as_often_as_it_says(count: int) -> None:
    chance = random.Random(3)
    trials = 20
    held = 0
    for seed in range(trials):
        found = compare(runs(chance, 100, count), runs(chance, 120, count), paired=True, seed=seed)
        held += found.low <= 1.2 <= found.high
    assert held >= 0.8 * trials


def test_the_interval_of_few_runs_is_wider_than_that_of_the_plain_bootstrap() -> None:
    # The median of 7 drawn runs is the least of them in 1.0 % of the draws: more than Student's 0.4 %,
    # and less than the 2.5 % that the plain one leaves out.
    found = compare([100] * 7, [101, 102, 103, 104, 105, 106, 107], paired=True)
    assert (found.low, found.high) == (1.01, 1.07)


def test_the_same_samples_have_the_same_verdict() -> None:
    a, b = runs(random.Random(1), 100), runs(random.Random(2), 100)
    assert compare(a, b, paired=True) == compare(a, b, paired=True)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [([1.0], [1.0, 2.0], "no spread"), ([0.0, 0.0], [1.0, 2.0], "nothing was"), ([1.0, 2.0], [1.0] * 3, "no pairs")],
)
def test_what_cannot_be_compared_is_refused(a: list[float], b: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compare(a, b, paired=True)
