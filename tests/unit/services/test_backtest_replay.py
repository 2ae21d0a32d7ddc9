"""What an engine is shown again: the rows that are shown now, in order, with what was declared and what tripped."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, Event
from lossguard_server.errors import BacktestTooLarge
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.backtesting import replay
from lossguard_server.services.backtesting.replay import Replay, find
from lossguard_server.store.points import Points
from lossguard_server.store.rows import Rows
from lossguard_server.store.tables import StreamRow
from store_world import Store, frame, opened_store, rollback, schema


class Recorder:
    """An engine that notes what it is shown."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.rows: dict[int, dict[str, float]] = {}
        self.largest = 0

    def declare(self, run_id: str, declaration: Declaration) -> None:
        self.calls.append(("declare", declaration.components))

    def observe(self, run_id: str, parts: Sequence[Rows]) -> list[AlertChange]:
        self.largest = max(self.largest, sum(len(rows.steps) for rows in parts))
        for rows in parts:
            for at, step in enumerate(rows.steps.tolist()):
                assert step not in self.rows, "each step once"
                self.rows[step] = dict(zip(rows.names, rows.columns[:, at].tolist(), strict=True))
                self.calls.append(step)
        return []

    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]:
        self.calls.append(("tripped", step, data))
        return []

    def flush(self, run_id: str) -> list[AlertChange]:
        self.calls.append("flush")
        return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def shown(store: Store, first: int | None = None, last: int | None = None, points: int = 1 << 17) -> Recorder:
    engine, source = Recorder(), Points(store.reading)
    stored = find(source, store.reading, "r1", first, last)
    for _ in Replay(source, stored, engine).pages(points):
        pass
    return engine


def trip(seq: int, step: int) -> Event:
    return Event(seq=seq, kind="trip", step=step, data={"of": step})


def test_a_declaration_comes_first_and_a_trip_before_its_row(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), Declaration(seq=2, components=["ce"]), frame(3, [0, 1, 2], [1.0, 2.0, 3.0]))
    store.append(stream, trip(4, 1), frame(5, [3], [4.0]), trip(6, 3))
    tripped = [("tripped", step, {"of": step}) for step in (1, 3)]
    assert shown(store).calls == [("declare", ["ce"]), 0, tripped[0], 1, 2, tripped[1], 3, "flush"]


def test_what_a_rollback_cut_off_is_not_shown(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(6), [0.0] * 6), trip(3, 2), trip(4, 5), rollback(5, 5, 4))
    store.append(stream, frame(6, [4, 5], [40.0, 50.0]))
    engine = shown(store)
    assert [engine.rows[step]["a"] for step in range(6)] == [0.0] * 4 + [40.0, 50.0]
    assert [call for call in engine.calls if not isinstance(call, int)] == [("tripped", 2, {"of": 2}), "flush"]


def test_a_newer_attempt_declares_from_its_own_first_step_on(store: Store) -> None:
    old, new = store.stream(), store.stream(attempt=1)
    store.append(old, schema(1, "a"), Declaration(seq=2, components=["old"]), frame(3, range(5), [0.0] * 5))
    store.append(new, schema(1, "a"), Declaration(seq=2, components=["new"]), frame(3, [3, 4], [1.0, 1.0]))
    store.write(lambda session: begins_at(session, new.id, 3))
    engine = shown(store)
    assert engine.calls == [("declare", ["old"]), 0, 1, 2, ("declare", ["new"]), 3, 4, "flush"]
    assert engine.rows[4] == {"a": 1.0}


def begins_at(session: Any, stream_id: int, step: int) -> None:
    session.get_one(StreamRow, stream_id).begins_step = step


def test_series_of_one_step_come_together_wherever_they_lie(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a", "b"), frame(2, range(4), [0.0] * 4, [1.0] * 4))
    store.fold(stream)
    store.append(stream, frame(3, range(4, 8), [0.0] * 4), frame(4, [5, 7], [0.5, 0.7], [np.nan, np.inf]))
    rows = shown(store).rows
    assert rows[3] == {"a": 0.0, "b": 1.0}
    assert rows[4] == {"a": 0.0}
    assert rows[5]["a"] == 0.5
    assert np.isnan(rows[5]["b"])
    assert rows[7]["b"] == np.inf


@pytest.mark.parametrize("points", [1, 7, 64, 1 << 17])
def test_pages_of_any_size_show_the_same(store: Store, points: int) -> None:
    stream = store.stream()
    steps = list(range(0, 300, 3))
    store.append(stream, schema(1, "a", "b"), frame(2, steps, np.arange(100.0), np.arange(100.0)), trip(3, 150))
    engine = shown(store, 30, 270, points)
    assert [step for step in engine.calls if isinstance(step, int)] == list(range(30, 271, 3))
    assert engine.calls[engine.calls.index(150) - 1] == ("tripped", 150, {"of": 150})


def test_an_engine_gets_no_more_cells_at_once_than_it_can_hold(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a", "b"), frame(2, range(1_000), np.arange(1_000.0), np.arange(1_000.0)))
    monkeypatch.setattr(replay, "CELLS", 40)
    engine = shown(store)
    assert (engine.largest, len(engine.rows)) == (20, 1_000)


def test_a_run_that_is_too_wide_is_refused_before_it_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST_SERIES", 1)
    store.append(store.stream(), schema(1, "a", "b"), frame(2, [0], [1.0], [1.0]))
    with pytest.raises(BacktestTooLarge, match="has 2 series"):
        shown(store)


def test_of_too_many_trips_the_first_are_shown_and_the_rest_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MOST_TRIPS", 2)
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(9), [0.0] * 9), *[trip(seq, seq) for seq in range(3, 8)])
    stored = find(Points(store.reading), store.reading, "r1", None, None)
    assert [trip.step for trip in stored.told.trips] == [3, 4]
    assert stored.told.trips_left_out


def test_a_run_without_points_is_shown_as_nothing(store: Store) -> None:
    store.stream()
    assert shown(store).calls == ["flush"]
