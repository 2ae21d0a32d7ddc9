"""What steers a run, for people and for the next run: its schedule from here on, and its curriculum as a patch.

Rules of this file:
- Pure. Everything is computed by the Plan, which is the trainer's own: what is shown here is what holds there.
- A patch is read by `lg.Curriculum.load`: `stages` and `operations` make the same Plan; `effective` is for people.
- Bounded: CHANGES_MAX and PIECES_MAX, whatever was done to a run.
"""

import re
from itertools import pairwise
from typing import Any

import msgspec

from lossguard.protocol.steering import HOLD, Plan

from .live import LiveRun

CHANGES_MAX = 200
PIECES_MAX = 1_000
PATCH, VERSION = "curriculum", 1


def schedule_view(run: LiveRun, version: int) -> dict[str, Any]:
    """What is in force at the run's coming step, and what will begin or end by itself if nothing more is done.

    `version`: the number of the run's newest command.
    """
    plan, step = run.plan, run.next_step
    return {
        "version": version,
        "step": step,
        "position": plan.clock_at(step).position,
        "held": _held(plan, step),
        "stage": _stage_name(plan, step),
        "stages": [
            {"name": stage.name, "start": stage.start, "begins_at": plan.begins_at(index, step)}
            for index, stage in enumerate(plan.stages)
        ],
        **_in_force(plan, step),
        "changes": _changes(plan, step),
        "operations": [
            {**_operation(plan, number), "in_force": plan.is_live(number, step)}
            for number in range(len(plan.operations))
        ],
    }


def curriculum_patch(run: LiveRun) -> dict[str, Any]:
    """The run's curriculum with all that was done to it, as the file that `lg.Curriculum.load` reads."""
    plan, step = run.plan, run.next_step
    return {
        "lossguard": PATCH,
        "version": VERSION,
        "run": run.id,
        "exported_at_step": step,
        "components": list(plan.components),
        "stages": [msgspec.to_builtins(stage) for stage in plan.stages],
        "operations": [_operation(plan, number) for number in range(len(plan.operations))],
        "effective": effective(plan),
    }


def effective(plan: Plan) -> list[dict[str, Any]]:
    """The whole schedule in pieces from change to change; a weight that moves within one is [at its first step, at its
    last]. The last piece has no end."""
    pieces: list[dict[str, Any]] = []
    step: int | None = 0
    while step is not None and len(pieces) < PIECES_MAX:
        after = plan.changes_after(step)
        last = after[0] - 1 if after else None
        piece: dict[str, Any] = {"from": step, "to": last, "stage": _stage_name(plan, step), **_in_force(plan, step)}
        if last is not None:
            ends = plan.weights_at(last)
            piece["weights"] = {
                name: weight if weight == ends[name] else [weight, ends[name]]
                for name, weight in piece["weights"].items()
            }
        pieces.append({**piece, "held": _held(plan, step) is not None})
        step = after[0] if after else None
    return pieces


def _in_force(plan: Plan, step: int) -> dict[str, Any]:
    return {
        "weights": plan.weights_at(step),
        "gated": sorted(plan.gated_at(step)),
        "lr_scale": plan.lr_scale_at(step),
        "clip": plan.clip_at(step),
    }


def _changes(plan: Plan, step: int) -> list[dict[str, Any]]:
    """Where something is different; what ends beneath something that holds on is not."""
    found = (_change(plan, at) for at in plan.changes_after(step)[:CHANGES_MAX])
    return [change for change in found if change["text"]]


def _change(plan: Plan, step: int) -> dict[str, Any]:
    """What is different at `step` from the step before."""
    now, before = _in_force(plan, step), _in_force(plan, step - 1)
    stage, weights = _stage_name(plan, step), now["weights"]
    moved = {name: weight for name, weight in weights.items() if weight != before["weights"][name]}
    others = {name: now[name] for name in ("gated", "lr_scale", "clip") if now[name] != before[name]}
    clock = plan.clock_at(step), plan.clock_at(step - 1)
    change: dict[str, Any] = {"step": step, "weights": moved, **others}
    if stage != _stage_name(plan, step - 1):
        change["stage"] = stage
    if clock[0].runs != clock[1].runs or (clock[1].until is not None and clock[1].until == step):
        change["held"] = _held(plan, step)
    return {**change, "text": _change_text(change)}


def _change_text(change: dict[str, Any]) -> str:
    said = [f"stage {change['stage']}"] if "stage" in change else []
    in_name = _pairs_in(change.get("stage") or "")
    if "held" in change:
        said.append("the stage is held" if change["held"] else "the stage is released")
    weights = [f"{name} {weight:g}" for name, weight in change["weights"].items()]
    said += [words for words in weights if words not in in_name]
    if "gated" in change:
        said.append(f"gated: {', '.join(change['gated']) or 'none'}")
    if "lr_scale" in change:
        said.append(f"learning rates times {change['lr_scale']:g}")
    if "clip" in change:
        said.append("clipping as the script says" if change["clip"] is None else f"clipping at {change['clip']:g}")
    return ", ".join(said)


def _pairs_in(stage: str) -> set[str]:
    """Of a stage that is named after its weights ("ce 1, aux=0.5") what need not be said again: "ce 1", "aux 0.5"."""
    return set(map(" ".join, pairwise(re.findall(r"[^\s,;:=]+", stage))))


def _held(plan: Plan, step: int) -> dict[str, int | None] | None:
    """Since when, and until when; None while the curriculum's clock runs."""
    clock = plan.clock_at(step)
    if clock.runs or (clock.until is not None and step >= clock.until):
        return None
    holds = (
        each.step
        for number, each in reversed(list(enumerate(plan.operations)))
        if each.kind == HOLD and plan.is_live(number, step)
    )
    return {"since": next(holds, None), "until": clock.until}


def _stage_name(plan: Plan, step: int) -> str | None:
    index = plan.stage_index_at(step)
    return None if index is None else plan.stages[index].name


def _operation(plan: Plan, number: int) -> dict[str, Any]:
    operation = plan.operations[number]
    return {"step": operation.step, "id": operation.id, "kind": operation.kind, "args": dict(operation.args)}
