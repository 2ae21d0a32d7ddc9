"""Each command that cannot be given is refused with what is wrong, where, and what would be right."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.commands import STEPS_MAX
from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import (
    DETAIL_STEPS_MAX,
    ControlsSpec,
    Declaration,
    Event,
    Heartbeat,
    Operation,
    StageSpec,
)
from lossguard_server import errors
from lossguard_server.services.command_checks import checked_args
from lossguard_server.services.live import LiveRun
from lossguard_server.store.commands import StoredCommand
from lossguard_server.store.runs import StoredRun

STAGES = [StageSpec("warm", 0, {"ce": 1.0, "free": 0.5}), StageSpec("main", 100, {"ce": 1.0, "free": 1.0})]


def a_run(
    kinds: tuple[str, ...] = ("pause", "set_weight", "revert"),
    finish: str | None = None,
    stages: Sequence[StageSpec] = STAGES,
) -> LiveRun:
    controls = ControlsSpec(list(kinds), {"ce": (0.0, 2.0)}, lr_scale_bounds=(0.0, 4.0), clip_bounds=(0.1, 10.0))
    declaration = Declaration(seq=1, components=["ce", "free"], controls=controls, stages=list(stages))
    stored = StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, finish)
    return LiveRun(stored, declaration=declaration, connections=Counter({(0, 0): 1}), declared_attempt=0)


def applied(run: LiveRun, step: int, command_id: str, kind: str, **args: Any) -> None:
    data = {"id": command_id, "kind": kind, "state": "applied", "args": args}
    run.tell(Event(seq=9, kind="command", step=step, data=data), 0, lambda _: None)


def a_command(kind: str, state: str, command_id: str = "c1", **args: Any) -> StoredCommand:
    return StoredCommand(command_id, "r1", 1, kind, args, "k", "a", None, None, state, 1.0, None, None, None, None, [])


def refused(run: LiveRun, kind: str, args: dict[str, Any], **more: Any) -> errors.CommandError:
    with pytest.raises(errors.CommandError) as refusal:
        checked_args(run, kind, args, **more)
    return refusal.value


@pytest.mark.parametrize(
    ("kind", "args", "refusal", "says"),
    [
        ("explode", {}, errors.UnknownKind, "explode"),
        ("stop", {}, errors.NotAllowed, "it allows pause, set_weight, revert"),
        ("pause", {"x": 1}, errors.BadArguments, "it takes no arguments"),
        ("pause", {"lease_steps": 1}, errors.BadArguments, "lease_steps"),
        ("set_weight", {"component": "ce"}, errors.BadArguments, "needs the argument 'value'"),
        ("set_weight", {"component": "ce", "value": 1, "extra": 2}, errors.BadArguments, "extra"),
        ("set_weight", {"component": "nope", "value": 1.0}, errors.UnknownComponent, "components are ce, free"),
        ("set_weight", {"component": 3, "value": 1.0}, errors.BadArguments, "must be a text, not 3"),
        ("set_weight", {"component": "ce", "value": "0.5"}, errors.BadArguments, "a finite number"),
        ("set_weight", {"component": "ce", "value": True}, errors.BadArguments, "a finite number"),
        ("set_weight", {"component": "ce", "value": math.nan}, errors.WeightNotFinite, "nan"),
        ("set_weight", {"component": "ce", "value": "NaN"}, errors.WeightNotFinite, "nan"),
        ("set_weight", {"component": "free", "value": "-Infinity"}, errors.WeightNotFinite, "-inf"),
        ("set_weight", {"component": "free", "value": 10**400}, errors.BadArguments, "a finite number"),
        ("set_weight", {"component": "ce", "value": 2.1}, errors.WeightOutOfBounds, "[0, 2] of 'ce'"),
        ("set_weight", {"component": "ce", "value": -0.1}, errors.WeightOutOfBounds, "within the bounds"),
        ("set_weight", {"component": "ce", "value": 1, "ramp_steps": 0}, errors.BadArguments, "from 1 to"),
        ("set_weight", {"component": "ce", "value": 1, "lease_steps": 1.5}, errors.BadArguments, "whole number"),
        ("set_weight", {"component": "ce", "value": 1, "lease_steps": True}, errors.BadArguments, "whole number"),
        ("set_weight", {"component": "ce", "value": 1, "lease_steps": STEPS_MAX + 1}, errors.BadArguments, "1 to"),
        ("revert", {"command": 5}, errors.BadArguments, "must be a text"),
        ("revert", {"command": "c1"}, errors.BadArguments, "id of a command"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(kind: str, args: dict[str, Any], refusal: type, says: str) -> None:
    error = refused(a_run(), kind, args)
    assert type(error) is refusal
    assert says in str(error)
    assert error.hint or isinstance(error, errors.RunOver)


@pytest.mark.parametrize(
    ("kind", "args", "refusal", "says"),
    [
        ("scale_weights", {"factor": 3.0}, errors.WeightOutOfBounds, "3 is outside the bounds [0, 2] of 'ce'"),
        ("scale_weights", {"factor": 1, "components": ["ce", "x"]}, errors.UnknownComponent, "'x'"),
        ("scale_weights", {"factor": 1, "components": []}, errors.BadArguments, "list of different names"),
        ("gate", {"component": "ce", "open": 1}, errors.BadArguments, "true or false"),
        ("gate", {"component": "x", "open": True}, errors.UnknownComponent, "'x'"),
        ("go_to_stage", {"stage": "end"}, errors.UnknownStage, "Its stages are warm, main"),
        ("release_stage", {}, errors.NotPossibleNow, "The stage is not held."),
        ("set_lr_scale", {"value": 4.5}, errors.ValueOutOfBounds, "[0, 4] of the learning rate"),
        ("set_lr_scale", {"value": "NaN"}, errors.BadArguments, "a finite number"),
        ("set_clip", {"value": 0.0}, errors.ValueOutOfBounds, "[0.1, 10] of the clipping norm"),
        ("checkpoint", {"path": "x"}, errors.BadArguments, "checkpoint does not take 'path'"),
    ],
)
def test_every_kind_is_checked_by_the_table_of_the_protocol(
    kind: str, args: dict[str, Any], refusal: type, says: str
) -> None:
    error = refused(a_run(COMMAND_KINDS), kind, args)
    assert type(error) is refusal
    assert says in str(error)


def test_what_is_right_is_taken_as_numbers() -> None:
    assert checked_args(a_run(), "pause", {}) == {}
    taken = checked_args(a_run(), "set_weight", {"component": "ce", "value": 2, "ramp_steps": 5, "lease_steps": 9})
    assert taken == {"component": "ce", "value": 2.0, "ramp_steps": 5, "lease_steps": 9}
    assert (type(taken["value"]), type(taken["ramp_steps"])) == (float, int)
    assert checked_args(a_run(), "set_weight", {"component": "free", "value": 1e30})["value"] == 1e30
    every = a_run(COMMAND_KINDS)
    assert checked_args(every, "scale_weights", {"factor": 2, "components": ["free"]})["factor"] == 2.0
    assert checked_args(every, "go_to_stage", {"stage": "main"}) == {"stage": "main"}
    assert checked_args(every, "hold_stage", {"lease_steps": 7}) == {"lease_steps": 7}
    assert checked_args(every, "checkpoint", {}) == {}


def test_a_run_without_stages_cannot_be_held() -> None:
    run = a_run(COMMAND_KINDS, stages=STAGES[:1])
    assert "no stages to hold" in str(refused(run, "hold_stage", {}))
    assert isinstance(refused(run, "go_to_stage", {"stage": "warm"}), errors.NotPossibleNow)


def test_what_is_on_its_way_counts_as_done() -> None:
    run = a_run(COMMAND_KINDS)
    hold = a_command("hold_stage", "sent")
    assert checked_args(run, "release_stage", {}, under_way=[hold]) == {}
    assert "held already" in str(refused(run, "hold_stage", {}, under_way=[hold]))
    scaled = a_command("scale_weights", "queued", factor=2.0)
    assert isinstance(refused(run, "scale_weights", {"factor": 1.5}, under_way=[scaled]), errors.WeightOutOfBounds)
    pause = a_command("pause", "sent", "c0")  # no part of a schedule
    assert checked_args(run, "scale_weights", {"factor": 1.5}, under_way=[pause]) == {"factor": 1.5}


# -- revert -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "state"),
    [("set_weight", "sent"), ("set_weight", "rolled_back"), ("pause", "applied"), ("stop", "applied")],
)
def test_only_what_steers_and_was_applied_is_reverted(kind: str, state: str) -> None:
    run = a_run()
    applied(run, 3, "c1", "set_weight", component="ce", value=0.5)
    error = refused(run, "revert", {"command": "c1"}, target=a_command(kind, state))
    assert isinstance(error, errors.NotRevertible)
    assert f"a {kind} and {state}" in str(error)


def test_a_revert_must_make_sense_where_the_run_is() -> None:
    run, target = a_run(), a_command("set_weight", "applied")
    assert "was applied to this run" in str(refused(run, "revert", {"command": "c1"}, target=target))
    applied(run, 3, "c1", "set_weight", component="ce", value=0.5, lease_steps=10)
    assert checked_args(run, "revert", {"command": "c1"}, target) == {"command": "c1"}
    later = a_command("set_weight", "sent", "c2", component="ce", value=1.0)
    error = refused(run, "revert", {"command": "c1"}, target=target, under_way=[later])
    assert isinstance(error, errors.NotRevertible)
    assert "changed again since" in str(error)
    run.step = 12
    assert "lease ended at step 13" in str(refused(run, "revert", {"command": "c1"}, target=target))


# -- detail and rollback ----------------------------------------------------------------------------------------------

ALL_KINDS = ("instrument", "rollback")


@pytest.mark.parametrize(
    ("kind", "args", "refusal", "says"),
    [
        ("instrument", {}, errors.BadArguments, "needs the argument 'steps'"),
        ("instrument", {"steps": 5, "more": 1}, errors.BadArguments, "more"),
        ("instrument", {"steps": "5"}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": 5.0}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": True}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": None}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": 0}, errors.StepsOutOfBounds, "1 to 100000"),
        ("instrument", {"steps": -1}, errors.StepsOutOfBounds, "asked for -1"),
        ("instrument", {"steps": DETAIL_STEPS_MAX + 1}, errors.StepsOutOfBounds, "100001"),
        ("instrument", {"steps": 10**5_000}, errors.StepsOutOfBounds, "more than can be counted"),
        ("rollback", {"step": 5}, errors.BadArguments, "it takes before_step?"),
        ("rollback", {"before_step": -1}, errors.BadArguments, "whole number"),
        ("rollback", {"before_step": "5"}, errors.BadArguments, "whole number"),
        ("rollback", {"before_step": False}, errors.BadArguments, "whole number"),
        ("rollback", {"before_step": 1 << 60}, errors.BadArguments, "whole number"),
    ],
)
def test_steps_are_whole_numbers_within_bounds(kind: str, args: dict[str, Any], refusal: type, says: str) -> None:
    error = refused(a_run(ALL_KINDS), kind, args)
    assert type(error) is refusal
    assert says in str(error)


@pytest.mark.parametrize(
    ("kind", "args"),
    [("instrument", {"steps": 1}), ("instrument", {"steps": DETAIL_STEPS_MAX}), ("rollback", {}),
     ("rollback", {"before_step": 0}), ("rollback", {"before_step": MAX_STEP})],
)  # fmt: skip
def test_detail_and_rollback_are_taken_as_they_are(kind: str, args: dict[str, Any]) -> None:
    assert checked_args(a_run(ALL_KINDS), kind, args) == args
    assert isinstance(refused(a_run(), kind, args), errors.NotAllowed)


@pytest.mark.parametrize("args", [{}, {"before_step": 5}])
def test_without_a_snapshot_there_is_nothing_to_go_back_to(args: dict[str, Any]) -> None:
    run = a_run(ALL_KINDS)
    run.beat(Heartbeat(state="running", step=9, snapshot_step=-1), 1.0)
    error = refused(run, "rollback", args)
    assert (error.code, error.status, "snapshot_step" in error.hint) == ("no_snapshot", 409, True)
    run.beat(Heartbeat(state="running", step=9, snapshot_step=0), 1.0)
    assert checked_args(run, "rollback", args) == args


# -- runs that are over or away, and dry runs -------------------------------------------------------------------------


def test_a_run_that_is_over_or_away_takes_none() -> None:
    with pytest.raises(errors.RunOver, match="stopped"):
        checked_args(a_run(finish="stopped"), "pause", {})
    away = a_run()
    away.closed(0, 0)
    with pytest.raises(errors.RunNotConnected):
        checked_args(away, "pause", {})


def test_a_dry_run_may_be_asked_of_them_but_of_what_steers_only() -> None:
    over = a_run(finish="finished")
    over.closed(0, 0)
    wish = {"component": "ce", "value": 0.5}
    assert checked_args(over, "set_weight", wish, is_dry=True) == wish
    assert isinstance(refused(over, "set_weight", {**wish, "value": 3.0}, is_dry=True), errors.WeightOutOfBounds)
    assert isinstance(refused(over, "pause", {}, is_dry=True), errors.NotPossibleNow)


def test_the_coming_step_is_behind_all_that_is_known() -> None:
    run = a_run()
    assert run.next_step == 0
    run.step = 4
    assert run.next_step == 5
    run.beat(Heartbeat(state="running", step=8), 1.0)
    assert run.next_step == 8
    applied(run, 11, "c1", "set_weight", component="ce", value=0.5)
    assert run.next_step == 11
    run.tell(Event(seq=10, kind="rollback", step=6, data={"from": 11, "to": 6}), 0, lambda _: None)
    assert (run.next_step, run.plan.operations) == (
        8,
        (Operation(6, "c1", "set_weight", {"component": "ce", "value": 0.5}),),
    )


def test_a_rollback_takes_no_scale_to_a_weight_beyond_its_bounds() -> None:
    stages = [StageSpec("warm", 0, {"ce": 1.5, "free": 0.5}), StageSpec("main", 100, {"ce": 1.0, "free": 1.0})]
    run = a_run(ALL_KINDS, stages=stages)
    applied(run, 150, "c1", "scale_weights", factor=1.8)
    run.beat(Heartbeat(state="running", step=200, snapshot_step=120), 0.0)
    assert checked_args(run, "rollback", {}) == {}
    run.beat(Heartbeat(state="running", step=200, snapshot_step=90), 0.0)
    fault = refused(run, "rollback", {})
    assert isinstance(fault, errors.NotPossibleNow)
    assert fault.detail.endswith("revert that first.")
