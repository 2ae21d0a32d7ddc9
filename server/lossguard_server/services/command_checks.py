"""Whether a command may be given to a run, and with which arguments.

Rules of this file: pure. Each refusal says what is wrong, where, and what would be right. The trainer checks again by
its own rules: this is courtesy to the operator, not the trainer's protection. What makes sense is asked of the plan as
it will be at the coming step, after the commands that are on their way.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.commands import checked, fits, fits_back
from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import DETAIL_STEPS_MAX, Operation
from lossguard.protocol.numbers import WORDS
from lossguard.protocol.steering import CLIP, GATE, GO_TO, LR, REVERT, SCALE, SET, STEERING_KINDS, NotPossible, Plan

from ..errors import (
    BadArguments,
    CommandError,
    NoSnapshot,
    NotAllowed,
    NotPossibleNow,
    NotRevertible,
    RunNotConnected,
    RunOver,
    StepsOutOfBounds,
    UnknownComponent,
    UnknownKind,
    UnknownStage,
    ValueOutOfBounds,
    WeightNotFinite,
    WeightOutOfBounds,
)
from ..store.commands import StoredCommand
from . import command_states as states
from .live import LiveRun

THE_NEW_ONE = ""  # no command has this id
NUMBERS = ("value", "factor")
OUT_OF_BOUNDS: dict[str, type[CommandError]] = {
    SET: WeightOutOfBounds, SCALE: WeightOutOfBounds, LR: ValueOutOfBounds, CLIP: ValueOutOfBounds,
}  # fmt: skip


def checked_args(
    run: LiveRun,
    kind: str,
    args: Mapping[str, Any],
    target: StoredCommand | None = None,
    under_way: Iterable[StoredCommand] = (),
    is_dry: bool = False,
) -> dict[str, Any]:
    """The arguments as they are stored and sent. Raises CommandError.

    `target`: the command that a revert names; `under_way`: what is open, in order; `is_dry`: only its effect on the
    schedule is asked for, of a run that may be over or away.
    """
    if kind not in COMMAND_KINDS:
        raise UnknownKind(f"It is {kind[:80]!r}.", f"Known kinds are {', '.join(COMMAND_KINDS)}.")
    if run.stored.finish is not None and not is_dry:
        raise RunOver(f"It is {run.stored.finish}.")
    if kind not in run.declaration.controls.kinds:
        allowed = ", ".join(run.declaration.controls.kinds) or "none"
        raise NotAllowed(f"It is {kind!r}; it allows {allowed}.")
    taken = _taken(kind, args)
    _AFTER.get(kind, _nothing_more)(run, taken, target)
    if is_dry and kind not in STEERING_KINDS:
        raise NotPossibleNow(f"A {kind} changes nothing of it.", "Ask what a change of the schedule would do.")
    if kind in STEERING_KINDS:
        _check_plan(run, kind, taken, ahead(run, under_way))
    if not run.is_connected and not is_dry:
        raise RunNotConnected(f"It is {run.id!r}.")
    return taken


def ahead(run: LiveRun, under_way: Iterable[StoredCommand] = ()) -> Plan:
    """The plan as it will be at the coming step, if what is open is applied."""
    plan = run.plan
    for command in under_way:
        try:
            plan = plan.plus(Operation(run.next_step, command.id, command.kind, command.args))
        except NotPossible:
            continue  # it steers nothing, or its trainer will refuse it
    return plan


def _taken(kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
    for before in (_finite_weight, _counted_steps):
        before(kind, args)
    try:
        taken = checked(kind, args)
    except NotPossible as reason:
        raise BadArguments(_sentence(reason)) from reason
    return {name: float(value) if name in NUMBERS else value for name, value in taken.items()}


def _finite_weight(kind: str, args: Mapping[str, Any]) -> None:
    value = args.get("value")
    is_word = isinstance(value, str) and value in WORDS
    if kind == SET and (is_word or (isinstance(value, float) and not math.isfinite(value))):
        said = WORDS[str(value)] if is_word else value
        raise WeightNotFinite(f"{str(args.get('component'))[:80]!r} was to become {said}.", "Send a number.")


def _counted_steps(kind: str, args: Mapping[str, Any]) -> None:
    steps = args.get("steps")
    if kind == "instrument" and type(steps) is int and not 1 <= steps <= DETAIL_STEPS_MAX:
        said = str(steps) if abs(steps) <= MAX_STEP else "more than can be counted"
        raise StepsOutOfBounds(f"It was asked for {said}.", f"Ask for 1 to {DETAIL_STEPS_MAX}.")


def _check_plan(run: LiveRun, kind: str, args: dict[str, Any], plan: Plan) -> None:
    step = run.next_step
    try:
        fits(kind, args, plan, run.declaration.controls, step)
    except NotPossible as reason:
        hint = "Choose one within the bounds, or widen those of lg.Controls in the script."
        raise OUT_OF_BOUNDS.get(kind, NotPossibleNow)(_sentence(reason), hint) from reason
    try:
        plan.plus(Operation(step, THE_NEW_ONE, kind, args))
    except NotPossible as reason:
        raise (NotRevertible if kind == REVERT else NotPossibleNow)(_sentence(reason)) from reason


def _names(run: LiveRun, args: dict[str, Any], target: StoredCommand | None) -> None:
    for name in [args["component"]] if "component" in args else args.get("components") or []:
        if name not in run.declaration.components:
            known = ", ".join(run.declaration.components) or "none"
            raise UnknownComponent(f"It was asked for as {name[:80]!r}.", f"Its components are {known}.")


def _stage(run: LiveRun, args: dict[str, Any], target: StoredCommand | None) -> None:
    names = [stage.name for stage in run.declaration.stages]
    if args["stage"] not in names:
        known = ", ".join(names) or "none"
        raise UnknownStage(f"It was asked for as {args['stage'][:80]!r}.", f"Its stages are {known}.")


def _revert(run: LiveRun, args: dict[str, Any], target: StoredCommand | None) -> None:
    if target is None:
        raise BadArguments("`command` is not the id of a command.", 'Send {"command": id}.')
    if target.kind not in STEERING_KINDS or target.state != states.APPLIED:
        raise NotRevertible(f"Command {target.id} is a {target.kind} and {target.state}.")


def _rollback(run: LiveRun, args: dict[str, Any], target: StoredCommand | None) -> None:
    # without a heartbeat nothing is known: the trainer decides
    if run.heartbeat is not None and run.heartbeat.snapshot_step < 0:
        raise NoSnapshot(f"It is {run.id!r}.")
    if run.heartbeat is not None and args.get("before_step") is None:
        try:
            fits_back(run.plan, run.heartbeat.snapshot_step, run.next_step, run.declaration.controls)
        except NotPossible as reason:
            raise NotPossibleNow(_sentence(reason)) from reason


def _nothing_more(run: LiveRun, args: dict[str, Any], target: StoredCommand | None) -> None:
    """Its arguments say it all."""


def _sentence(reason: NotPossible) -> str:
    text = str(reason)
    is_name = text.partition(" ")[0] in COMMAND_KINDS
    return f"{text}." if is_name else f"{text[:1].upper()}{text[1:]}."


_AFTER: dict[str, Callable[[LiveRun, dict[str, Any], StoredCommand | None], None]] = {
    SET: _names, SCALE: _names, GATE: _names, GO_TO: _stage, REVERT: _revert, "rollback": _rollback,
}  # fmt: skip
