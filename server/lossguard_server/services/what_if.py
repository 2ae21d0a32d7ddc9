"""What the last steps would have been worth under other weights: a dry run of a command, from what is stored.

Rules of this file:
- Nothing is stored, sent or promised: losses are taken as they were, as if training had not answered the change.
- The operation is applied at the first of the steps, on top of what is in force now: what was done since then counts as
  done there, and what is over by now as never done. A ramp or a lease is shown as it would have run.
- What moves the curriculum's clock stays where it was done, because a stage held elsewhere would be another one; and
  such an operation is put behind the last of them.
- A weight that the operation does not touch is the stored one, so that before and after differ by the operation alone.
- A step at which the raw loss of a component that takes part is missing is left out, and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from msgspec import structs

from lossguard.protocol import names as series_names
from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Operation
from lossguard.protocol.steering import CLIP, CLOCK_KINDS, LR, NotPossible, Plan, lease_end

from ..errors import NotPossibleNow
from .contributions import Floats, Mask, Table, contributions, series_of, shares, table_of, totals

STEPS = 500
SIDES = ("before", "after")
PROPOSED = "dry-run"
SAME_LOSSES = "Computed from the losses as they were; how training would have answered is not in it."
AS_IF_THERE = "It is shown as if it were done at step {step:,}, and the stages went on from there."
NOT_THE_LOSS = "It changes no weight: what it does to training cannot be computed from what is stored."


class Source(Protocol):
    """What is asked of store.points.Points."""

    def last_step(self, run_id: str, names: Sequence[str]) -> int: ...

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]: ...


def what_if(
    source: Source, run_id: str, plan: Plan, next_step: int, kind: str, args: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer of docs/protocol.md to a command with `dry_run`: {dry_run, from, to, at_step, steps: [n],
    total: {before: [n], after: [n]}, share: {component: {before, after}}, now, left_out, text}; n is at most 500.

    `plan`: what is in force, `next_step`: the coming boundary; `args`: as checked. `share`: medians over the
    steps, null where it never was finite;
    `now`: {step, total, weight, share} at the last step, null without one; `left_out`: how many steps were.
    Raises NotPossibleNow, StorageError.
    """
    last = source.last_step(run_id, [series_names.loss(name) for name in plan.components])
    first = max(0, last - STEPS + 1)
    plans = _plans(plan, Operation(max(next_step, last + 1), PROPOSED, kind, dict(args)), first)
    if last < 0:
        return _answer(_nothing(plan), plans, 0)
    table = table_of(source.raw(run_id, series_of(plan.components), first, last), plan.components)
    whole = _whole(table, plans)
    return _answer(table.only(whole), plans, int((~whole).sum()))


@dataclass(frozen=True)
class _Plans:
    """`before`: as it was; `without` and `proposed`: what is in force now, from the first step on."""

    before: Plan
    without: Plan
    proposed: Plan
    operation: Operation
    kind: str  # of what it is about: of a revert the command that it takes back


def _plans(plan: Plan, operation: Operation, first: int) -> _Plans:
    now = operation.step
    without = _as_now(plan, first, now)
    try:
        done = plan.plus(operation)  # what cannot be done now is not to be foreseen
        kind = done.operations[done.root_of(len(plan.operations))].kind
        there = structs.replace(operation, step=_clock_settled(plan, first, now) if kind in CLOCK_KINDS else first)
        return _Plans(plan, without, without.plus(there), there, kind)
    except NotPossible as reason:
        raise NotPossibleNow(f"{str(reason)[:1].upper()}{str(reason)[1:]}.") from reason


def _as_now(plan: Plan, first: int, now: int) -> Plan:
    """What holds now holds since `first`; what is due later stays where it is."""
    kept = []
    for number, operation in enumerate(plan.operations):
        root = plan.operations[plan.root_of(number)]
        is_over = (end := lease_end(root)) is not None and end <= now
        if operation.step > now or root.kind in CLOCK_KINDS:
            kept.append(operation)
        elif not is_over:
            args = {name: value for name, value in operation.args.items() if name != "lease_steps"}
            kept.append(structs.replace(operation, step=min(operation.step, first), args=args))
    return Plan(plan.stages, plan.components, kept)


