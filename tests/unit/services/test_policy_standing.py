"""Which policies are in force: file, project and run in this order, the nearest says all of a rule's."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.errors import BudgetOutOfBounds
from lossguard_server.services.parameters import Place
from lossguard_server.services.policies.standing import FilePolicies, Standing
from lossguard_server.services.policies.wishes import Policy
from lossguard_server.store import audit, settings
from store_world import Store, opened_store

RULES = ("above", "beyond")
FILE = FilePolicies({"above": Policy("pause", 5), "beyond": Policy("rollback", 1)}, {"p": {"above": Policy("pause")}})
PROJECT, RUN = Place("p"), Place("p", "r1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def made(store: Store) -> Standing:
    return Standing(RULES, FILE, store.writer, store.reading, store.clock.of_services)


def change(standing: Standing, place: Place, said: Any) -> None:
    asyncio.run(standing.change(place, said, "t1"))


def told(standing: Standing, place: Place) -> dict[str, tuple[str, int, str]]:
    return {
        rule: (said["do"], said["budget"], said["set_by"]) for rule, said in standing.view(place)["policies"].items()
    }


def test_what_is_nearest_to_the_run_counts_as_a_whole(store: Store) -> None:
    standing = made(store)
    beyond = ("rollback", 1, "file")
    assert told(standing, Place("other")) == {"above": ("pause", 5, "file"), "beyond": beyond}
    assert told(standing, PROJECT) == {"above": ("pause", 1, "file project"), "beyond": beyond}
    change(standing, PROJECT, {"above": {"do": "checkpoint", "budget": 7, "pause_s": 1}})
    change(standing, RUN, {"above": {"do": "pause", "budget": 2}, "beyond": {"do": "off"}})
    assert told(standing, RUN) == {"above": ("pause", 2, "run")}
    assert standing.in_force(RUN)["above"].policy.pause_s == 600.0, "what the project said of it is gone whole"
    assert told(standing, Place("p", "r2")) == {"above": ("checkpoint", 7, "project"), "beyond": beyond}
    assert standing.view(RUN)["own"]["beyond"] == {"do": "off"}


def test_what_is_set_outlives_a_restart_and_nothing_takes_it_back(store: Store) -> None:
    change(made(store), RUN, {"above": {"do": "pause", "budget": 2}})
    assert told(made(store), RUN)["above"] == ("pause", 2, "run")
    change(made(store), RUN, {})
    assert told(made(store), RUN)["above"] == ("pause", 1, "file project")
    assert store.read(lambda session: settings.of_key(session, "policies")) == {}


def test_each_change_is_audited_and_a_project_s_is_told_of_its_runs(store: Store) -> None:
    store.stream("r1")
    standing = made(store)
    change(standing, PROJECT, {"above": {"do": "pause", "budget": 2}})
    change(standing, RUN, {"above": {"do": "off"}})
    own, of_project = store.read(lambda session: audit.newest_first(session, "r1"))
    assert (own["what"], own["actor"]) == ("policies changed", "t1")
    assert own["detail"] == {"scope": "run:r1", "before": {}, "after": {"above": {"do": "off"}}}
    assert of_project["detail"]["scope"] == "project:p"


def test_a_refused_change_changes_nothing(store: Store) -> None:
    standing = made(store)
    with pytest.raises(BudgetOutOfBounds):
        change(standing, RUN, {"above": {"do": "pause", "budget": 101}})
    assert standing.view(RUN)["own"] == {}


def test_what_was_stored_and_no_longer_fits_is_told_and_does_not_count(store: Store) -> None:
    old = {"gone": {"do": "pause", "budget": 1}, "above": {"do": "explode", "budget": 1}}
    store.write(lambda session: settings.put(session, RUN.scope, "policies", old))
    view = made(store).view(RUN)
    assert (len(view["ignored"]), view["own"]) == (2, {})
    assert view["policies"]["above"]["set_by"] == "file project"
