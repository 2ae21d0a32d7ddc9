"""Whether a command may be given to a run, and with which arguments.

Rules of this file: pure. Each refusal says what is wrong, where, and what would be right. The trainer checks again by
its own rules: this is courtesy to the operator, not the trainer's protection.
"""

import math
from collections.abc import Callable
from typing import Any

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import DETAIL_STEPS_MAX
from lossguard.protocol.numbers import number_from_json

from ..errors import (
    BadArguments,
    NoSnapshot,
    NotAllowed,
    NotRevertible,
    RunNotConnected,
    RunOver,
    StepsOutOfBounds,
    UnknownComponent,
    UnknownKind,
    WeightNotFinite,
    WeightOutOfBounds,
)
from ..store.commands import StoredCommand
from .live import LiveRun

NO_BOUNDS = (-math.inf, math.inf)


def checked_args(run: LiveRun, kind: str, args: dict[str, Any], target: StoredCommand | None) -> dict[str, Any]:
    """The arguments as they are stored and sent. `target`: the command that a revert names. Raises CommandError."""
    if kind not in COMMAND_KINDS:
        raise UnknownKind(f"It is {kind[:80]!r}.", f"Known kinds are {', '.join(COMMAND_KINDS)}.")
    if run.stored.finish is not None:
        raise RunOver(f"It is {run.stored.finish}.")
    if kind not in run.declaration.controls.kinds:
        allowed = ", ".join(run.declaration.controls.kinds) or "none"
        raise NotAllowed(f"It is {kind!r}; it allows {allowed}.")
    checks: dict[str, Callable[[], dict[str, Any]]] = {
        "set_weight": lambda: _set_weight(run, args),
        "revert": lambda: _revert(args, target),
        "instrument": lambda: _instrument(args),
        "rollback": lambda: _rollback(run, args),
    }
    answer = checks.get(kind, lambda: _exactly(args))()
    if not run.is_connected:
        raise RunNotConnected(f"It is {run.id!r}.")
    return answer


def _set_weight(run: LiveRun, args: dict[str, Any]) -> dict[str, Any]:
    _exactly(args, "component", "value")
    component = args["component"]
    if not isinstance(component, str) or component not in run.declaration.components:
        known = ", ".join(run.declaration.components) or "none"
        raise UnknownComponent(f"It was asked for as {str(component)[:80]!r}.", f"Its components are {known}.")
    try:
        value = number_from_json(args["value"])
    except ValueError as error:
        raise BadArguments("`value` is not a number.", 'Send {"component": name, "value": number}.') from error
    if not math.isfinite(value):
        raise WeightNotFinite(f"{component!r} was to become {value}.", "Send a number.")
    low, high = run.declaration.controls.weight_bounds.get(component, NO_BOUNDS)
    if not low <= value <= high:
        raise WeightOutOfBounds(
            f"{component!r} was to become {value:g}, its bounds are {low:g} to {high:g}.",
            f"Choose a weight from {low:g} to {high:g}, or widen lg.Controls(weight_bounds=...) in the script.",
        )
    return {"component": component, "value": value}


def _revert(args: dict[str, Any], target: StoredCommand | None) -> dict[str, Any]:
    _exactly(args, "command")
    if target is None:
        raise BadArguments("`command` is not the id of a command.", 'Send {"command": id}.')
    if target.kind not in ("set_weight", "revert") or target.state != "applied":
        raise NotRevertible(f"Command {target.id} is a {target.kind} and {target.state}.")
    return {"command": target.id}


def _instrument(args: dict[str, Any]) -> dict[str, Any]:
    _exactly(args, "steps")
    steps = args["steps"]
    if type(steps) is not int:  # a bool is an int, and 5.5 steps are none
        raise BadArguments("`steps` is not a whole number.", 'Send {"steps": number}.')
    if not 1 <= steps <= DETAIL_STEPS_MAX:
        raise StepsOutOfBounds(f"It was asked for {_short(steps)}.", f"Ask for 1 to {DETAIL_STEPS_MAX}.")
    return {"steps": steps}


def _rollback(run: LiveRun, args: dict[str, Any]) -> dict[str, Any]:
    if args:
        _exactly(args, "before_step")
        before_step = args["before_step"]
        if type(before_step) is not int or not 0 <= before_step <= MAX_STEP:
            raise BadArguments("`before_step` is not a step.", 'Send {} or {"before_step": a step from 0 on}.')
    # without a heartbeat nothing is known: the trainer decides
    if run.heartbeat is not None and run.heartbeat.snapshot_step < 0:
        raise NoSnapshot(f"It is {run.id!r}.")
    return args


def _short(number: int) -> str:
    return str(number) if abs(number) <= MAX_STEP else "more than can be counted"


def _exactly(args: dict[str, Any], *names: str) -> dict[str, Any]:
    if set(args) != set(names):
        given = ", ".join(sorted(args)) or "none"
        raise BadArguments(f"Given: {given[:200]}.", f"Needed: {', '.join(names) or 'none'}.")
    return args
