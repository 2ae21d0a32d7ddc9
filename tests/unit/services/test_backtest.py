"""A backtest finds with the real engine what a run's rules found, tells how far it is, and ends in time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tried_rules
from lossguard_server.errors import ChunkDamaged, RunChanged, TooManyBacktests, UnknownRun
from lossguard_server.rules.tuning import tuned
from lossguard_server.services.backtesting import findings, replay
from lossguard_server.services.backtesting.backtest import Backtests, Trial
from lossguard_server.services.clock import Clock
from lossguard_server.services.engine import Engine
from lossguard_server.store import alerts, journal, runs, verdicts
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, rollback, schema

RULES = (tried_rules.rule("above"), tried_rules.rule("beyond", limit=1e6))
TRIAL = Trial("r1", "p", "n", RULES)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def a_run(store: Store, steps: int = 3_000, high_at: tuple[int, ...] = (500, 2_500), run: str = "r1") -> None:
    """A series of ones which is 200 at a few steps."""
    values = np.ones(steps)
    values[list(high_at)] = 200.0
    stream = store.stream(run)
    store.append(stream, schema(1, "a"), frame(2, range(steps), values))
    store.write(lambda session: journal.set_judged(session, stream.id, 2))


def service(store: Store, limit_s: float = 300.0) -> Backtests:
    def engine(rules: Any) -> Engine:
        return Engine(lambda: 0.0, rules)

    return Backtests(Points(store.reading), store.reading, engine, store.clock.of_services, limit_s)


def result(store: Store, *trials: Trial) -> dict[str, Any]:
    *_, last = service(store).run(trials or [TRIAL])
    return dict(last["result"])


def stored_alert(store: Store, step: int, verdict: str | None = None) -> None:
    alert = {"id": f"s{step}", "run": "r1", "rule": "above", "series": "a", "component": None, "severity": "critical",
             "state": "resolved", "step": step, "last_step": step, "fired_s": 1.0, "resolved_step": step + 9,
             "message": "m", "evidence": {}, "blame": None, "remedy": None}  # fmt: skip
    store.write(lambda session: alerts.upsert(session, alert))
    store.write(lambda session: verdicts.set_verdict(session, alert["id"], verdict))


def test_what_is_found_stands_beside_what_was_found(store: Store) -> None:
    a_run(store)
    stored_alert(store, 510, "true")
    stored_alert(store, 1_500, "false")
    found = result(store)
    [run] = found["runs"]
    assert [(each["rule"], each["step"], each["then"]) for each in run["alerts"]] == [
        ("above", 500, "s510"), ("above", 2_500, None),
    ]  # fmt: skip
    assert [(each["id"], each["now"]) for each in run["stored"]] == [("s510", True), ("s1500", False)]
    assert (run["first_step"], run["last_step"], run["rows"], run["complete"]) == (0, 2_999, 3_000, True)
    above = found["rules"]["above"]
    assert (above["both"], above["only_now"], above["only_then"]) == (1, 1, 1)
    assert (above["true"], above["false"]) == ({"marked": 1, "still": 1}, {"marked": 1, "still": 0})
    assert found["rules"]["beyond"]["now"] == {"critical": 0, "warning": 0}
    assert found["total"]["now"]["critical"] == 2
    assert found["complete"]


def test_other_parameters_find_other_things(store: Store) -> None:
    a_run(store)
    rules = tuned(RULES, {"above": {"parameters": {"limit": 300}}, "beyond": {"parameters": {"limit": 150}}})
    [run] = result(store, replace(TRIAL, rules=rules))["runs"]
    assert {(each["rule"], each["step"]) for each in run["alerts"]} == {("beyond", 500), ("beyond", 2_500)}


def test_nothing_is_stored(store: Store) -> None:
    a_run(store)
    result(store)
    assert store.read(lambda session: alerts.newest_first(session, "r1")) == []


def test_several_runs_are_counted_together_and_told_apart(store: Store) -> None:
    a_run(store)
    a_run(store, high_at=(7,), run="r2")
    found = result(store, TRIAL, replace(TRIAL, run_id="r2"))
    assert [(run["run"], run["total"]["only_now"]) for run in found["runs"]] == [("r1", 2), ("r2", 1)]
    assert found["total"]["only_now"] == 3


@pytest.mark.parametrize("trial", [replace(TRIAL, first_step=2_000), replace(TRIAL, newest=2_000)])
def test_of_a_part_only_what_began_there_counts(store: Store, trial: Trial) -> None:
    a_run(store, 4_000, (500, 1_100, 3_500))
    stored_alert(store, 1_100)
    [run] = result(store, trial)["runs"]
    assert [each["step"] for each in run["alerts"]] == [3_500]
    assert run["stored"] == []
    assert (run["first_step"], run["rows"]) == (2_000, 3_000), "the thousand steps before are shown to learn from"


def test_a_broken_rule_is_told_and_the_others_go_on(store: Store) -> None:
    a_run(store)
    [run] = result(store, replace(TRIAL, rules=(tried_rules.broken(), *RULES)))["runs"]
    assert [(failed["rule"], failed["since_step"]) for failed in run["failed"]] == [("broken", 0)]
    assert len(run["alerts"]) == 2


def test_progress_says_which_run_and_how_far(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.Replay.pages, "__defaults__", (1_000,))
    a_run(store)
    *told, last = service(store).run([TRIAL])
    assert [each["progress"]["step"] for each in told] == [999, 1_999, 2_999, 2_999]
    progress = {"run": "r1", "number": 1, "of": 1, "step": 999, "last_step": 2_999, "alerts": 1}
    assert told[0] == {"progress": progress}
    assert set(last) == {"result"}


def test_when_the_time_is_over_the_answer_is_what_there_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.Replay.pages, "__defaults__", (1_000,))
    a_run(store)
    a_run(store, run="r2")
    stored_alert(store, 2_500, "true")
    said = service(store, 10.0).run([TRIAL, replace(TRIAL, run_id="r2")])
    next(said)
    store.clock.now_s += 11.0
    found = next(said)["result"]
    assert not found["complete"]
    [run] = found["runs"]
    assert (run["complete"], run["last_step"], [each["step"] for each in run["alerts"]]) == (False, 999, [500])
    assert run["stored"] == [], "what was not judged again is not compared"


def test_what_was_not_judged_yet_is_no_new_finding(store: Store) -> None:
    a_run(store, 3_000, (500,))
    stored_alert(store, 500)
    values = np.ones(1_000)
    values[200] = 200.0
    store.append(store.stream(), frame(3, range(3_000, 4_000), values))
    [run] = result(store)["runs"]
    assert (run["last_step"], run["rows"], run["judged_to"]) == (2_999, 3_000, 2_999)
    assert (run["total"]["both"], run["total"]["only_now"]) == (1, 0)
    [part] = result(store, replace(TRIAL, last_step=2_000))["runs"]
    assert (part["last_step"], part["judged_to"]) == (2_000, None), "what was asked for was judged"
    stream = store.stream()
    store.write(lambda session: journal.set_judged(session, stream.id, 3))
    [run] = result(store)["runs"]
    assert (run["last_step"], run["judged_to"], run["total"]["only_now"]) == (3_999, None, 1)


def test_of_too_many_alerts_both_sides_are_cut_alike(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings.Findings.__init__, "__defaults__", (3,))
    monkeypatch.setattr(findings.against, "__defaults__", (3,))
    steps = tuple(range(1_000, 9_000, 1_000))
    a_run(store, 10_000, steps)
    for step in steps:
        stored_alert(store, step, "true")
    [run] = result(store)["runs"]
    above = run["rules"]["above"]
    assert (above["both"], above["only_now"], above["only_then"]) == (3, 0, 0), "the same run finds the same"
    assert above["true"] == {"marked": 3, "still": 3}
    assert run["compared_to"] == 3_999
    assert run["alerts_left_out"] == 2 * 8 - 2 * 3 - 2, "of what the backtest dropped only so many are counted"


def deleting(store: Store, monkeypatch: pytest.MonkeyPatch, is_deleted: bool) -> Iterator[dict[str, Any]]:
    """A backtest whose next page does not find its rows."""
    monkeypatch.setattr(replay.Replay.pages, "__defaults__", (1_000,))
    a_run(store)
    said = service(store).run([TRIAL])
    next(said)

    def gone(*given: Any) -> Any:
        raise ChunkDamaged("Half of it is gone.")

    monkeypatch.setattr(Points, "raw", gone)
    if is_deleted:
        store.write(lambda session: runs.begin_delete(session, "r1"))
    return said


def test_a_run_that_is_deleted_meanwhile_is_gone_and_not_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownRun, match="deleted while"):
        list(deleting(store, monkeypatch, is_deleted=True))


def test_damage_is_damage_where_the_run_is_still_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChunkDamaged):
        list(deleting(store, monkeypatch, is_deleted=False))


def test_of_a_run_that_was_deleted_before_the_end_nothing_is_told(store: Store) -> None:
    """Its alerts went first: everything would look new."""
    a_run(store)
    said = service(store).run([TRIAL])
    next(said)
    store.write(lambda session: runs.begin_delete(session, "r1"))
    with pytest.raises(UnknownRun):
        list(said)


def test_a_run_that_goes_back_meanwhile_cannot_be_judged_further(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.Replay.pages, "__defaults__", (1_000,))
    a_run(store)
    said = service(store).run([TRIAL])
    next(said)
    store.append(store.stream(), rollback(3, 2_999, 100))
    with pytest.raises(RunChanged):
        list(said)


def test_two_at_once_are_enough(store: Store) -> None:
    backtests = service(store)
    first, second = backtests.slot(), backtests.slot()
    with pytest.raises(TooManyBacktests):
        backtests.slot()
    first.release()
    first.release()  # twice does not make room for two
    third = backtests.slot()
    with pytest.raises(TooManyBacktests):
        backtests.slot()
    second.release()
    third.release()


def test_a_run_without_points_is_found_empty(store: Store) -> None:
    store.stream()
    [run] = result(store)["runs"]
    assert (run["rows"], run["alerts"], run["complete"]) == (0, [], True)
    [run] = result(store, replace(TRIAL, newest=10))["runs"]
    assert run["rows"] == 0


def test_the_clock_is_only_asked_for_the_limit(store: Store) -> None:
    clock = Clock(lambda: 0.0, lambda: 0.0)
    a_run(store)
    backtests = Backtests(Points(store.reading), store.reading, lambda rules: Engine(lambda: 0.0, rules), clock, 0.0)
    *_, last = backtests.run([TRIAL])
    assert last["result"]["complete"]