def _clock_settled(plan: Plan, first: int, now: int) -> int:
    """The first step from `first` on from which nobody touched the curriculum's clock again until now."""
    touched = [first]
    for number, operation in enumerate(plan.operations):
        if plan.operations[plan.root_of(number)].kind in CLOCK_KINDS:
            touched += [operation.step, lease_end(operation) or 0]
    return max((step for step in touched if step <= now), default=first)


def _gated(plan: Plan, steps: Sequence[int]) -> Mask:
    """[K, n]."""
    rows = [plan.gated_at(step) for step in steps]
    found = np.array([[name in row for row in rows] for name in plan.components], np.bool_)
    return found.reshape(len(plan.components), len(rows))


def _weights(plan: Plan, steps: Sequence[int]) -> Floats:
    """[K, n]."""
    rows = [plan.weights_at(step) for step in steps]
    found = np.array([[row[name] for row in rows] for name in plan.components], np.float64)
    return found.reshape(len(plan.components), len(rows))


def _both_gated(plans: _Plans, steps: Sequence[int]) -> tuple[Mask, Mask]:
    """[K, n], before and after; a component that the operation does not touch is gated where it was."""
    before, without, proposed = (_gated(each, steps) for each in (plans.before, plans.without, plans.proposed))
    return before, np.where(proposed == without, before, proposed)


def _both_weights(table: Table, plans: _Plans, steps: Sequence[int]) -> tuple[Floats, Floats]:
    """[K, n], before and after."""
    before, without, proposed = (_weights(each, steps) for each in (plans.before, plans.without, plans.proposed))
    stored = np.where(table.has_weight, table.weights, before)
    return stored, np.where(proposed == without, stored, proposed)


def _whole(table: Table, plans: _Plans) -> Mask:
    """[n]: the raw loss of every component that takes part, before or after, is known."""
    before, after = _both_gated(plans, table.steps.tolist())
    return np.asarray(~(~table.has_loss & ~(before & after)).any(axis=0))


def _answer(table: Table, plans: _Plans, left_out: int) -> dict[str, Any]:
    plan, operation, steps = plans.before, plans.operation, table.steps.tolist()
    weights = dict(zip(SIDES, _both_weights(table, plans, steps), strict=True))
    gated = dict(zip(SIDES, _both_gated(plans, steps), strict=True))
    contributed = {side: contributions(table.losses, weights[side], gated[side]) for side in SIDES}
    held = {side: shares(each) for side, each in contributed.items()}
    total = {side: totals(each) for side, each in contributed.items()}
    return {
        "dry_run": True,
        "from": steps[0] if steps else None,
        "to": steps[-1] if steps else None,
        "at_step": operation.step,
        "steps": steps,
        "total": {side: each.tolist() for side, each in total.items()},
        "share": _by_component(plan, {side: [_median(row) for row in each] for side, each in held.items()}),
        "now": _now(plan, table, total, weights, held) if steps else None,
        "left_out": left_out,
        "text": _text(plans, bool(steps)),
    }


def _text(plans: _Plans, has_steps: bool) -> str:
    if plans.kind in (LR, CLIP):
        return NOT_THE_LOSS
    if plans.kind in CLOCK_KINDS and has_steps:  # a stage that was in force there anyway changes nothing that is shown
        return f"{SAME_LOSSES} {AS_IF_THERE.format(step=plans.operation.step)}"
    return SAME_LOSSES


def _now(
    plan: Plan, table: Table, total: dict[str, Floats], weights: dict[str, Floats], held: dict[str, Floats]
) -> dict[str, Any]:
    """At the last step."""
    last_shares = {side: [_median(row[-1:]) for row in each] for side, each in held.items()}
    return {
        "step": int(table.steps[-1]),
        "total": {side: float(each[-1]) for side, each in total.items()},
        "weight": _by_component(plan, {side: each[:, -1].tolist() for side, each in weights.items()}),
        "share": _by_component(plan, last_shares),
    }


def _by_component(plan: Plan, sides: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, float | None]]:
    return {name: {side: each[k] for side, each in sides.items()} for k, name in enumerate(plan.components)}


def _median(values: Floats) -> float | None:
    """Of those that are known; a share is never infinite."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _nothing(plan: Plan) -> Table:
    nothing = np.zeros((len(plan.components), 0))
    none = np.zeros(nothing.shape, np.bool_)
    return Table(plan.components, np.empty(0, np.int64), nothing, nothing, none, none)
