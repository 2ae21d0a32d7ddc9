"""Incidents come back as they were stored, newest first."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossguard_server.store import incidents
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        opened.stream("r1")
        opened.stream("r2")
        yield opened


def test_an_incident_is_replaced_by_its_id(store: Store) -> None:
    incident = {"id": "i1", "run": "r1", "state": "open", "opened_s": 5.0}
    incident |= {"first_bad": [{"series": "loss/ce", "deviation": math.inf}]}
    for each in (incident, {**incident, "id": "i2"}, {**incident, "id": "i3", "run": "r2"}):
        store.write(lambda session, each=each: incidents.upsert(session, each))
    store.write(lambda session: incidents.upsert(session, {**incident, "state": "closed", "opened_s": 9.0}))
    found = store.read(lambda session: incidents.newest_first(session, "r1"))
    assert [(each["id"], each["state"]) for each in found] == [("i2", "open"), ("i1", "closed")]
    assert found[1]["opened_s"] == 5.0, "the time of its opening"
    assert [each["id"] for each in store.read(lambda session: incidents.newest_first(session, "r1", 1))] == ["i2"]
    assert [each["id"] for each in store.read(lambda session: incidents.open_of(session, "r1"))] == ["i2"]
    assert store.read(lambda session: incidents.get(session, "i1"))["first_bad"][0]["deviation"] == "Infinity"
    assert store.read(lambda session: incidents.get(session, "none")) is None
