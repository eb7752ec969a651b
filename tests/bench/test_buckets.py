"""Counts in HdrHistogram's own buckets."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet.bench import buckets
from aionet.bench.buckets import MASKS, quantile
from aionet.bench.histogram import HIGHEST, Histogram, require_library

VALUES = st.lists(st.integers(1, HIGHEST) | st.integers(1, 10_000_000), max_size=50)
few = settings(max_examples=5)  # the package walks through all of its 38 912 buckets for each answer


def counted(values: list[int]) -> buckets.Buckets:
    counts = buckets.new()
    for value in values:
        counts[value & MASKS[value.bit_length()]] += 1
    return counts


@few
@given(VALUES)
def test_the_histogram_is_the_one_that_recording_each_value_makes(values: list[int]) -> None:
    direct = require_library().HdrHistogram(1, HIGHEST, 3)
    for value in values:
        direct.record_value(value)
    ours = Histogram(counted(values))
    assert ours.count == len(values)
    assert list(ours.recorded()) == [
        (item.value_iterated_to, item.count_added_in_this_iter_step) for item in direct.get_recorded_iterator()
    ]
    for percent in (50, 90, 99, 99.9):
        assert ours.percentile(percent) == min(direct.get_value_at_percentile(percent), ours.max)


@few
@given(VALUES, VALUES)
def test_merging_loses_nothing(some: list[int], others: list[int]) -> None:
    merged = Histogram(counted(some))
    merged.add(Histogram(counted(others + some)))  # some are in both
    assert list(merged.recorded()) == list(Histogram(counted(some + others + some)).recorded())
    added = counted(some)
    buckets.add(added, counted(others + some))
    assert added == counted(some + others + some)


@few
@given(VALUES)
def test_the_encoded_form_holds_all_of_it(values: list[int]) -> None:
    histogram = Histogram(counted(values))
    assert list(Histogram.decode(histogram.encode()).recorded()) == list(histogram.recorded())


@given(st.dictionaries(st.integers(0, 2**62), st.integers(1, 2**62)))
def test_what_is_dumped_is_loaded(counts: dict[int, int]) -> None:
    assert buckets.load(buckets.dump(counts)) == counts


@pytest.mark.parametrize("text", ["x", "AAAA", "AAAAAAAAAAA=", "%%%%"])
def test_text_that_holds_no_counts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        buckets.load(text)


@pytest.mark.parametrize("text", ["", "nonsense", "HISTFAAAAA=="])
def test_text_that_holds_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no encoded histogram"):
        Histogram.decode(text)


def test_the_plotters_form_is_in_milliseconds_all_of_it() -> None:
    lines = Histogram(counted([1_000_000, 3_000_000])).hgrm().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert lines[2].split()[0] == "1.000"
    assert "Mean    =        2.0" in lines[-3]
    assert "StdDeviation   =        1.0" in lines[-3]


def test_an_empty_histogram_has_zeros() -> None:
    empty = Histogram()
    assert (empty.count, empty.min, empty.max, empty.mean, empty.percentile(99)) == (0, 0, 0, 0, 0)
    assert "TotalCount" in empty.hgrm()


@given(st.lists(st.integers(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], part: float) -> None:
    found = quantile(Counter(values), part)
    assert sum(value <= found for value in values) >= part * len(values)
    assert sum(value < found for value in values) < part * len(values)
