"""What a command may carry: one table for both ends.

Rules of this file: pure. Each refusal is a sentence for a person: what is wrong, where, and what would be right.
Whether the training script allows it is checked by `fits`; what makes sense at a step, by steering.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .frames import MAX_STEP
from .messages import COMMAND_KINDS, DETAIL_STEPS_MAX, ControlsSpec, Operation
from .steering import (
    CLIP,
    CLOCK_KINDS,
    GATE,
    GO_TO,
    HOLD,
    LEASED_KINDS,
    LR,
    RELEASE,
    REVERT,
    SCALE,
    SET,
    NotPossible,
    Plan,
)

STEPS_MAX = 10**9  # of a ramp or a lease
FACTOR_MAX = 1e6
LOOK_AHEAD = 1_000  # changes of the plan that are looked at, at most: no real one has as many
TOO_MANY = f"more than {LOOK_AHEAD} changes lie ahead: nobody can tell that scaled weights stay within their bounds"
NO_BOUNDS = (-math.inf, math.inf)
ORDER = ("stop", "rollback", "checkpoint")  # what comes first at a boundary; pause and resume come last

Check = Callable[[Any], str | None]  # of a value: what it should have been, or None


def checked(kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as they are stored, sent and applied. Raises NotPossible."""
    if kind not in COMMAND_KINDS:
        raise NotPossible(f"{kind[:80]!r} is no command; known are {', '.join(COMMAND_KINDS)}")
    needed, optional = _NEEDED.get(kind, {}), dict(_OPTIONAL.get(kind, {}))
    if kind in LEASED_KINDS:
        optional["lease_steps"] = _steps
    if unknown := sorted(set(args) - {*needed, *optional}):
        known = ", ".join([*needed, *(f"{name}?" for name in optional)]) or "no arguments"
        raise NotPossible(f"{kind} does not take {str(unknown[0])[:80]!r}; it takes {known}")
    if missing := [name for name in needed if name not in args]:
        raise NotPossible(f"{kind} needs the argument {missing[0]!r}")
    for name, value in args.items():
        if (fault := (needed | optional)[name](value)) is not None:
            raise NotPossible(f"argument {name!r} must be {fault}, not {_short(value)}")
    return {name: list(value) if isinstance(value, list | tuple) else value for name, value in args.items()}


def fits(kind: str, args: Mapping[str, Any], plan: Plan, spec: ControlsSpec, step: int) -> None:
    """Whether checked arguments lie within what the training script allows. Raises NotPossible."""
    if kind not in spec.kinds:
        allowed = ", ".join(spec.kinds) or "nothing"
        raise NotPossible(f"this training script does not allow {kind!r}; it allows {allowed}")
    if kind == SET and args["component"] in plan.components:
        _within(args["value"], spec.weight_bounds.get(args["component"], NO_BOUNDS), f"of {args['component']!r}")
    if kind == SCALE:
        _within(args["factor"], (0.0, FACTOR_MAX), "of a factor")
    if kind in (SCALE, REVERT, RELEASE) or (kind == GO_TO and args["stage"] in [stage.name for stage in plan.stages]):
        _scaled_within(plan, Operation(step, "", kind, dict(args)), spec)
    if kind == LR:
        _within(args["value"], spec.lr_scale_bounds, "of the learning rate's multiplier")
    if kind == CLIP:
        _within(args["value"], spec.clip_bounds, "of the clipping norm")


def fits_back(plan: Plan, to_step: int, from_step: int, spec: ControlsSpec) -> None:
    """Whether a rollback takes no scale along to weights that leave their bounds by it. Raises NotPossible."""
    if all(each.kind != SCALE for each in plan.operations):
        return
    operations = plan.rolled_back(to_step, from_step).operations
    unscaled = _only(plan, operations, lambda kind: kind not in (GATE, SCALE))
    try:
        _stay_within(_ungated(plan, plan.operations), _ungated(plan, operations), unscaled, to_step, spec)
    except NotPossible as fault:
        text = f"going back to step {to_step} takes what scales the weights along: {fault}; revert that first"
        raise NotPossible(text) from None


def _scaled_within(plan: Plan, operation: Operation, spec: ControlsSpec) -> None:
    """No weight that the operation changes leaves its bounds, now, later, or when a gate opens. Raises NotPossible.

    What the curriculum declares is the script's own word, whatever the bounds.
    """
    operations = (*plan.operations, operation)
    if all(each.kind != SCALE for each in operations):
        return
    declared = _only(plan, operations, lambda kind: kind in (*CLOCK_KINDS, REVERT))
    _stay_within(_ungated(plan, plan.operations), _ungated(plan, operations), declared, operation.step, spec)


def _stay_within(before: Plan, after: Plan, allowed: Plan, first: int, spec: ControlsSpec) -> None:
    """From the step `first` on: what is neither as before nor as `allowed` is within its bounds. Raises NotPossible."""
    changes = after.changes_after(first)
    if len(changes) > LOOK_AHEAD:
        raise NotPossible(TOO_MANY)
    # a ramp within two changes goes one way, so its ends tell
    for step in sorted({first, *changes, *(change - 1 for change in changes)}):
        old, free = before.weights_at(step), allowed.weights_at(step)
        for name, weight in after.weights_at(step).items():
            if weight not in (old[name], free[name]):
                when = f" at step {step}" if step > first else ""
                _within(weight, spec.weight_bounds.get(name, NO_BOUNDS), f"of {name!r}{when}")


def _ungated(plan: Plan, operations: Sequence[Operation]) -> Plan:
    return _only(plan, operations, lambda kind: kind != GATE)


def _only(plan: Plan, operations: Sequence[Operation], is_meant: Callable[[str], bool]) -> Plan:
    return Plan(plan.stages, plan.components, [each for each in operations if is_meant(each.kind)])


def _within(value: float, bounds: Sequence[float], whose: str) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise NotPossible(f"{value:g} is outside the bounds [{low:g}, {high:g}] {whose}")


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and 0 < len(value) <= 512 else "a text"


def _number(value: Any) -> str | None:
    # abs(x) <= max: also of an integer beyond float64, for which isfinite raises
    good = not isinstance(value, bool) and isinstance(value, int | float) and abs(value) <= 1.7976931348623157e308
    return None if good else "a finite number"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> str | None:
        return None if type(value) is int and low <= value <= high else f"a whole number from {low} to {high}"

    return check


def _texts(value: Any) -> str | None:
    good = isinstance(value, list | tuple) and value and all(_text(each) is None for each in value)
    return None if good and len(set(value)) == len(value) else "a list of different names"


def _short(value: Any) -> str:
    return repr(value)[:80]


_steps = _whole(1, STEPS_MAX)
_NEEDED: dict[str, dict[str, Check]] = {
    SET: {"component": _text, "value": _number},
    SCALE: {"factor": _number},
    GATE: {"component": _text, "open": _flag},
    HOLD: {},
    RELEASE: {},
    GO_TO: {"stage": _text},
    LR: {"value": _number},
    CLIP: {"value": _number},
    REVERT: {"command": _text},
    "instrument": {"steps": _whole(1, DETAIL_STEPS_MAX)},
}
_OPTIONAL: dict[str, dict[str, Check]] = {
    SET: {"ramp_steps": _steps},
    SCALE: {"components": _texts},
    "rollback": {"before_step": _whole(0, MAX_STEP)},
}
