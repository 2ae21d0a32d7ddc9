"""Whether what is shown up to a step is still the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import text

from lossguard_server.store import journal, runs
from lossguard_server.store.points import Points
from store_world import Store, entry, frame, opened_store, rollback, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        older = opened.stream(attempt=0)
        opened.append(older, schema(1, "a"), frame(2, range(60), [0.0] * 60), rollback(3, 60, 20))
        begun(30, attempt=1)(opened)
        opened.append(opened.stream(attempt=1), frame(3, range(31, 100), [1.0] * 69))
        yield opened


def rolled_back(to_step: int) -> Callable[[Store], None]:
    return lambda store: store.append(store.stream(attempt=1), rollback(4, 100, to_step))


def begun(step: int, attempt: int = 2) -> Callable[[Store], None]:
    def begin(store: Store) -> None:
        stream = store.stream(attempt=attempt)
        entries = [entry(message) for message in (schema(1, "a"), frame(2, [step], [2.0]))]
        store.write(lambda session: journal.append(session, stream.id, entries, begins_step=step))

    return begin


def deleted(store: Store) -> None:
    store.write(lambda session: runs.begin_delete(session, "r1"))


def made_anew(store: Store) -> None:
    store.write(lambda session: session.connection().execute(text("UPDATE run SET created_s = 2.0")))


def grown(store: Store) -> None:
    store.append(store.stream(attempt=0), frame(4, [25], [9.0]))
    store.append(store.stream(attempt=1), frame(4, range(100, 200), [1.0] * 100))
    store.fold(store.stream(attempt=1))


@pytest.mark.parametrize(
    ("change", "is_same"),
    [(grown, True), (rolled_back(100), True), (rolled_back(99), False), (rolled_back(10), False), (begun(100), True),
     (begun(99), False), (deleted, False), (made_anew, False)],
)  # fmt: skip
def test_only_what_cuts_steps_that_are_asked_makes_another_branch(
    store: Store, change: Callable[[Store], None], is_same: bool
) -> None:
    points = Points(store.reading)
    before = points.branch("r1")
    change(store)
    assert points.branch("r1").is_same_up_to(99, before) is is_same
    assert before.is_same_up_to(99, replace(before))
