"""A dry run: what the last steps would have been worth, from what is stored, and nothing stored by it."""

from collections.abc import Sequence
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Operation, RampSpec, StageSpec
from lossguard.protocol.steering import Plan
from lossguard_server.errors import NotPossibleNow
from lossguard_server.services.what_if import NOT_THE_LOSS, SAME_LOSSES, STEPS, what_if
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, rollback, schema

ONE = (StageSpec("all", 0, {"ce": 1.0, "aux": 0.01}),)
TWO = (*ONE, StageSpec("late", 80, {"ce": 1.0, "aux": 1.0}))


class Run:
    """A source in memory: values by name, at the steps 0, 1, 2, ..., or (steps, values)."""

    def __init__(self, **series: Any) -> None:
        self.series: dict[str, tuple[Steps, Columns]] = {}
        for name, given in series.items():
            steps, values = given if isinstance(given, tuple) else (range(len(given)), given)
            self.series[name.replace("_", "/")] = np.array(steps, np.int64), np.array(values, np.float64)

    def last_step(self, run_id: str, names: Sequence[str]) -> int:
        return max((int(self.series[name][0][-1]) for name in names if name in self.series), default=-1)

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]:
        found = {}
        for name in names:
            steps, values = self.series.get(name, (np.empty(0, np.int64), np.empty(0)))
            part = (steps >= (first_step or 0)) & (steps <= (last_step or 0))
            found[name] = steps[part], values[part]
        return found


def of(run: Run, kind: str, args: dict[str, Any], plan: Plan | None = None) -> dict[str, Any]:
    return what_if(run, "r", plan or Plan(ONE, ["ce", "aux"]), 0, kind, args)


def weights(answer: dict[str, Any], component: str = "aux") -> dict[str, float]:
    return dict(answer["now"]["weight"][component])


def test_a_lower_weight_takes_its_part_out_of_the_total() -> None:
    run = Run(
        loss_ce=np.full(100, 2.2), loss_aux=np.full(100, 700.0), weight_ce=np.ones(100), weight_aux=np.full(100, 0.01)
    )
    answer = of(run, "set_weight", {"component": "aux", "value": 0.001})
    assert (answer["dry_run"], answer["from"], answer["to"], answer["at_step"]) == (True, 0, 99, 0)
    assert answer["steps"] == list(range(100))
    assert answer["total"]["before"] == [2.2 + 7.0] * 100
    assert answer["total"]["after"] == [1.0 * 2.2 + 0.001 * 700.0] * 100
    assert answer["share"]["aux"] == pytest.approx({"before": 7 / 9.2, "after": 0.7 / 2.9})
    assert answer["share"]["ce"] == pytest.approx({"before": 2.2 / 9.2, "after": 2.2 / 2.9})
    assert weights(answer) == {"before": 0.01, "after": 0.001}
    assert answer["now"]["total"] == {"before": 9.2, "after": 2.2 + 0.7}
    assert answer["left_out"] == 0


def test_only_the_last_steps_count_and_the_answer_holds_no_more_than_500() -> None:
    answer = of(Run(loss_ce=np.arange(2000.0), loss_aux=np.ones(2000)), "set_weight", {"component": "ce", "value": 2})
    assert (len(answer["steps"]), answer["from"], answer["to"]) == (STEPS, 1500, 1999) == (500, 1500, 1999)
    assert answer["total"]["after"][-1] == 2 * 1999 + 0.01


def test_what_is_stored_of_a_weight_counts_and_not_what_was_planned() -> None:
    run = Run(loss_ce=np.ones(9), loss_aux=np.ones(9), weight_ce=np.full(9, 5.0), weight_aux=np.full(9, 0.01))
    answer = of(run, "set_weight", {"component": "aux", "value": 3.0})
    assert weights(answer, "ce") == {"before": 5.0, "after": 5.0}, "a component that is not touched keeps its own"
    assert answer["total"]["after"] == [5.0 + 3.0] * 9


def test_a_ramp_and_a_lease_are_shown_as_they_would_have_run() -> None:
    run = Run(loss_ce=np.zeros(100), loss_aux=np.ones(100))
    args = {"component": "aux", "value": 1.01, "ramp_steps": 10, "lease_steps": 50}
    after = of(run, "set_weight", args)["total"]["after"]
    assert after[:11] == pytest.approx([0.01 + 0.1 * step for step in range(11)])
    assert after[10:50] == [1.01] * 40
    assert after[50:] == [0.01] * 50, "the lease is over"


