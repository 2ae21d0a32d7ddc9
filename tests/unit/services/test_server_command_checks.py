"""Each command that cannot be given is refused with what is wrong, where, and what would be right."""

import math
from typing import Any

import pytest

from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import DETAIL_STEPS_MAX, ControlsSpec, Declaration, Heartbeat
from lossguard_server import errors
from lossguard_server.services.command_checks import checked_args
from lossguard_server.services.live import LiveRun
from lossguard_server.store.commands import StoredCommand
from lossguard_server.store.runs import StoredRun


def a_run(kinds: tuple[str, ...] = ("pause", "set_weight", "revert"), finish: str | None = None) -> LiveRun:
    controls = ControlsSpec(list(kinds), {"ce": (0.0, 2.0)})
    return LiveRun(
        StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, finish),
        declaration=Declaration(seq=1, components=["ce", "free"], controls=controls),
        connections={0: 1},
    )


def a_command(kind: str, state: str) -> StoredCommand:
    return StoredCommand("c1", "r1", 1, kind, {}, "k", "a", None, None, state, 1.0, None, None, None, None, [])


@pytest.mark.parametrize(
    ("kind", "args", "refusal", "says"),
    [
        ("explode", {}, errors.UnknownKind, "explode"),
        ("stop", {}, errors.NotAllowed, "it allows pause, set_weight, revert"),
        ("pause", {"x": 1}, errors.BadArguments, "Needed: none"),
        ("set_weight", {"component": "ce"}, errors.BadArguments, "Needed: component, value"),
        ("set_weight", {"component": "ce", "value": 1, "extra": 2}, errors.BadArguments, "extra"),
        ("set_weight", {"component": "nope", "value": 1.0}, errors.UnknownComponent, "components are ce, free"),
        ("set_weight", {"component": 3, "value": 1.0}, errors.UnknownComponent, "'3'"),
        ("set_weight", {"component": "ce", "value": "0.5"}, errors.BadArguments, "not a number"),
        ("set_weight", {"component": "ce", "value": True}, errors.BadArguments, "not a number"),
        ("set_weight", {"component": "ce", "value": math.nan}, errors.WeightNotFinite, "nan"),
        ("set_weight", {"component": "ce", "value": "NaN"}, errors.WeightNotFinite, "nan"),
        ("set_weight", {"component": "free", "value": "-Infinity"}, errors.WeightNotFinite, "-inf"),
        ("set_weight", {"component": "free", "value": 10**400}, errors.BadArguments, "not a number"),
        ("set_weight", {"component": "ce", "value": 2.1}, errors.WeightOutOfBounds, "bounds are 0 to 2"),
        ("set_weight", {"component": "ce", "value": -0.1}, errors.WeightOutOfBounds, "from 0 to 2"),
        ("revert", {"command": 5}, errors.BadArguments, "id of a command"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(kind: str, args: dict[str, Any], refusal: type, says: str) -> None:
    with pytest.raises(refusal) as refused:
        checked_args(a_run(), kind, args, None)
    assert says in str(refused.value)


def test_what_is_right_is_taken_as_numbers() -> None:
    assert checked_args(a_run(), "pause", {}, None) == {}
    taken = checked_args(a_run(), "set_weight", {"component": "ce", "value": 2}, None)
    assert taken == {"component": "ce", "value": 2.0}
    assert type(taken["value"]) is float
    assert checked_args(a_run(), "set_weight", {"component": "free", "value": 1e30}, None)["value"] == 1e30


@pytest.mark.parametrize(
    ("kind", "state", "is_revertible"),
    [
        ("set_weight", "applied", True),
        ("revert", "applied", True),
        ("set_weight", "sent", False),
        ("pause", "applied", False),
    ],
)
def test_only_what_changed_a_weight_is_reverted(kind: str, state: str, is_revertible: bool) -> None:
    target = a_command(kind, state)
    if is_revertible:
        assert checked_args(a_run(), "revert", {"command": "c1"}, target) == {"command": "c1"}
    else:
        with pytest.raises(errors.NotRevertible):
            checked_args(a_run(), "revert", {"command": "c1"}, target)


ALL_KINDS = ("instrument", "rollback")


@pytest.mark.parametrize(
    ("kind", "args", "refusal", "says"),
    [
        ("instrument", {}, errors.BadArguments, "Needed: steps"),
        ("instrument", {"steps": 5, "more": 1}, errors.BadArguments, "more"),
        ("instrument", {"steps": "5"}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": 5.0}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": True}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": None}, errors.BadArguments, "whole number"),
        ("instrument", {"steps": 0}, errors.StepsOutOfBounds, "1 to 100000"),
        ("instrument", {"steps": -1}, errors.StepsOutOfBounds, "asked for -1"),
        ("instrument", {"steps": DETAIL_STEPS_MAX + 1}, errors.StepsOutOfBounds, "100001"),
        ("instrument", {"steps": 10**5_000}, errors.StepsOutOfBounds, "more than can be counted"),
        ("rollback", {"step": 5}, errors.BadArguments, "Needed: before_step"),
        ("rollback", {"before_step": 5, "more": 1}, errors.BadArguments, "more"),
        ("rollback", {"before_step": -1}, errors.BadArguments, "not a step"),
        ("rollback", {"before_step": "5"}, errors.BadArguments, "not a step"),
        ("rollback", {"before_step": 5.0}, errors.BadArguments, "not a step"),
        ("rollback", {"before_step": False}, errors.BadArguments, "not a step"),
        ("rollback", {"before_step": None}, errors.BadArguments, "not a step"),
        ("rollback", {"before_step": 1 << 60}, errors.BadArguments, "not a step"),
    ],
)
def test_steps_are_whole_numbers_within_bounds(kind: str, args: dict[str, Any], refusal: type, says: str) -> None:
    with pytest.raises(refusal) as refused:
        checked_args(a_run(ALL_KINDS), kind, args, None)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "args"),
    [("instrument", {"steps": 1}), ("instrument", {"steps": DETAIL_STEPS_MAX}), ("rollback", {}),
     ("rollback", {"before_step": 0}), ("rollback", {"before_step": MAX_STEP})],
)  # fmt: skip
def test_detail_and_rollback_are_taken_as_they_are(kind: str, args: dict[str, Any]) -> None:
    assert checked_args(a_run(ALL_KINDS), kind, args, None) == args
    with pytest.raises(errors.NotAllowed):
        checked_args(a_run(), kind, args, None)


@pytest.mark.parametrize("args", [{}, {"before_step": 5}])
def test_without_a_snapshot_there_is_nothing_to_go_back_to(args: dict[str, Any]) -> None:
    run = a_run(ALL_KINDS)
    run.beat(Heartbeat(state="running", step=9, snapshot_step=-1), 1.0)
    with pytest.raises(errors.NoSnapshot) as refused:
        checked_args(run, "rollback", args, None)
    assert (refused.value.code, refused.value.status, "snapshot_step" in refused.value.hint) == (
        "no_snapshot",
        409,
        True,
    )
    run.beat(Heartbeat(state="running", step=9, snapshot_step=0), 1.0)
    assert checked_args(run, "rollback", args, None) == args


def test_a_run_that_is_over_or_away_takes_none() -> None:
    with pytest.raises(errors.RunOver, match="stopped"):
        checked_args(a_run(finish="stopped"), "pause", {}, None)
    away = a_run()
    away.closed(0)
    with pytest.raises(errors.RunNotConnected):
        checked_args(away, "pause", {}, None)
