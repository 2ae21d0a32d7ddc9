"""What a read may hold: an answer, a cache, a batch of blocks, a run's lock."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.frames import pack_frame
from lossguard_server.errors import TooManyPoints
from lossguard_server.store import columns
from lossguard_server.store import points as points_module
from lossguard_server.store.folded import blocks, pyramid
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def filled(store: Store, series: int, steps: int, is_folded: bool = True) -> list[str]:
    """A run of so many series, whose values are their steps."""
    stream, names = store.stream(), [f"s{index}" for index in range(series)]
    store.append(stream, schema(1, *names))
    for seq, start in enumerate(range(0, steps, 500), 2):
        some = np.arange(start, min(start + 500, steps))
        store.append(stream, pack_frame(seq, some, range(series), np.tile(some.astype(np.float64), (series, 1))))
    if is_folded:
        store.fold(stream)
    return names


@pytest.mark.parametrize("is_folded", [False, True])
@pytest.mark.parametrize("width", [None, 1, 50])
@pytest.mark.parametrize(("first", "last"), [(100, 5), (5_000, 5), (7_000, None), (None, -3), (2_999, 0)])
def test_steps_that_end_before_they_begin_hold_nothing(
    store: Store, is_folded: bool, width: int | None, first: int | None, last: int | None
) -> None:
    filled(store, 2, 3_000, is_folded)
    answer = Points(store.reading).query("r1", ["s0", "s1"], first, last, width)
    assert [len(buckets.step) for buckets in answer.series.values()] == [0, 0]
    assert answer.last_step == 2_999
    assert [len(steps) for steps, _ in Points(store.reading).raw("r1", ["s0"], first, last).values()] == [0]


@pytest.mark.parametrize("is_folded", [False, True])
def test_an_answer_that_is_too_large_is_refused_before_it_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, is_folded: bool
) -> None:
    names = filled(store, 3, 2_000, is_folded)
    points = Points(store.reading, most_buckets=3_000)
    assert len(points.query("r1", names, None, None, 1_000).series["s2"].step) <= 1_000
    assert len(points.query("r1", names, 1_000, None, None).series["s2"].step) == 1_000
    assert len(points.query("r1", names[:1], None, None, 100_000).series["s0"].step) == 2_000
    read = list[object]()
    monkeypatch.setattr(points._blocks, "read", lambda *asked: read.append(asked))
    for asked, first, width in ((names, None, None), (names, None, 1_001), (names[:2], None, None)):
        with pytest.raises(TooManyPoints, match=r"at most 3000"):
            points.query("r1", asked, first, None, width)
    assert read == []


def test_what_a_page_asks_fits_and_all_caches_together_are_128_mib() -> None:
    assert points_module.MAX_BUCKETS >= 64 * 4_000
    assert points_module.CACHE_BYTES + blocks.CACHE_BYTES <= 128 << 20


def test_many_series_are_read_a_few_blocks_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "BLOCKS_AT_ONCE", 8)
    names = filled(store, 40, 3_000)
    points, largest = Points(store.reading), [0]
    read = points._blocks.read

    def counted(session: Any, scope: object, wanted: Iterable[blocks.Address]) -> Any:
        addresses = list(wanted)
        largest[0] = max(largest[0], len(set(addresses)))
        return read(session, scope, addresses)

    monkeypatch.setattr(points._blocks, "read", counted)
    for steps, values in points.raw("r1", names, 1_001, 1_010).values():
        assert steps.tolist() == values.tolist() == list(range(1_001, 1_011))
        assert steps.base is None, "a view would keep the block"
        assert values.base is None
    for buckets in points.query("r1", names, 900, 2_500, 2).series.values():
        assert (buckets.count.sum(), buckets.first[0], buckets.last[-1]) == (1_601, 900.0, 2_500.0)
    assert largest[0] <= 8


def test_series_of_which_every_step_came_twice_are_merged_a_few_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, merged = store.stream(), list[int]()
    store.append(stream, schema(1, "a", "b", "c"))
    for seq, value in ((2, 1.0), (3, 2.0)):
        store.append(stream, frame(seq, range(1_500), *[np.full(1_500, value)] * 3))
    store.fold(stream)
    monkeypatch.setattr(points_module, "MERGED_POINTS", 6_000)
    points = Points(store.reading)
    monkeypatch.setattr(
        points_module.Sight,
        "pieces",
        _noted(points_module.Sight.pieces, lambda located: merged.append(len(located.asked))),
    )
    answer = points.query("r1", ["a", "b", "c"], None, None, 10)
    assert merged == [2, 1]
    assert {buckets.count.sum() for buckets in answer.series.values()} == {1_500}
    assert {buckets.min.min() for buckets in answer.series.values()} == {2.0}


def _noted(method: Any, note: Any) -> Any:
    def called(self: object, located: Any) -> Any:
        note(located)
        return method(self, located)

    return called


def test_a_runs_lock_is_held_for_a_page_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PAGE_MESSAGES", 1)
    for attempt in (0, 1):
        stream = store.stream(attempt=attempt)
        store.append(stream, schema(1, "a"), *[frame(2 + at, [10 * attempt + at], [1.0]) for at in range(5)])
    points = Points(store.reading)
    points._runs["r1"] = columns.RunColumns("r1")
    lock = points._runs["r1"]._lock = Counted()  # type: ignore[assignment]
    assert len(points.raw("r1", ["a"], None, None)["a"][0]) == 10
    assert lock.count >= 11, "two streams of six messages; the last snapshot has nothing to read, or the last message"


class Counted:
    """A lock that counts how often it was taken."""

    def __init__(self) -> None:
        self.count, self._lock = 0, threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()