def test_values_that_are_not_finite_stay_and_a_gate_takes_them_out() -> None:
    run = Run(loss_ce=[1.0, 1.0, 1.0, 1.0], loss_aux=[1.0, nan, inf, 2.0])
    closed = of(run, "gate", {"component": "aux", "open": False})
    before = closed["total"]["before"]
    assert (before[0], isnan(before[1]), before[2]) == (1.01, True, inf)
    assert closed["total"]["after"] == [1.0] * 4
    assert closed["share"]["aux"]["after"] == 0.0
    assert closed["share"]["aux"]["before"] == pytest.approx((0.01 / 1.01 + 0.02 / 1.02) / 2), "of what is finite"
    muted = of(run, "set_weight", {"component": "aux", "value": 0.0})["total"]["after"]
    assert isnan(muted[1]), "0 * NaN is NaN, as in training"
    assert isnan(muted[2])


def test_steps_without_a_component_are_left_out_and_counted() -> None:
    run = Run(loss_ce=np.ones(10), loss_aux=([0, 4, 8], [1.0, 2.0, 3.0]))
    answer = of(run, "set_weight", {"component": "aux", "value": 1.0})
    assert (answer["steps"], answer["left_out"]) == ([0, 4, 8], 7)
    assert answer["total"]["after"] == [2.0, 3.0, 4.0]


def test_a_component_that_is_gated_before_and_after_may_be_missing() -> None:
    shut = Operation(3, "c1", "gate", {"component": "aux", "open": False})
    run = Run(loss_ce=np.ones(10), loss_aux=([0, 1, 2], [1.0, 1.0, 1.0]))
    plan = Plan(ONE, ["ce", "aux"], [shut])
    answer = of(run, "set_weight", {"component": "ce", "value": 2.0}, plan)
    assert (answer["left_out"], answer["total"]["before"][-1], answer["total"]["after"][-1]) == (0, 1.0, 2.0)
    assert answer["total"]["after"][0] == 2.01, "where it took part it still does"
    opened = of(run, "gate", {"component": "aux", "open": True}, plan)
    assert (opened["steps"], opened["left_out"]) == ([0, 1, 2], 7)


def test_a_factor_and_a_revert_and_a_stage() -> None:
    run = Run(loss_ce=np.ones(100), loss_aux=np.ones(100))
    plan = Plan(TWO, ["ce", "aux"], [Operation(50, "c1", "set_weight", {"component": "aux", "value": 0.5})])
    scaled = of(run, "scale_weights", {"factor": 2.0}, plan)["total"]
    assert (scaled["before"][0], scaled["after"][0], scaled["after"][60]) == (1.01, 2 * 1.5, 2 * 1.5)
    reverted = of(run, "revert", {"command": "c1"}, plan)["total"]
    assert (reverted["before"][60], reverted["after"][60], reverted["after"][90]) == (1.5, 1.01, 2.0)
    went = of(run, "go_to_stage", {"stage": "late"}, Plan(TWO, ["ce", "aux"]))["total"]
    assert (went["before"][10], went["after"][10], went["after"][99]) == (1.01, 2.0, 2.0)
    held = of(run, "hold_stage", {}, Plan(TWO, ["ce", "aux"]))["total"]
    assert (held["before"][99], held["after"][99]) == (2.0, 1.01)


def test_a_revert_of_a_hold_is_shown_from_the_hold_on() -> None:
    run, plan = Run(loss_ce=np.ones(100), loss_aux=np.ones(100)), Plan(TWO, ["ce", "aux"])
    held = plan.plus(Operation(50, "c1", "hold_stage", {}))
    answer = of(run, "revert", {"command": "c1"}, held)
    assert answer["at_step"] == 50
    assert (answer["total"]["before"][90], answer["total"]["after"][90]) == (1.01, 2.0)
    again = held.plus(Operation(60, "c2", "revert", {"command": "c1"}))
    after = of(run, "revert", {"command": "c2"}, again)["total"]["after"]
    assert after[99] == 1.01, "the hold holds again"


def test_stages_are_shown_from_a_step_that_is_said_and_the_rest_is_not_about_it() -> None:
    run, plan = Run(loss_ce=np.ones(1000), loss_aux=np.ones(1000)), Plan(TWO, ["ce", "aux"])
    same = of(run, "go_to_stage", {"stage": "late"}, plan)
    assert same["total"]["before"] == same["total"]["after"], "at step 500 it is in that stage anyway"
    assert same["text"].endswith("shown as if it were done at step 500, and the stages went on from there.")
    slow = plan.plus(Operation(5, "c1", "set_lr_scale", {"value": 0.5}))
    assert of(run, "revert", {"command": "c1"}, slow)["text"] == NOT_THE_LOSS
    assert of(run, "set_weight", {"component": "aux", "value": 2.0}, plan)["text"] == SAME_LOSSES


