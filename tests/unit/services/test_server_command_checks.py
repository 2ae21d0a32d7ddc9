"""Each command that cannot be given is refused with what is wrong, where, and what would be right."""

import math
from typing import Any

import pytest

from lossguard.protocol.messages import ControlsSpec, Declaration
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


def test_a_run_that_is_over_or_away_takes_none() -> None:
    with pytest.raises(errors.RunOver, match="stopped"):
        checked_args(a_run(finish="stopped"), "pause", {}, None)
    away = a_run()
    away.closed(0)
    with pytest.raises(errors.RunNotConnected):
        checked_args(away, "pause", {}, None)
