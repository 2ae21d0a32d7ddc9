"""Frames become chunks and summaries: all of them, once, whatever stops in between and whoever else tries."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import Session, text

from journal_reader import stored_points
from lossguard.protocol.frames import pack_frame
from lossguard_server.errors import ChunkDamaged, JournalDamaged
from lossguard_server.store import journal
from lossguard_server.store.folded import folding
from lossguard_server.store.folded.folding import Plan
from lossguard_server.store.journal import StreamHead
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, rollback, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def drawn(store: Store, name: str = "a") -> dict[int, float]:
    steps, values = Points(store.reading).raw("r1", [name], None, None)[name]
    return dict(zip(steps.tolist(), values.tolist(), strict=True))


def count(store: Store, what: str) -> int:
    return store.read(lambda session: int(session.connection().execute(text(f"SELECT count(*) {what}")).scalar_one()))


def kinds(store: Store, stream: StreamHead) -> list[str]:
    return [entry.kind for entry in store.read(lambda session: journal.read(session, stream.id, 0, 1_000))]


def judged(store: Store, stream: StreamHead, seq: int) -> None:
    store.write(lambda session: journal.set_judged(session, stream.id, seq))


def test_frames_go_and_everything_else_stays(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(5), [0.5] * 5), rollback(3, 5, 3), frame(4, [3], [1.0]))
    before = drawn(store)
    assert store.fold(stream) == 1
    assert kinds(store, stream) == ["schema", "rollback"]
    assert drawn(store) == before == {0: 0.5, 1: 0.5, 2: 0.5, 3: 1.0}
    assert count(store, "FROM part") == 2, "a rollback ends a part"
    assert store.fold(stream) == 0, "nothing is left"


def test_an_auditor_reads_the_same_without_our_code(store: Store, tmp_path: Path) -> None:
    stream, random = store.stream(), np.random.default_rng(0)
    narrow, wide = random.normal(size=3_000).astype(np.float32).astype(np.float64), random.normal(size=3_000)
    narrow[7], wide[8] = np.nan, -0.0
    even, uneven = np.arange(3_000), np.cumsum(random.integers(1, 70_000, 3_000))
    store.append(stream, schema(1, "a", "b", "c"), pack_frame(2, even, [0, 1], np.stack([narrow, wide])))
    store.append(stream, pack_frame(3, uneven, [2], wide[np.newaxis]))
    before = stored_points(tmp_path, "r1")
    store.fold(stream)
    assert repr(stored_points(tmp_path, "r1")) == repr(before), "NaN and -0.0 too"
    assert sum(map(len, before.values())) == 9_000


def test_only_what_was_judged_is_folded_and_of_other_ranks_everything(store: Store) -> None:
    first, second = store.stream(rank=0), store.stream(rank=1)
    for stream in (first, second):
        store.append(stream, schema(1, "a"), frame(2, [0], [1.0]), frame(3, [1], [2.0]))
    judged(store, first, 2)
    plans = [store.read(lambda session, i=stream.id: folding.plan(session, i)) for stream in (first, second)]
    assert [plan and plan.new_seq for plan in plans] == [2, 3]


def test_stopped_after_any_pass_it_goes_on_where_it_was(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(2, 5_000))
    with opened_store(tmp_path) as store:
        stream = store.stream()
        store.append(stream, schema(1, "a", "b"))
        for seq, start in enumerate(range(0, 5_000, 250), 2):
            steps = np.arange(start, start + 250)
            store.append(stream, pack_frame(seq, steps, [0, 1], values[:, start : start + 250]))
        judged(store, stream, 21)
    passes = 0
    while True:
        with opened_store(tmp_path) as store:
            assert list(drawn(store).values()) == values[0].tolist()
            assert Points(store.reading).query("r1", ["b"], None, None, 10).series["b"].count.sum() == 5_000
            plan = store.read(lambda session: folding.plan(session, stream.id, page_bytes=4_000))
            if plan is None:
                break
            folding.fold(plan)  # the process ends before it is stored: nothing of it is there
            folded = folding.fold(plan)
            assert store.write(lambda session: folding.store(session, folded))  # noqa: B023
            passes += 1
    assert passes == 20, "a pass a frame"


def test_two_folders_double_nothing(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), *[frame(2 + step, [step], [float(step)]) for step in range(100)])
    judged(store, stream, 101)
    early = store.read(lambda session: folding.plan(session, stream.id, up_to_seq=50))
    late = store.read(lambda session: folding.plan(session, stream.id))
    assert early is not None
    assert late is not None
    assert store.write(lambda session: folding.store(session, folding.fold(early)))
    assert not store.write(lambda session: folding.store(session, folding.fold(early)))
    assert not store.write(lambda session: folding.store(session, folding.fold(late)))
    assert drawn(store) == {step: float(step) for step in range(100)}
    assert store.fold(stream) == 1
    assert drawn(store) == {step: float(step) for step in range(100)}
    assert (count(store, "FROM part"), count(store, "FROM chunk")) == (1, 1)


def planned(store: Store) -> tuple[StreamHead, Plan]:
    """A stream of ten points, and the pass over it that is due."""
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(10), [1.0] * 10))
    judged(store, stream, 2)
    plan = store.read(lambda session: folding.plan(session, stream.id))
    assert plan is not None
    return stream, plan


def test_what_fails_within_the_transaction_leaves_everything_as_it_was(store: Store) -> None:
    stream, plan = planned(store)

    def interrupted(session: Session) -> None:
        folding.store(session, folding.fold(plan))
        raise OSError("the process was killed")

    with pytest.raises(OSError, match="killed"):
        store.write(interrupted)
    assert kinds(store, stream) == ["schema", "frame"]
    assert (count(store, "FROM part"), count(store, "FROM chunk")) == (0, 0)


def test_a_run_that_was_deleted_meanwhile_is_left_alone(store: Store) -> None:
    stream, plan = planned(store)
    for table in ("journal", "stream", "run"):
        store.write(lambda session, table=table: session.connection().execute(text(f"DELETE FROM {table}")))
    assert not store.write(lambda session: folding.store(session, folding.fold(plan)))
    assert store.read(lambda session: folding.plan(session, stream.id)) is None


@pytest.mark.parametrize("points", [1, 31, 32, 1_023, 1_024, 1_025, 32_768, 33_000])
def test_chunks_and_summaries_are_as_long_as_they_say(store: Store, points: int) -> None:
    stream, values = store.stream(), np.random.default_rng(points).normal(size=points)
    store.append(stream, schema(1, "a"))
    cuts = [*range(0, points, 900), points]
    for seq, (start, end) in enumerate(pairwise(cuts), 2):
        store.append(stream, pack_frame(seq, np.arange(start, end), [0], values[np.newaxis, start:end]))
    store.fold(stream, page_bytes=20_000)
    assert count(store, "FROM chunk") == -(-points // 1_024)
    assert count(store, "FROM summary WHERE level = 1") == -(-(points // 1_024) // 16)
    assert count(store, "FROM summary WHERE level = 3") == points // 32_768
    assert list(drawn(store).values()) == values.tolist()
    for width in (1, 7, 100):
        buckets = Points(store.reading).query("r1", ["a"], None, None, width).series["a"]
        assert (buckets.count.sum(), buckets.min.min(), buckets.max.max()) == (points, values.min(), values.max())


def test_a_series_of_which_every_step_comes_twice_is_two_parts(store: Store) -> None:
    stream = store.stream()
    twice = [frame(2 + number, [number // 2], [float(number)]) for number in range(200)]
    store.append(stream, schema(1, "a"), *twice)
    store.fold(stream, page_bytes=500)
    assert count(store, "FROM part") == 2
    assert drawn(store) == {step: 2.0 * step + 1 for step in range(100)}, "the later of the two"


def test_a_late_point_does_not_come_behind_a_newer_part_that_has_its_step(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(3), [0.0] * 3), frame(3, range(1, 6), [1.0] * 5))
    store.append(stream, frame(4, [4], [2.0]))
    shown = {0: 0.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 2.0, 5: 1.0}
    assert drawn(store) == shown
    store.fold(stream)
    assert drawn(store) == shown


def test_a_step_counter_that_begins_anew_without_a_word_hides_what_it_overwrites(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(3_000), np.zeros(3_000)), frame(3, range(100), np.ones(100)))
    for _ in range(2):
        buckets = Points(store.reading).query("r1", ["a"], None, None, 10).series["a"]
        assert (buckets.count.sum(), drawn(store)[99], drawn(store)[100]) == (3_000, 1.0, 0.0)
        store.fold(stream)


def test_a_frame_that_is_missing_stops_the_fold(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]), frame(3, [1], [1.0]))
    judged(store, stream, 3)
    store.write(lambda session: session.connection().execute(text("DELETE FROM journal WHERE seq = 2")))
    with pytest.raises(JournalDamaged, match="Message 2"):
        store.read(lambda session: folding.plan(session, stream.id))


@pytest.mark.parametrize("damage", ["UPDATE chunk SET data = x'00'", "DELETE FROM chunk"])
def test_a_damaged_chunk_is_said_not_served(store: Store, damage: str) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    store.fold(stream)
    store.write(lambda session: session.connection().execute(text(damage)))
    with pytest.raises(ChunkDamaged, match="of part 1"):
        drawn(store)