def test_what_is_in_force_now_counts_from_the_first_step_and_what_is_over_never_did() -> None:
    run = Run(loss_ce=np.ones(100), loss_aux=np.ones(100), weight_ce=np.ones(100))
    done = [
        Operation(20, "c1", "set_weight", {"component": "aux", "value": 9.0, "lease_steps": 10}),
        Operation(60, "c2", "set_weight", {"component": "aux", "value": 0.5}),
        Operation(70, "c3", "set_weight", {"component": "aux", "value": 7.0}),
        Operation(80, "c4", "revert", {"command": "c3"}),
        Operation(90, "c5", "scale_weights", {"factor": 3.0, "components": ["ce"]}),
        Operation(500, "c6", "set_weight", {"component": "aux", "value": 8.0}),
    ]
    answer = of(run, "scale_weights", {"factor": 2.0, "components": ["aux"]}, Plan(ONE, ["ce", "aux"], done))
    totals = answer["total"]
    assert answer["at_step"] == 0
    assert [totals["before"][at] for at in (0, 25, 65, 75, 95)] == [1.01, 10.0, 1.5, 8.0, 1.5]
    assert set(totals["after"]) == {2.0}, "twice what is in force now; the weight of ce is the stored one"


def test_the_curriculums_clock_is_moved_where_it_was_last_touched() -> None:
    run = Run(loss_ce=np.ones(100), loss_aux=np.ones(100))
    held = Plan(TWO, ["ce", "aux"], [Operation(40, "c1", "hold_stage", {})])
    answer = of(run, "release_stage", {}, held)
    assert (answer["at_step"], answer["total"]["before"][99], answer["total"]["after"][99]) == (40, 1.01, 2.0)
    with pytest.raises(NotPossibleNow, match="held already"):
        of(run, "hold_stage", {}, held)
    ahead = Plan(TWO, ["ce", "aux"], [Operation(102, "c1", "hold_stage", {})])
    assert what_if(run, "r", ahead, 103, "release_stage", {})["at_step"] == 102, "applied ahead of the rows"
    leased = Plan(TWO, ["ce", "aux"], [Operation(40, "c1", "hold_stage", {"lease_steps": 10})])
    assert of(run, "hold_stage", {}, leased)["at_step"] == 50


@pytest.mark.parametrize(
    ("kind", "args", "reason"),
    [
        ("set_weight", {"component": "no", "value": 1.0}, "no component 'no'"),
        ("release_stage", {}, "no stages to hold"),
        ("revert", {"command": "no"}, "No command 'no'"),
        ("pause", {}, "'pause' changes nothing"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(kind: str, args: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotPossibleNow, match=reason):
        of(Run(loss_ce=[1.0], loss_aux=[1.0]), kind, args)


def test_a_change_of_the_learning_rate_says_that_it_cannot_be_computed() -> None:
    answer = of(Run(loss_ce=[1.0], loss_aux=[1.0]), "set_lr_scale", {"value": 0.1})
    assert answer["total"]["before"] == answer["total"]["after"]
    assert "cannot be computed" in answer["text"]


def test_a_run_of_which_nothing_is_stored() -> None:
    answer = of(Run(), "set_weight", {"component": "ce", "value": 2.0})
    assert (answer["steps"], answer["from"], answer["now"]) == ([], None, None)
    assert answer["share"]["ce"] == {"before": None, "after": None}


def test_a_weight_in_the_middle_of_its_planned_ramp() -> None:
    stages = (StageSpec("all", 0, {"ce": 1.0, "aux": RampSpec(0.0, 1.0, 100)}),)
    run = Run(loss_ce=np.zeros(50), loss_aux=np.ones(50))
    answer = of(run, "scale_weights", {"factor": 0.5, "components": ["aux"]}, Plan(stages, ["ce", "aux"]))
    assert answer["total"]["after"] == pytest.approx([0.005 * step for step in range(50)])


def put(store: Store) -> None:
    stream = store.stream()
    losses, ones = np.arange(1.0, 61.0), np.ones(60)
    columns = (losses, ones, ones, 0.01 * ones)
    names = ("loss/ce", "loss/aux", "weight/ce", "weight/aux")
    store.append(stream, schema(1, *names), frame(2, range(60), *columns))
    store.fold(stream)
    store.append(stream, rollback(3, 59, 40), frame(4, range(40, 50), *(100.0 * column[:10] for column in columns)))


def test_it_reads_what_is_shown_folded_or_not_and_writes_nothing(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        put(store)
        size = (tmp_path / "lossguard.db-wal").stat().st_size
        points = Points(store.reading)
        answer = what_if(points, "r1", Plan(ONE, ["ce", "aux"]), 50, "set_weight", {"component": "aux", "value": 0.0})
        assert (answer["from"], answer["to"], len(answer["steps"])) == (0, 49, 50), "what was rolled back is not there"
        assert answer["total"]["before"][0] == 1.01
        assert answer["total"]["before"][40] == pytest.approx(100.0 * 100.0 + 1.0 * 100.0)
        assert answer["total"]["after"][40] == 100.0 * 100.0
        assert (tmp_path / "lossguard.db-wal").stat().st_size == size
