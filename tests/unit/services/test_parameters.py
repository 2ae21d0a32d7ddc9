"""Which rules judge a run: file, project and run in this order; what no longer fits stops nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tried_rules
from lossguard_server.errors import BadRules, ParameterOutOfBounds
from lossguard_server.services.parameters import FileRules, Parameters, Place
from lossguard_server.store import audit, settings
from store_world import Store, opened_store

RULES = (tried_rules.rule("above"), tried_rules.rule("beyond"))
FILE = FileRules(
    {"above": {"parameters": {"limit": 10.0, "need": 2.0}}, "beyond": {"enabled": False}},
    {"p": {"above": {"parameters": {"limit": 20.0}}}},
)
SENSELESS = "The rules cannot be configured so."
RUN, PROJECT = Place("p", "r1"), Place("p")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def made(store: Store, file: FileRules = FILE) -> Parameters:
    return Parameters(RULES, file, store.writer, store.reading, store.clock.of_services)


def limits(parameters: Parameters, project: str = "p", run: str = "r1") -> dict[str, float]:
    return {rule.name: rule.parameters.limit for rule in parameters.rules_for(project, run)}


def change(parameters: Parameters, place: Place, said: Any) -> list[str]:
    return asyncio.run(parameters.change(place, said, "t1"))


def test_what_is_nearer_to_the_run_counts(store: Store) -> None:
    parameters = made(store)
    assert limits(parameters, "other") == {"above": 10.0}
    assert limits(parameters) == {"above": 20.0}
    change(parameters, PROJECT, {"above": {"parameters": {"limit": 30}}})
    assert limits(parameters) == {"above": 30.0}
    change(parameters, RUN, {"above": {"parameters": {"limit": 40}}, "beyond": {"enabled": True}})
    assert limits(parameters) == {"above": 40.0, "beyond": 100.0}
    assert limits(parameters, run="r2") == {"above": 30.0}
    assert limits(parameters, "other", "r3") == {"above": 10.0}
    assert parameters.rules_for("p", "r1")[0].parameters.need == 2.0, "what nobody said again stays"


def test_setting_nothing_takes_back_what_was_set(store: Store) -> None:
    parameters = made(store)
    change(parameters, RUN, {"above": {"enabled": False}})
    assert limits(parameters) == {}
    change(parameters, RUN, {})
    assert limits(parameters) == {"above": 20.0}
    assert store.read(lambda session: settings.of_key(session, "rules")) == {}


def test_a_view_says_who_said_what(store: Store) -> None:
    parameters = made(store)
    change(parameters, RUN, {"above": {"parameters": {"limit": 40}}})
    view = parameters.view(RUN)
    assert (view["scope"], view["own"], view["ignored"]) == ("run:r1", {"above": {"parameters": {"limit": 40.0}}}, [])
    above, beyond = view["rules"]
    said = {entry["name"]: (entry["value"], entry["default"], entry["set_by"]) for entry in above["parameters"]}
    assert said == {"limit": (40.0, 100.0, "run"), "need": (2.0, 1.0, "file")}
    assert (above["enabled"], above["enabled_by"]) == (True, "default")
    assert (beyond["enabled"], beyond["enabled_by"]) == (False, "file")
    assert parameters.view(PROJECT)["own"] == {}
    assert parameters.view(PROJECT)["rules"][0]["parameters"][0]["set_by"] == "file project"


def test_who_is_judged_anew_is_told_and_the_change_is_audited(store: Store) -> None:
    store.stream("r1"), store.stream("r2")
    parameters = made(store)
    assert sorted(change(parameters, PROJECT, {"above": {"enabled": False}})) == ["r1", "r2"]
    assert change(parameters, Place("other"), {"above": {"enabled": False}}) == []
    assert change(parameters, RUN, {"above": {"parameters": {"limit": 40}}}) == ["r1"]
    entry, of_project = store.read(lambda session: audit.newest_first(session, "r1"))
    assert (entry["what"], entry["actor"]) == ("rules changed", "t1")
    assert entry["detail"] == {"scope": "run:r1", "before": {}, "after": {"above": {"parameters": {"limit": 40.0}}}}
    assert of_project["detail"] == {"scope": "project:p", "before": {}, "after": {"above": {"enabled": False}}}
    assert store.read(lambda session: audit.newest_first(session, "r2")) == [of_project], "its project's, no other's"


def test_how_many_runs_it_concerns_is_told_and_a_rule_of_which_nothing_is_said_is_not_kept(store: Store) -> None:
    store.stream("r1"), store.stream("r2")
    parameters = made(store)
    assert [parameters.concerned(place) for place in (PROJECT, Place("other"), RUN)] == [2, 0, 1]
    change(parameters, PROJECT, {"above": {}, "beyond": {"parameters": {}}})
    assert store.read(lambda session: settings.of_key(session, "rules")) == {}


def test_a_refused_change_changes_nothing(store: Store) -> None:
    parameters = made(store)
    with pytest.raises(ParameterOutOfBounds):
        change(parameters, RUN, {"above": {"enabled": False, "parameters": {"limit": -1}}})
    change(parameters, PROJECT, {"above": {"parameters": {"need": 5}}})
    with pytest.raises(BadRules, match="need"):  # alone it would fit
        change(parameters, RUN, {"above": {"parameters": {"limit": 3}}})
    assert limits(parameters) == {"above": 20.0}


def test_what_was_stored_and_no_longer_fits_is_told_and_does_not_count(store: Store) -> None:
    old = {"above": {"parameters": {"limit": 40, "was": 3}}, "was_a_rule": {"enabled": False}}
    store.write(lambda session: settings.put(session, RUN.scope, "rules", old))
    parameters = made(store)
    assert limits(parameters) == {"above": 40.0}
    assert len(parameters.view(RUN)["ignored"]) == 2
    # alone it fits; with what is nearer to the run it makes no sense, and must not stop the run from being judged
    store.write(lambda session: settings.put(session, PROJECT.scope, "rules", {"above": {"parameters": {"need": 5}}}))
    store.write(lambda session: settings.put(session, RUN.scope, "rules", {"above": {"parameters": {"limit": 3}}}))
    parameters = made(store)
    assert limits(parameters) == {"above": 20.0}
    view = parameters.view(RUN)
    assert view["ignored"] == [f"{SENSELESS} above: need (5) is above limit (3)."], "what does not count is told"
    said = {entry["name"]: (entry["value"], entry["set_by"]) for entry in view["rules"][0]["parameters"]}
    assert said == {"limit": (20.0, "file project"), "need": (5.0, "project")}, "shown is what counts"
    assert parameters.tried(RUN, {})[0].parameters == parameters.rules_for("p", "r1")[0].parameters
    assert parameters.with_changes(RUN, {})[0].parameters.limit == 20.0
    # what is stale further away keeps nobody from setting something nearer
    store.write(lambda session: settings.put(session, PROJECT.scope, "rules", old))
    change(made(store), RUN, {"above": {"parameters": {"limit": 50}}})
    assert limits(made(store)) == {"above": 50.0}


def test_what_fits_with_what_counts_further_away_can_be_set(store: Store) -> None:
    parameters = made(store, FileRules({"above": {"parameters": {"limit": 2.0}}}))
    with pytest.raises(BadRules, match=r"need \(5\) is above limit \(2\)"):
        change(parameters, RUN, {"above": {"parameters": {"need": 5}}})
    change(parameters, PROJECT, {"above": {"parameters": {"limit": 9}}})
    change(parameters, RUN, {"above": {"parameters": {"need": 5}}})
    # the project's goes, and with it what the run's stood upon: it is judged anyway, and shown is what counts
    change(parameters, PROJECT, {})
    assert parameters.rules_for("p", "r1")[0].parameters.need == 1.0
    assert parameters.view(RUN)["ignored"] == [f"{SENSELESS} above: need (5) is above limit (2)."]
    assert parameters.tried(RUN, {"above": {"enabled": True}})
    change(parameters, RUN, {"above": {"parameters": {"need": 2}}})


def test_what_was_set_counts_after_a_restart_too(store: Store) -> None:
    change(made(store), RUN, {"above": {"parameters": {"limit": 40}}})
    assert limits(made(store)) == {"above": 40.0}


def test_what_was_set_for_a_deleted_run_does_not_count_for_another_of_its_name(store: Store) -> None:
    parameters = made(store)
    change(parameters, RUN, {"above": {"parameters": {"limit": 40}}})
    parameters.forget("r2")
    assert limits(parameters) == {"above": 40.0}
    parameters.forget("r1")
    assert limits(parameters) == {"above": 20.0}


def test_what_is_tried_starts_from_the_defaults_or_from_a_run(store: Store) -> None:
    parameters = made(store)
    change(parameters, RUN, {"above": {"parameters": {"limit": 40}}})
    said = {"above": {"parameters": {"need": 3}}}
    assert parameters.tried(None, said)[0].parameters == tried_rules.Parameters(100.0, 3)
    assert parameters.tried(RUN, said)[0].parameters == tried_rules.Parameters(40.0, 3)
    # a preview is what setting it would make of the run: what is set now would be gone
    assert parameters.with_changes(RUN, said)[0].parameters == tried_rules.Parameters(20.0, 3)
    assert len(parameters.tried(None, {})) == 2
