"""Buckets say the same as a loop over the points would; no spike and no non-finite point is lost at any width."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lossguard_server.store.buckets import bucketise

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)
points = st.dictionaries(st.integers(0, 2**53 - 1), floats, max_size=80)


@given(points, st.integers(1, 20))
def test_a_bucket_is_what_a_loop_finds(found: dict[int, float], width: int) -> None:
    steps = np.array(sorted(found), dtype=np.int64)
    values = np.array([found[step] for step in sorted(found)], dtype=np.float64)
    low, high = (int(steps[0]), int(steps[-1])) if len(steps) else (0, -1)
    buckets = bucketise(steps, values, low, high, width).to_dict()

    assert len(buckets["step"]) <= max(width, 0)
    edges = [*buckets["step"], 2**53]
    for index in range(len(buckets["step"])):
        inside = [found[step] for step in sorted(found) if edges[index] <= step < edges[index + 1]]
        finite = [value for value in inside if math.isfinite(value)]
        assert buckets["count"][index] == len(inside)
        assert same(buckets["first"][index], inside[0])
        assert same(buckets["last"][index], inside[-1])
        assert buckets["nan"][index] == sum(map(math.isnan, inside))
        assert buckets["pos_inf"][index] == inside.count(math.inf)
        assert buckets["neg_inf"][index] == inside.count(-math.inf)
        assert buckets["min"][index] == min(finite, default=None)
        assert buckets["max"][index] == max(finite, default=None)
        if finite:
            assert min(finite) <= buckets["mean"][index] <= max(finite)
        else:
            assert buckets["mean"][index] is None


@given(points)
def test_without_a_width_each_point_is_its_own(found: dict[int, float]) -> None:
    steps = np.array(sorted(found), dtype=np.int64)
    values = np.array([found[step] for step in sorted(found)], dtype=np.float64)
    buckets = bucketise(steps, values, 0, 2**53, None).to_dict()
    assert buckets["step"] == sorted(found)
    assert buckets["count"] == [1] * len(found)
    assert all(same(value, found[step]) for step, value in zip(buckets["step"], buckets["first"], strict=True))


@given(st.lists(st.floats(1e300, 1.7e308), min_size=4, max_size=20))
def test_the_mean_of_enormous_values_is_finite(values: list[float]) -> None:
    buckets = bucketise(np.arange(len(values)), np.array(values), 0, len(values) - 1, 1)
    expected = sum(value / len(values) for value in values)
    assert math.isclose(buckets.mean[0], expected, rel_tol=1e-9)


def test_equal_steps_get_equal_buckets_over_a_long_run() -> None:
    steps = np.arange(1_000_000)
    buckets = bucketise(steps, np.ones(len(steps)), 0, 999_999, 2_000)
    assert len(buckets.step) == 2_000
    assert set(np.diff(buckets.step).tolist()) == {500}


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
