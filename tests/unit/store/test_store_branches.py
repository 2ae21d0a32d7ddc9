"""After a rollback the older branch is not shown, whichever way the points are read; it stays stored."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossguard.protocol.messages import Event
from lossguard_server.store import branches, journal
from lossguard_server.store.branches import NO_LIMIT, shown_tails, target_of
from lossguard_server.store.journal import Segment, StreamHead
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, rollback, schema


@pytest.fixture(params=["unfolded", "folded"])
def store(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """In one of two worlds everything is folded as soon as it is there."""
    if request.param == "folded":
        append = Store.append
        monkeypatch.setattr(
            Store, "append", lambda store, stream, *messages: (append(store, stream, *messages), store.fold(stream))
        )
    with opened_store(tmp_path) as opened:
        yield opened


def drawn(points: Points, name: str = "a") -> dict[int, float]:
    buckets = points.query("r1", [name], None, None, None).series[name].to_dict()
    return dict(zip(buckets["step"], buckets["first"], strict=True))


def tail(store: Store, *seqs: int, frames: int = 1_000, steps: int = NO_LIMIT) -> list[dict[int, float]]:
    """The last value at each step that the streams show, as of their messages `seqs`; the newest attempt first."""
    heads = store.read(lambda session: journal.streams(session, "r1"))
    known: list[tuple[StreamHead, int]] = list(zip(heads, seqs or [head.last_seq for head in heads], strict=True))
    tails = store.read(lambda session: list(shown_tails(session, known, frames, steps)))
    return [
        {
            step: value
            for rows in each
            for step, value in zip(rows.steps.tolist(), rows.columns[0].tolist(), strict=True)
        }
        for each in tails
    ]


def test_what_came_before_it_at_and_after_its_step_is_not_shown(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(5), [0.0] * 5), rollback(3, 5, 3), frame(4, [3], [1.0]))
    shown = {0: 0.0, 1: 0.0, 2: 0.0, 3: 1.0}
    assert drawn(Points(store.reading)) == shown
    assert tail(store) == [shown]
    assert Points(store.reading).query("r1", ["a"], None, None, None).last_step == 3
    [extent] = Points(store.reading).extents("r1")
    assert (extent.first_step, extent.last_step, extent.count) == (0, 3, 4)
    kept = store.read(lambda session: journal.read(session, stream.id, 0, 100))
    assert [found.kind for found in kept if found.kind != "frame"] == ["schema", "rollback"], "they are kept for ever"


def test_to_step_0_nothing_is_left_until_step_0_comes_again(store: Store) -> None:
    stream, points = store.stream(), Points(store.reading)
    store.append(stream, schema(1, "a", "b"), frame(2, range(5), [0.0] * 5, [0.0] * 5), rollback(3, 5, 0))
    assert (drawn(points), points.extents("r1"), points.query("r1", [], None, None, None).last_step) == ({}, [], -1)
    assert tail(store) == [{}]
    store.append(stream, frame(4, [0], [math.nan]))
    assert [extent.name for extent in points.extents("r1")] == ["a"], "b has not come again"
    assert list(drawn(points)) == [0]


def test_what_goes_on_behind_the_gap_that_a_rollback_left_is_shown(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(4), [0.0] * 4), rollback(3, 4, 2), frame(4, [5, 6], [1.0] * 2))
    shown = {0: 0.0, 1: 0.0, 5: 1.0, 6: 1.0}
    assert drawn(Points(store.reading)) == shown
    assert tail(store) == [shown]
    store.append(stream, rollback(5, 7, 6))
    store.append(stream, frame(6, [9], [2.0]))
    del shown[6]
    assert drawn(Points(store.reading)) == shown | {9: 2.0}


def test_a_later_rollback_does_not_bring_back_what_an_earlier_one_cut_off(store: Store) -> None:
    messages = [
        schema(1, "a"),
        frame(2, range(10), [0.0] * 10),
        rollback(3, 10, 4),
        frame(4, range(4, 8), [1.0] * 4),
        rollback(5, 8, 6),
        rollback(6, 6, 6),
        frame(7, [6], [2.0]),
    ]
    store.append(store.stream(), *messages)
    shown = {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 1.0, 5: 1.0, 6: 2.0}
    assert drawn(Points(store.reading)) == shown
    assert tail(store) == [shown]
    assert tail(store, 5) == [{step: shown[step] for step in range(6)}]
    assert tail(store, 4) == [{**dict.fromkeys(range(4), 0.0), **dict.fromkeys(range(4, 8), 1.0)}]
    assert tail(store, 2) == [dict.fromkeys(range(10), 0.0)]


def test_looks_between_give_what_one_look_gives_and_handed_out_values_stand(store: Store) -> None:
    stream, points = store.stream(), Points(store.reading)
    store.append(stream, schema(1, "a"), frame(2, range(10), [0.0] * 10))
    steps, values = points.raw("r1", ["a"], None, None)["a"]
    store.append(stream, rollback(3, 10, 2), frame(4, range(2, 9), [1.0] * 7))
    assert drawn(points) == drawn(Points(store.reading)) == {0: 0.0, 1: 0.0, **dict.fromkeys(range(2, 9), 1.0)}
    assert (steps.tolist(), values.tolist()) == (list(range(10)), [0.0] * 10)


def test_a_newer_attempt_cuts_the_older_ones_also_what_they_bring_late(store: Store) -> None:
    older, newer, points = store.stream(attempt=0), store.stream(attempt=1), Points(store.reading)
    store.append(older, schema(1, "a"), frame(2, range(10), [0.0] * 10))
    store.append(newer, schema(1, "a"), frame(2, [6, 7], [1.0] * 2), rollback(3, 8, 4), frame(4, [4], [2.0]))
    shown = {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 2.0}
    assert drawn(points) == shown
    assert tail(store) == [{4: 2.0}, dict.fromkeys(range(4), 0.0)]
    store.append(older, frame(3, [3, 4, 11], [0.5] * 3), rollback(4, 12, 2))
    assert drawn(points) == drawn(Points(store.reading)) == {0: 0.0, 1: 0.0, 4: 2.0}
    assert tail(store) == [{4: 2.0}, {0: 0.0, 1: 0.0}]
    assert tail(store, 3, 2) == [{6: 1.0, 7: 1.0}, {**dict.fromkeys(range(10), 0.0), 3: 0.5, 4: 0.5, 11: 0.5}]


def test_a_rollback_of_another_rank_cuts_nothing(store: Store) -> None:
    store.append(store.stream(rank=0), schema(1, "a"), frame(2, [0, 1], [1.0, 1.0]))
    store.append(store.stream(rank=1), schema(1, "a"), frame(2, [0, 1], [2.0, 2.0]), rollback(3, 2, 0))
    assert drawn(Points(store.reading)) == {0: 1.0, 1: 1.0}


def test_the_tail_reaches_over_a_rollback_as_far_as_it_is_asked(store: Store) -> None:
    singles = [frame(2 + step, [step], [float(step)]) for step in range(50)]
    again = [frame(53, [20], [0.5]), frame(54, [21], [0.5])]
    store.append(store.stream(), schema(1, "a"), *singles, rollback(52, 50, 20), *again)
    assert tail(store, frames=4) == [{18: 18.0, 19: 19.0, 20: 0.5, 21: 0.5}]
    assert tail(store, steps=4) == [{18: 18.0, 19: 19.0, 20: 0.5, 21: 0.5}]
    assert tail(store, frames=2) == [{20: 0.5, 21: 0.5}]


def test_a_stream_is_cut_into_segments_that_show_less_the_older_they_are() -> None:
    assert branches.segments([], 9) == [Segment(0, 9, NO_LIMIT)]
    assert branches.segments([(3, 7), (5, 9)], 9, 8) == [Segment(0, 3, 7), Segment(3, 9, 8)]
    assert branches.segments([(3, 7), (5, 5)], 9) == [Segment(0, 5, 5), Segment(5, 9, NO_LIMIT)]
    storm = [(seq, 7) for seq in range(3, 600)]
    assert branches.segments(storm, 600) == [Segment(0, 599, 7), Segment(599, 600, NO_LIMIT)]


@pytest.mark.parametrize(
    ("data", "step"),
    [
        ({"to": 0}, 0),
        ({"to": 1 << 52, "from": "x"}, 1 << 52),
        ({"to": 1 << 60}, None),
        ({"to": -1}, None),
        ({"to": 3.0}, None),
        ({"to": True}, None),
        ({"to": "3"}, None),
        ({"to": None}, None),
        ({"to": [3]}, None),
        ({}, None),
    ],
)
def test_a_rollback_that_names_no_step_is_only_an_event(data: dict[str, Any], step: int | None) -> None:
    assert target_of(Event(seq=1, kind="rollback", step=5, data=data)) == step
    assert target_of(Event(seq=1, kind="trip", step=5, data=data)) is None
