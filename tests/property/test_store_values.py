"""Whatever the bits of a float64, they come back out of the real SQLite file as they went in."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

from bit_patterns import SPECIAL, patterns
from lossguard.protocol.frames import pack_frame
from lossguard_server.store.points import Points
from store_world import Store, opened_store, schema

RUNS = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with opened_store(tmp_path_factory.mktemp("values")) as opened:
        yield opened


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(SPECIAL)
@given(patterns)
def test_every_bit_pattern_survives(store: Store, drawn: list[int]) -> None:
    bits = np.array([drawn, drawn[::-1]], dtype=np.uint64)
    run = f"run{next(RUNS)}"
    steps = np.arange(len(drawn), dtype=np.int64)
    stream = store.stream(run)
    store.append(stream, schema(1, "a", "b"), pack_frame(2, steps, [0, 1], bits.view(np.float64)))
    for _ in ("unfolded", "folded"):
        found = Points(store.reading).raw(run, ["a", "b"], None, None)
        for name, expected in zip(("a", "b"), bits, strict=True):
            found_steps, values = found[name]
            assert found_steps.tolist() == steps.tolist()
            assert values.view(np.uint64).tolist() == expected.tolist()
        store.fold(stream)
