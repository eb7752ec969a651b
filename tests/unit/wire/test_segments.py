"""Runs of datagrams: what may leave together does, nothing else, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aionet.wire.segments import MAX_RUN_BYTES, MAX_SEGMENTS, cut, run_end

sizes = st.lists(st.one_of(st.sampled_from([0, 1, 100, 1200]), st.integers(0, 65507)), max_size=300)


def runs_of(sizes: list[int], largest: int) -> list[list[int]]:
    runs, start = [], 0
    while start < len(sizes):
        end = run_end(sizes, start, largest)
        runs.append(sizes[start:end])
        start = end
    return runs


@given(sizes, st.integers(0, MAX_RUN_BYTES))
def test_each_run_is_one_that_the_kernel_takes(sizes: list[int], largest: int) -> None:
    runs = runs_of(sizes, largest)
    assert [size for run in runs for size in run] == sizes
    for run in runs:
        assert run
        if len(run) > 1:
            assert len(run) <= MAX_SEGMENTS
            assert sum(run) <= MAX_RUN_BYTES
            assert set(run[:-1]) == {run[0]}
            assert 0 < run[-1] <= run[0] <= largest


def test_equal_datagrams_leave_as_many_at_a_time_as_the_kernel_takes() -> None:
    assert [len(run) for run in runs_of([100] * 150, 1500)] == [64, 64, 22]
    assert [len(run) for run in runs_of([1200] * 100, 1500)] == [54, 46]


def test_a_shorter_one_ends_a_run_and_a_longer_or_empty_one_begins_another() -> None:
    assert runs_of([100, 100, 40, 40, 100], 1500) == [[100, 100, 40], [40], [100]]
    assert runs_of([100, 0, 100, 200], 1500) == [[100], [0], [100], [200]]


def test_what_is_too_large_for_a_run_goes_alone() -> None:
    assert runs_of([1500, 1500, 10, 10], 1499) == [[1500], [1500], [10, 10]]
    assert runs_of([65527, 65527], 65527) == [[65527], [65527]]


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 1500))
def test_a_run_that_is_cut_is_whole_when_it_is_joined(data: bytes, size: int) -> None:
    pieces = cut(data, size)
    assert b"".join(pieces) == data
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert 0 < len(pieces[-1]) <= size
