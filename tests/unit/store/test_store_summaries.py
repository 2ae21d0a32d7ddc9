"""An entry says of its points what a loop over them says, at every level, and comes back as it was."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard_server.errors import ChunkDamaged
from lossguard_server.store.folded.chunks import encode_chunk
from lossguard_server.store.folded.packing import Packer
from lossguard_server.store.folded.summaries import (
    FAN_OUT,
    Entries,
    decode_entries,
    encode_entries,
    grouped,
    joined_entries,
    merge,
    of_points,
    summarise,
)

NAN, INF = math.nan, math.inf


def only(entries: Entries) -> dict[str, float]:
    """The one entry that there is, by name."""
    [ints], [floats] = entries.ints.T.tolist(), entries.floats.T.tolist()
    names = ("first_step", "last_step", "nan", "pos_inf", "neg_inf", "count", "first", "min", "max", "last", "mean")
    return dict(zip(names, [*ints, *floats], strict=True))


def test_an_entry_keeps_ends_extremes_and_what_is_not_finite() -> None:
    values = np.array([NAN, 1e6, *[2.0] * 26, INF, -INF, -3.0, INF])
    found = only(summarise(np.arange(10, 42), values))
    assert math.isnan(found.pop("first"))
    assert found == {
        "first_step": 10, "last_step": 41, "nan": 1, "pos_inf": 2, "neg_inf": 1, "count": 32,
        "min": -3.0, "max": 1e6, "last": INF, "mean": pytest.approx((1e6 + 52 - 3) / 28),
    }  # fmt: skip


def test_where_nothing_is_finite_min_max_and_mean_are_nan() -> None:
    level_2 = merge(summarise(np.arange(32 * 32), np.full(32 * 32, INF)))
    found = only(level_2)
    assert found["pos_inf"] == found["count"] == 1024
    assert all(math.isnan(found[name]) for name in ("min", "max", "mean"))


@given(st.lists(st.floats(width=64), min_size=FAN_OUT, max_size=FAN_OUT), st.integers(1, FAN_OUT))
@examples(100)
def test_entries_of_entries_say_what_entries_of_points_say(values: list[float], split: int) -> None:
    points = of_points(np.arange(len(values)), np.array(values))
    halves = [each for each in (points.between(0, split), points.between(split, FAN_OUT)) if len(each)]
    parts = joined_entries([grouped(each, np.zeros(1, np.int64)) for each in halves])
    once, twice = merge(points), grouped(parts, np.zeros(1, np.int64))
    assert once.ints.tolist() == twice.ints.tolist()
    np.testing.assert_array_equal(once.floats[:4], twice.floats[:4])
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    np.testing.assert_allclose(once.floats[4], twice.floats[4], rtol=0, atol=1e-12 * largest)


def test_the_mean_of_enormous_values_does_not_overflow() -> None:
    level_2 = merge(summarise(np.arange(1024), np.full(1024, 1.7e308)))
    assert only(level_2)["mean"] == pytest.approx(1.7e308)


def test_a_block_comes_back_to_the_last_bit() -> None:
    values = np.random.default_rng(0).normal(size=32 * 40)
    values[[5, 100]] = NAN, struct.unpack("<d", struct.pack("<Q", 0xFFF8DEADBEEF0001))[0]
    entries = summarise(np.cumsum(np.arange(1, 32 * 40 + 1)), values)
    found = decode_entries(Packer(), encode_entries(Packer(), entries))
    assert found.ints.tobytes() == entries.ints.tobytes()
    assert found.floats.tobytes() == entries.floats.tobytes()


@given(st.binary(max_size=200))
@examples(100)
def test_garbage_is_chunk_damaged(data: bytes) -> None:
    with pytest.raises(ChunkDamaged):
        decode_entries(Packer(), data)


def test_a_chunk_is_not_taken_for_a_summary() -> None:
    with pytest.raises(ChunkDamaged, match="version 1"):
        decode_entries(Packer(), encode_chunk(Packer(), np.arange(3), np.zeros(3)))
