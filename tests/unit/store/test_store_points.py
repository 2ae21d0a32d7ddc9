"""Points come out of the journal by name, newest attempt first, and only what is new is decoded."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import Session, text

from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Schema, SeriesSpec
from lossguard_server.errors import JournalDamaged
from lossguard_server.store import journal
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def values(points: Points, name: str, run: str = "r1") -> dict[int, float]:
    buckets = points.query(run, [name], None, None, None).series[name].to_dict()
    return dict(zip(buckets["step"], buckets["first"], strict=True))


def test_a_contribution_is_weight_times_raw(store: Store) -> None:
    raw, weight = [3.0, math.inf, 0.1], [0.1, 0.0, 3.0]
    store.append(store.stream(), schema(1, "loss/ce", "weight/ce"), frame(2, [0, 1, 2], raw, weight))
    found = values(Points(store.reading), "contribution/ce")
    assert found[0] == 0.1 * 3.0
    assert math.isnan(found[1]), "0 * inf is NaN, and NaN is what must be seen"
    assert found[2] == 3.0 * 0.1


def test_a_look_takes_up_what_came_since_the_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, points = store.stream(), Points(store.reading)
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    assert values(points, "a") == {0: 1.0}
    read = journal.read
    asked: list[int] = []
    monkeypatch.setattr(journal, "read", lambda s, i, after, limit: asked.append(after) or read(s, i, after, limit))
    store.append(stream, frame(3, [1, 2], [2.0, 3.0]))
    assert values(points, "a") == {0: 1.0, 1: 2.0, 2: 3.0}
    assert asked == [2], "nothing before message 3 is read again"


def test_the_newer_point_of_a_step_wins(store: Store) -> None:
    first, second = store.stream(attempt=0), store.stream(attempt=1)
    store.append(first, schema(1, "a"), frame(2, [0, 1, 2, 3], [0.0, 0.1, 0.2, 0.3]))
    store.append(second, schema(1, "b", "a"), frame(2, [2, 3], [9.0, 9.0], [1.2, 1.3]), frame(3, [3], [9.0], [1.4]))
    assert values(Points(store.reading), "a") == {0: 0.0, 1: 0.1, 2: 1.2, 3: 1.4}


def test_frames_of_different_series_are_kept_apart(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a", "b"), frame(2, [0, 1], [1.0, 2.0]), frame(3, [1], [2.5], [7.0]))
    points = Points(store.reading)
    assert values(points, "a") == {0: 1.0, 1: 2.5}
    assert values(points, "b") == {1: 7.0}
    extents = {extent.name: (extent.first_step, extent.last_step, extent.count) for extent in points.extents("r1")}
    assert extents == {"a": (0, 1, 2), "b": (1, 1, 1)}


def test_a_range_and_a_width_are_kept(store: Store) -> None:
    store.append(store.stream(), schema(1, "a"), frame(2, range(1000), [float(step) for step in range(1000)]))
    answer = Points(store.reading).query("r1", ["a", "unknown"], 100, 299, 20)
    buckets = answer.series["a"]
    assert buckets.step.tolist() == list(range(100, 300, 10))
    assert buckets.max.tolist() == [float(step + 9) for step in range(100, 300, 10)]
    assert answer.series["unknown"].to_dict()["step"] == []
    assert answer.last_step == 999


def test_other_ranks_are_stored_and_not_mixed_in(store: Store) -> None:
    store.append(store.stream(rank=0), schema(1, "a"), frame(2, [0], [1.0]))
    store.append(store.stream(rank=1), schema(1, "a"), frame(2, [0], [2.0]))
    assert values(Points(store.reading), "a") == {0: 1.0}


def test_memory_is_bounded_and_the_run_in_use_stays(store: Store) -> None:
    for run in ("r1", "r2", "r3"):
        store.append(store.stream(run), schema(1, "a"), frame(2, [0], [1.0]))
    points = Points(store.reading, cache_bytes=600)  # two runs of one point and one name
    for run in ("r1", "r2", "r3"):
        assert values(points, "a", run) == {0: 1.0}
    assert list(points._runs) == ["r2", "r3"]


def test_a_hundred_thousand_series_of_few_points_are_read_in_little_memory(store: Store) -> None:
    stream = store.stream()
    for block in range(20):  # 1,000 names each
        names = [SeriesSpec(block * 1_000 + index, f"s/{block}/{index}") for index in range(1_000)]
        ids = [each.id for each in names]
        points_of = pack_frame(2 * block + 2, np.arange(3), ids, np.full((1_000, 3), float(block)))
        store.append(stream, Schema(seq=2 * block + 1, series=names), points_of)
    points = Points(store.reading)
    began_s = time.process_time()
    extents = points.extents("r1")
    assert time.process_time() - began_s < 2.0, "20,000 look-ups, none of which may walk through all names"
    assert len(extents) == 20_000
    assert {(extent.first_step, extent.last_step, extent.count) for extent in extents} == {(0, 2, 3)}
    assert values(points, "s/19/999") == {0: 19.0, 1: 19.0, 2: 19.0}
    assert points._runs["r1"].size_bytes < 8_000_000, "400 bytes a series; 1,024 rows each would be 160 MB"


def test_a_damaged_journal_is_said_not_served(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))

    def flip(session: Session) -> None:
        stored = session.connection().execute(text("SELECT payload FROM journal WHERE seq=2")).scalar_one()
        bits = bytearray(stored)
        bits[bytes(stored).index(b"values") + 10] ^= 1
        session.connection().execute(text("UPDATE journal SET payload=:p WHERE seq=2"), {"p": bytes(bits)})

    store.write(flip)
    with pytest.raises(JournalDamaged, match="message 2"):
        Points(store.reading).query("r1", ["a"], None, None, None)


def test_every_answer_is_whole_while_points_come_and_are_folded(store: Store) -> None:
    stream, points = store.stream(), Points(store.reading)
    store.append(stream, schema(1, "a"), frame(2, [0], [0.0]))
    stored, over, wrong = [1], threading.Event(), list[str]()

    def look() -> None:
        while not over.is_set():
            known = stored[0]
            steps, values = points.raw("r1", ["a"], None, None)["a"]
            if steps.tolist() != list(range(len(steps))) or len(steps) < known or values.tolist() != steps.tolist():
                wrong.append(f"{known} points were stored, {len(steps)} found, the first {steps[:3]}")

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(60):
        at = 50 * number + 1
        store.append(stream, frame(number + 3, range(at, at + 50), np.arange(at, at + 50)))
        stored[0] = at + 50
        if number % 2:
            store.fold(stream, up_to_seq=number + 1)
    over.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []


def test_a_run_that_was_deleted_and_came_again_under_its_name_is_another(store: Store) -> None:
    points = Points(store.reading)
    for created_s, value in ((1.0, 0.5), (2.0, 7.0)):
        for table in ("summary", "chunk", "part", "journal", "stream", "run"):
            store.write(lambda session, table=table: session.connection().execute(text(f"DELETE FROM {table}")))
        stream = store.stream()
        moved = text(f"UPDATE run SET created_s = {created_s}")
        store.write(lambda session, moved=moved: session.connection().execute(moved))
        store.append(stream, schema(1, "a"), frame(2, range(5), [value] * 5))
        assert values(points, "a") == dict.fromkeys(range(5), value)
        store.fold(stream)
        assert values(points, "a") == dict.fromkeys(range(5), value)


def test_what_is_folded_is_forgotten_by_the_memory_of_what_is_not(store: Store) -> None:
    stream, points = store.stream(), Points(store.reading)
    store.append(stream, schema(1, "a"), frame(2, range(10_000), np.ones(10_000)), frame(3, [10_000], [1.0]))
    assert values(points, "a")[10_000] == 1.0
    assert points._runs["r1"].size_bytes > 24 * 10_000
    store.fold(stream, up_to_seq=2)
    assert len(values(points, "a")) == 10_001
    assert points._runs["r1"].size_bytes < 1_000


def test_many_series_at_once_are_told_more_coarsely_and_whole(store: Store) -> None:
    stream = store.stream()
    names = [f"s{index}" for index in range(100)]
    store.append(stream, schema(1, *names))
    for seq, start in enumerate(range(0, 8_000, 1_000), 2):
        steps = np.arange(start, start + 1_000)
        store.append(stream, pack_frame(seq, steps, range(100), np.tile(steps.astype(np.float64), (100, 1))))
    store.fold(stream)
    one = Points(store.reading).query("r1", names[:1], None, None, 4_000).series["s0"]
    every = Points(store.reading).query("r1", names, None, None, 4_000).series
    assert len(one.step) == 4_000
    for buckets in every.values():
        assert (buckets.count.sum(), buckets.first[0], buckets.last[-1]) == (8_000, 0.0, 7_999.0)
        assert len(buckets.step) < 4_000
