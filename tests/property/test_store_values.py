"""Whatever the bits of a float64, they come back out of the real SQLite file as they went in."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lossguard.protocol.frames import pack_frame
from lossguard_server.store.points import Points
from store_world import Store, opened_store, schema

SPECIAL = [
    0x7FF0000000000000,  # +Inf
    0xFFF0000000000000,  # -Inf
    0x8000000000000000,  # -0.0
    0x0000000000000001,  # the smallest denormal
    0x7FF8000000000000,  # NaN
    0xFFF8DEADBEEF0001,  # negative quiet NaN with a payload
    0x7FF0000000000001,  # signalling NaN
    0x7FEFFFFFFFFFFFFF,  # the largest
]
RUNS = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with opened_store(tmp_path_factory.mktemp("values")) as opened:
        yield opened


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(SPECIAL)
@given(st.lists(st.one_of(st.sampled_from(SPECIAL), st.integers(0, 2**64 - 1)), min_size=1, max_size=64))
def test_every_bit_pattern_survives(store: Store, patterns: list[int]) -> None:
    bits = np.array([patterns, patterns[::-1]], dtype=np.uint64)
    run = f"run{next(RUNS)}"
    steps = np.arange(len(patterns), dtype=np.int64)
    stream = store.stream(run)
    store.append(stream, schema(1, "a", "b"), pack_frame(2, steps, [0, 1], bits.view(np.float64)))
    for _ in ("unfolded", "folded"):
        found = Points(store.reading).raw(run, ["a", "b"], None, None)
        for name, expected in zip(("a", "b"), bits, strict=True):
            found_steps, values = found[name]
            assert found_steps.tolist() == steps.tolist()
            assert values.view(np.uint64).tolist() == expected.tolist()
        store.fold(stream)
