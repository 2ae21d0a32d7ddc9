"""Whatever is asked of folded series, the answer says of its points what a loop over them says; nothing is lost."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import examples
from lossguard.protocol.frames import Columns, Steps, pack_frame
from lossguard_server.store.buckets import Buckets
from lossguard_server.store.points import Points
from store_world import Store, opened_store, schema

LONG = 1_000_000
# where the one spike and the one NaN are: ends, borders of chunks, of blocks and of groups of every level, elsewhere
PLACES = [0, 1, 31, 32, 1_023, 1_024, 16_384, 32_767, 524_288, 777_777, 983_040, 999_423, 999_424, LONG - 1]


def series(seed: int, length: int) -> tuple[Steps, Columns]:
    """Steps with gaps, and values of which some are not finite."""
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.choice([1, 1, 1, 10, 1_000], size=length))
    values = random.normal(size=length) * 10.0 ** random.integers(-3, 4)
    return steps, np.where(random.random(length) < 0.01, random.choice([math.nan, math.inf, -math.inf], length), values)


def folded(store: Store, steps: Steps, values: Columns, pages: int, unfolded: int) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"))
    cuts = np.unique(np.linspace(0, len(steps), pages + 1).astype(int)).tolist()
    for seq, (start, end) in enumerate(pairwise(cuts), 2):
        store.append(stream, pack_frame(seq, steps[start:end], [0], values[np.newaxis, start:end]))
    store.fold(stream, up_to_seq=len(cuts) - unfolded, page_bytes=1)


@given(
    st.integers(0, 1_000),
    st.sampled_from([1, 40, 1_024, 3_000, 40_000]),
    st.tuples(st.integers(1, 12), st.integers(0, 3)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 300)), min_size=1, max_size=8),
)
@examples(25)
def test_buckets_of_folded_points_are_those_of_the_points(
    seed: int, length: int, how: tuple[int, int], asked: list[tuple[float, float, int]]
) -> None:
    steps, values = series(seed, length)
    with TemporaryDirectory() as folder, opened_store(Path(folder)) as store:
        folded(store, steps, values, *how)
        points = Points(store.reading)
        for a, b, width in asked:
            low, high = sorted((int(a * steps[-1]), int(b * steps[-1])))
            buckets = points.query("r1", ["a"], low, high, width).series["a"]
            inside = slice(*steps.searchsorted([low, high + 1]))
            assert len(buckets.step) <= width
            assert_are_of(buckets, steps[inside], values[inside])
            raw_steps, raw_values = points.raw("r1", ["a"], low, high)["a"]
            assert raw_steps.tolist() == steps[inside].tolist()
            assert raw_values.tobytes() == values[inside].tobytes()


def assert_are_of(buckets: Buckets, steps: Steps, values: Columns) -> None:
    """Neighbouring points, each in one bucket."""
    ends = np.cumsum(buckets.count).tolist()
    assert (ends[-1] if ends else 0) == len(steps)
    for index, (start, end) in enumerate(pairwise([0, *ends])):
        inside = values[start:end]
        finite = inside[np.isfinite(inside)]
        assert buckets.step[index] == steps[start]
        assert (buckets.nan[index], buckets.pos_inf[index], buckets.neg_inf[index]) == (
            np.isnan(inside).sum(), (inside == math.inf).sum(), (inside == -math.inf).sum()
        )  # fmt: skip
        found = [buckets.first[index], buckets.last[index], buckets.min[index], buckets.max[index]]
        extremes = [finite.min(), finite.max()] if len(finite) else [math.nan, math.nan]
        np.testing.assert_array_equal(found, [inside[0], inside[-1], *extremes])
        scale = np.abs(finite).max() if len(finite) else 0.0
        mean = finite.mean() if len(finite) else math.nan
        np.testing.assert_allclose(buckets.mean[index], mean, rtol=0, atol=1e-12 * scale)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Points]:
    """A series of a million steps for each of PLACES."""
    with opened_store(tmp_path_factory.mktemp("long")) as store:
        stream = store.stream()
        store.append(stream, schema(1, *map(str, PLACES)))
        for seq, start in enumerate(range(0, LONG, 8_000), 2):
            values = np.ones((len(PLACES), 8_000))
            for row, place in enumerate(PLACES):
                if start <= place < start + 8_000:
                    values[row, place - start] = 1e6
                if start <= LONG - 1 - place < start + 8_000:
                    values[row, LONG - 1 - place - start] = math.nan
            store.append(stream, pack_frame(seq, np.arange(start, start + 8_000), range(len(PLACES)), values))
            store.fold(stream)
        yield Points(store.reading)


@given(st.sampled_from(PLACES), st.integers(0, LONG - 1), st.integers(0, LONG - 1), st.integers(1, 4_000))
@settings(max_examples=180, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_spike_and_the_nan_are_there_at_every_zoom(
    long: Points, place: int, before: int, after: int, width: int
) -> None:
    for wanted in (place, LONG - 1 - place):
        low, high = max(0, wanted - before), min(LONG - 1, wanted + after)
        buckets = long.query("r1", [str(place)], low, high, width).series[str(place)]
        assert len(buckets.step) <= width
        assert buckets.count.sum() == high - low + 1
        assert (1e6 in buckets.max.tolist()) == (low <= place <= high)
        assert buckets.nan.sum() == (low <= LONG - 1 - place <= high)
