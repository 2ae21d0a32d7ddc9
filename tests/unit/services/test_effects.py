"""Verdicts over a stored run: once for each command, when the run has come far enough, over restarts."""

from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effects_world import AT, NAMES, World, world
from lossguard.protocol.messages import Event
from lossguard_server.errors import DiskFull
from lossguard_server.services.effects.verdict import Effect
from lossguard_server.store import audit, commands, runs
from lossguard_server.store.commands import Outcome
from lossguard_server.store.journal import StreamHead
from lossguard_server.store.tables import StreamRow
from store_world import Store, opened_store, rollback, schema


def test_a_lower_weight_is_judged_after_50_steps_stored_audited_and_told_once(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        assert run.tick() == []
        run.train(AT, AT + 49, weight=0.001)
        assert run.tick() == [], "a step too early"
        run.train(AT + 49, AT + 60, weight=0.001)
        [told] = run.tick()
        effect = told["effect"]
        assert (effect["verdict"], effect["at_step"], effect["steps"], effect["decided"]) == ("worked", 600, 50, True)
        assert effect["text"].startswith("The share of aux went from 76 % to 24 % in 50 steps, the total went from 9.")
        assert effect["numbers"]["share"]["aux"] == pytest.approx([7 / 9.2, 0.7 / 2.9], rel=0.05)
        [stored] = run.store.read(lambda session: commands.newest_first(session, "r1"))
        assert stored.to_dict() == told
        entry = run.store.read(lambda session: audit.newest_first(session, "r1"))[0]
        assert (entry["what"], entry["actor"]) == ("command judged", "server")
        assert entry["detail"] == {"command": "c1", "kind": "set_weight", "alert": None, **effect}
        assert run.tick() == []
        run.restart()
        assert run.tick() == []


def test_what_was_owed_before_a_restart_is_judged_after_it(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.restart()
        assert run.tick() == []
        run.train(AT, AT + 50, weight=0.001)
        run.restart()
        assert run.effect()["verdict"] == "worked", "also where nobody looked at the run since"


def test_who_comes_second_with_a_verdict_changes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        [applied] = run.store.read(lambda session: commands.newest_first(session, "r1"))
        run.train(AT, AT + 60, weight=0.001)
        first = run.effect()
        run.effects._evidence = Same()  # type: ignore[assignment]
        run.effects.command(applied.to_dict())
        assert run.tick() == []
        [stored] = run.store.read(lambda session: commands.newest_first(session, "r1"))
        assert stored.effect == first


class Same:
    """Evidence that was gathered before the command had its verdict."""

    def look(self, command_id: str) -> Effect:
        return Effect("worse", AT, 50, "Late.", {})


def test_rules_that_lag_are_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 80, weight=0.001, is_judged=False)
        assert run.tick() == []
        run.judge()
        assert run.tick() == [], "and not asked at each tick"
        run.store.clock.now_s += 1.0
        assert run.effect()["verdict"] == "worked"


def test_a_change_that_changes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply(args={"component": "aux", "value": 0.01})
        run.train(AT, AT + 60)
        assert "its weight is what it was" in (effect := run.effect())["text"]
        assert effect["verdict"] == "no effect"


def test_a_total_that_rises_is_worse_and_a_weight_that_was_raised_is_no_rise(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 60, weight=0.001, ce=20.0)
        assert run.effect()["verdict"] == "worse"
        run.train(AT + 60, AT + 600, weight=0.001, ce=20.0)
        run.apply(args={"component": "aux", "value": 0.1}, step=AT + 600, number=2)
        run.train(AT + 600, AT + 660, weight=0.1, ce=20.0)
        effect = run.effect()
        assert (effect["verdict"], effect["numbers"]["total"][1]) == ("worked", pytest.approx(90.0, rel=0.05))


@pytest.mark.parametrize(("fall", "ce", "verdict"), [(0.0, 2.2, "no effect"), (0.008, 2.2, "no effect"),
                                                     (0.0, 1.0, "worked"), (0.0, 6.0, "worse")])  # fmt: skip
def test_a_hold_in_the_middle_of_a_ramp_is_no_merit_where_the_losses_only_go_on(
    tmp_path: Path, fall: float, ce: float, verdict: str
) -> None:
    """The weight grew as fast as the losses fell: the total stood still, and falls once the weight is held."""

    def put(first: int, behind: int, weights: Any, level: float) -> None:
        steps, noise = np.arange(first, behind), np.random.default_rng(first).standard_normal((3, behind - first))
        losses = np.array([[level], [700.0]]) * np.exp(0.02 * noise[:2] - fall * (steps - AT))
        rows = np.array([np.ones_like(weights), weights])
        total = (losses * rows).sum(axis=0)
        run.put(first, behind, np.array([total, total * np.exp(0.02 * noise[2]), *losses, *rows]))
        run.judge()

    with opened_store(tmp_path) as store:
        run = World(store)
        put(0, AT, 0.01 * np.exp(max(fall, 0.004) * np.arange(-AT, 0)), 2.2)
        run.apply("hold_stage")
        put(AT, AT + 600, np.full(600, 0.01), ce)
        effect = run.effect()
        assert (effect["verdict"], effect["decided"]) == (verdict, True), effect["text"]


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply("set_clip", args={"value": 1.0})
        run.put(AT, AT + 60, np.full((6, 60), nan))
        run.judge()
        effect = run.effect()
        assert (effect["verdict"], effect["numbers"]["not_finite"]) == ("worse", [0, 50])
        assert effect["numbers"]["total"][1] == "NaN", "as JSON spells it"


def test_the_alert_that_it_answers_counts_first_and_is_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.alert()
        run.apply(alert="a1")
        run.train(AT, AT + 100, weight=0.001)
        assert run.tick() == [], "it is still open"
        run.alert(state="resolved", resolved_step=AT + 80)
        run.train(AT + 100, AT + 250, weight=0.001)
        effect = run.effect()
        assert effect["verdict"] == "worked"
        assert effect["text"].endswith("the alert ended at step 680: worked.")
        assert effect["numbers"]["alerts"] == [1, 1], "at the end of the 50 steps it was still open"


def test_an_alert_of_a_rule_that_counts_200_rows_is_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.alert(rule="count", series="count/masked", component=None)
        run.apply("set_clip", args={"value": 1.0}, alert="a1")
        run.train(AT, AT + 220)
        assert run.tick() == [], "rows from before the command are in its sight for 200 more"
        run.alert(state="resolved", resolved_step=AT + 226)
        run.train(AT + 220, AT + 260)
        assert run.effect()["text"].endswith("the alert ended at step 826: worked.")


def test_an_alert_that_stays_open_is_no_effect(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.alert()
        run.apply(alert="a1")
        run.train(AT, AT + 251, weight=0.001)
        effect = run.effect()
        assert (effect["verdict"], effect["steps"]) == ("no effect", 50)
        assert effect["text"].endswith("the alert is still open: no effect.")


def test_an_alert_that_was_over_before_is_no_merit(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.alert(state="resolved", resolved_step=595)
        run.apply("set_lr_scale", args={"value": 0.5}, alert="a1")
        run.train(AT, AT + 60)
        assert run.effect()["verdict"] == "no effect"


def test_a_new_critical_alert_is_worse(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply("set_lr_scale", args={"value": 2.0})
        run.alert("a2", step=AT + 10, rule="grad_growth")
        run.train(AT, AT + 60)
        effect = run.effect()
        assert effect["verdict"] == "worse"
        assert "a critical alert (grad_growth) began at step 610" in effect["text"]
        assert effect["numbers"]["critical"] == [0, 1]


def test_a_stage_that_begins_in_between_ends_the_comparison(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply("set_lr_scale", args={"value": 0.5})
        run.event("stage", AT + 5, index=1, name="late")
        run.train(AT, AT + 60, weight=0.05)
        effect = run.effect()
        assert (effect["verdict"], effect["decided"], effect["steps"]) == ("no effect", False, 5)
        assert effect["text"].endswith("too few to tell from, because stage 'late' began at step 605.")


def test_a_stage_that_begins_at_the_same_step_hides_what_it_did(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.event("stage", AT, index=1, name="late")
        run.train(AT, AT + 60, weight=0.001)
        assert run.effect()["text"] == "Not judged: stage 'late' began at the same step."
        run.train(AT + 60, AT + 600, weight=0.001)
        run.apply("go_to_stage", args={"stage": "early"}, step=AT + 600, number=2)
        run.event("stage", AT + 600, index=0, name="early")
        run.train(AT + 600, AT + 660, weight=0.0001, ce=1.0)
        assert run.effect()["verdict"] == "worked", "of which it is the purpose"


def test_another_command_ends_the_comparison_of_the_first_and_begins_that_of_the_second(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 20, weight=0.001)
        run.apply("set_lr_scale", args={"value": 0.5}, step=AT + 20, number=2)
        run.train(AT + 20, AT + 100, weight=0.001)
        first, second = (told["effect"] for told in run.tick())
        assert (first["verdict"], first["steps"]) == ("worked", 20)
        assert "in 20 steps (until command 2 (set_lr_scale) was applied at step 620)" in first["text"]
        assert (second["verdict"], second["decided"]) == ("no effect", True)
        assert second["numbers"]["total"][0] == pytest.approx(2.9, rel=0.05), "only what lies between both is before it"


def test_a_rollback_in_between_is_said_and_nothing_is_compared(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 30, weight=0.001)
        run.seq += 1
        run.store.append(run.stream, rollback(run.seq, AT + 30, AT - 100))
        run.train(AT - 100, AT + 100, weight=0.001)
        effect = run.effect()
        assert (effect["verdict"], effect["decided"]) == ("no effect", False)
        assert effect["text"].startswith("Not judged: the run went back to step 500")


def test_a_newer_attempt_that_begins_before_it_is_said(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 30, weight=0.001)
        run.stream, run.seq = run.store.stream(attempt=1), 1
        run.store.append(run.stream, schema(1, *NAMES))
        begin(run.store, run.stream, 0)
        run.train(0, AT + 100)
        assert run.effect()["text"].startswith("Not judged: the run went back to step 0")


def test_one_that_a_newer_attempt_took_back_is_judged_where_it_is_applied_again(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        [applied] = run.store.read(lambda session: commands.newest_first(session, "r1"))
        back = run.store.write(lambda session: commands.move(session, applied, "rolled_back", 3.0, Outcome()))
        assert back is not None
        run.stream, run.seq = run.store.stream(attempt=1), 1
        run.store.append(run.stream, schema(1, *NAMES))
        begin(run.store, run.stream, AT - 50)
        run.train(AT - 50, AT)
        run.restart()
        assert run.tick() == []
        again = run.store.write(lambda session: commands.move(session, back, "applied", 4.0, Outcome(step=AT)))
        assert again is not None
        run.event("command", AT, id="c1", state="applied")
        run.effects.command(again.to_dict())
        run.train(AT, AT + 100, weight=0.001)
        assert run.effect()["verdict"] == "worked"


def begin(store: Store, stream: StreamHead, step: int) -> None:
    def write(session: Any) -> None:
        session.get_one(StreamRow, stream.id).begins_step = step

    store.write(write)


def test_a_rollback_itself_is_judged_by_what_it_went_back_to(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.alert(evidence={"rolled_back_to": 500}, state="resolved", resolved_step=599)
        run.seq += 1
        told = rollback(run.seq, AT, 500)
        run.store.append(run.stream, replace_data(told, command="c1"))
        run.apply("rollback", step=500, old=AT, new=500, alert="a1")
        run.train(500, AT + 60)
        effect = run.effect()
        assert (effect["verdict"], effect["at_step"], effect["decided"]) == ("worked", 500, True), effect
        assert effect["numbers"]["alerts"] == [1, 0]


def replace_data(event: Event, **more: Any) -> Event:
    return Event(seq=event.seq, kind=event.kind, step=event.step, data={**event.data, **more})


def test_a_revert_is_judged_by_the_component_that_it_is_about(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 100, weight=0.001)
        run.tick()
        run.apply("revert", args={"command": "c1"}, step=AT + 100, number=2)
        run.train(AT + 100, AT + 200)
        effect = run.effect()
        assert (effect["verdict"], list(effect["numbers"]["share"])) == ("worked", ["aux"])
        assert effect["text"].startswith("The share of aux went from 24 % to 76 %")


def test_a_ramp_is_waited_for_and_a_lease_is_not_outlived(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply(args={"component": "aux", "value": 0.001, "ramp_steps": 100})
        run.train(AT, AT + 100, weight=0.005)
        assert run.tick() == []
        run.train(AT + 100, AT + 160, weight=0.001)
        assert run.effect()["steps"] == 150
        run.train(AT + 160, AT + 700, weight=0.001)
        lease = {"component": "aux", "value": 0.0001, "lease_steps": 20}
        run.apply(args=lease, step=AT + 700, number=2)
        run.train(AT + 700, AT + 720, weight=0.0001)
        run.train(AT + 720, AT + 760, weight=0.001)
        assert run.effect()["steps"] == 20


def test_a_run_that_ends_is_judged_by_what_there_is(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 20, weight=0.001)
        run.store.write(lambda session: runs.finish(session, "r1", 0, "finished"))
        run.restart()
        effect = run.effect()
        assert (effect["verdict"], effect["steps"]) == ("worked", 20)
        assert "(until the run ended at step 619)" in effect["text"]


def test_a_run_that_ends_at_once(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.store.write(lambda session: runs.finish(session, "r1", 0, "finished"))
        run.restart()
        assert run.effect()["text"].startswith("Not judged: 0 steps after it are too few to tell from")


@pytest.mark.parametrize("kind", ["pause", "resume", "stop", "checkpoint", "instrument"])
def test_what_changes_no_training_is_not_judged(tmp_path: Path, kind: str) -> None:
    with world(tmp_path) as run:
        run.apply(kind)
        run.train(AT, AT + 600)
        assert run.tick() == []
        run.restart()
        assert run.tick() == []


def test_what_could_not_be_stored_is_tried_again_later(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.train(AT, AT + 60, weight=0.001)
        is_open = run.store.writer
        run.effects._writer = Closed()  # type: ignore[assignment]
        assert run.tick() == []
        run.effects._writer = is_open
        assert run.tick() == []
        run.store.clock.now_s += 30.0
        assert run.effect()["verdict"] == "worked"


class Closed:
    """A writer whose disk is full."""

    def submit(self, operation: Any) -> Any:
        raise DiskFull()


def test_of_a_deleted_run_nothing_is_owed(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply()
        run.effects.forget("r1")
        run.train(AT, AT + 60, weight=0.001)
        assert run.tick() == []


def test_a_noisy_run_is_given_more_steps(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        noise = np.exp(0.2 * np.random.default_rng(1).standard_normal(500))
        columns = np.array([9.2 * noise, noise, 2.2 * noise, 700 * noise, np.ones(500), 0.01 * np.ones(500)])
        run.put(AT, AT + 500, columns)
        run.apply("set_lr_scale", args={"value": 0.5}, step=AT + 500)
        run.put(AT + 500, AT + 560, columns[:, :60])
        run.judge()
        assert run.tick() == [], "50 steps are too few to tell from that noise"
        run.put(AT + 560, AT + 1000, columns[:, :440])
        run.judge()
        effect = run.effect()
        assert effect["verdict"] == "no effect"
        assert 80 < effect["steps"] < 200
