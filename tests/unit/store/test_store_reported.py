"""What a report reads of a run's tables: bounded in the database, and counted there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from lossguard_server.store import audit, commands, events, reported, settings
from lossguard_server.store.commands import StoredCommand
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.reported import Reported
from lossguard_server.store.tables import AuditRow, CommandRow
from store_world import Store, opened_store

MOST = 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        opened.stream("r1")
        yield opened


def read(store: Store) -> Reported:
    return store.read(lambda session: reported.read(session, "r1", MOST))


def nonfinite(store: Store, step: int, *series: str) -> None:
    told = StoredEvent(step, "nonfinite", 1.0, {"series": list(series)})
    store.write(lambda session: events.add(session, "r1", told))


def test_no_more_rows_are_loaded_than_are_told(store: Store) -> None:
    for n in range(1, 6):
        given = StoredCommand(
            f"c{n}", "r1", n, "pause", {}, f"k{n}", "admin", None, None, "queued", 1.0, None, None, None, None, []
        )
        store.write(lambda session, given=given: commands.add(session, given))
        store.write(lambda session, n=n: audit.add(session, float(n), "admin", "x", {}, "r1"))
    loaded: list[str] = []

    def count(row: object, _: object) -> None:
        loaded.append(type(row).__name__)

    for table in (CommandRow, AuditRow):
        event.listen(table, "load", count)
    found = read(store)
    for table in (CommandRow, AuditRow):
        event.remove(table, "load", count)
    assert sorted(loaded) == ["AuditRow"] * MOST + ["CommandRow"] * MOST
    assert [each.id for each in found.commands] == ["c1", "c2"], "the oldest"
    assert [each["at_s"] for each in found.audit] == [1.0, 2.0]
    assert (found.of["commands"], found.of["audit"]) == (5, 5)


def test_of_the_server_only_what_was_set_for_the_runs_own_project_is_told(store: Store) -> None:
    for at, project in enumerate(("P", "p", 'p", "x', "p2")):
        detail = {"scope": settings.of_project(project), "before": {}, "after": {"said": '"scope":"project:p"'}}
        store.write(lambda session, at=at, d=detail: audit.add(session, float(at), "a", audit.RULES_CHANGED, d, None))
    store.write(lambda session: audit.add(session, 9.0, "a", "token created", {"scope": "project:p"}, None))
    found = read(store)
    assert ([each["at_s"] for each in found.audit], found.of["audit"]) == ([1.0], 1)
    assert store.read(lambda session: audit.newest_first(session, "r1")) == found.audit


def test_gradients_that_were_not_finite_do_not_hide_a_loss(store: Store) -> None:
    nonfinite(store, 3, "grad_norm/total")
    first = read(store).first_nonfinite
    assert first is not None
    assert first.step == 3, "without another it is the first"
    nonfinite(store, 9, "grad_norm/total", "loss/ce")
    nonfinite(store, 12, "loss/ce")
    first = read(store).first_nonfinite
    assert first is not None
    assert first.step == 9
