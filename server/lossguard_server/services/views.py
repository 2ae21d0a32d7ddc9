"""A run as answers carry it.

Rules of this file: pure; the shape is docs/protocol.md section 2, and numbers may be non-finite (the edge writes them).
"""

import math
from typing import Any

import msgspec

from lossguard.protocol import names
from lossguard.protocol.messages import Declaration, RampSpec
from lossguard.protocol.stages import planned_weights

from .live import LiveRun

LOST_AFTER_S = 10.0


def run_view(run: LiveRun, now_s: float, wall_s: float) -> dict[str, Any]:
    """The Run of docs/protocol.md. `now_s` is monotonic, `wall_s` epoch seconds."""
    declaration, beat = run.declaration, run.heartbeat
    severities = [severity for severity, _ in run.alerts.values()]
    return {
        "id": run.id,
        "project": run.stored.project,
        "name": run.stored.name,
        "state": state_of(run, now_s, wall_s),
        "connected": run.is_connected,
        "step": run.step,
        "stage": _stage(run),
        "attempt": run.stored.attempt,
        "rank_count": run.stored.world_size,
        "device": declaration.device,
        "steps_per_s": run.rate.steps_per_s(now_s),
        "data_age_s": _data_age_s(run, now_s, wall_s),
        "started_s": run.stored.created_s,
        "health": _health(run, severities),
        "alerts": {kind: severities.count(kind) for kind in ("critical", "warning")},
        "components": _components(run),
        "total": run.values.get(names.TOTAL),
        "grad_norm": run.values.get(names.GRAD_NORM_TOTAL),
        "gaps": run.gaps,
        "points_queued": beat.points_queued if beat else 0,
        "points_dropped": beat.points_dropped if beat else 0,
        "controls": list(declaration.controls.kinds),
        "lr_scale_bounds": list(declaration.controls.lr_scale_bounds),
        "clip_bounds": list(declaration.controls.clip_bounds),
        "config": declaration.config,
        "guard": msgspec.to_builtins(declaration.guard),
        "trips": run.trips,
        "snapshot_step": run.snapshot_step,
        "detail_until": run.detail_until,
        "ranks": run.ranks.view() if run.stored.world_size > 1 else [],
        "label": run.stored.label,
        "note": run.stored.note,
        "tags": list(run.stored.tags),
        "archived": run.stored.archived,
        "deleted_s": run.stored.deleted_s,
    }


def state_of(run: LiveRun, now_s: float, wall_s: float) -> str:
    """waiting, running, paused, finished, stopped, crashed or lost."""
    if run.stored.finish is not None:
        return run.stored.finish
    sign_age_s = now_s - run.sign_at_s if run.sign_at_s is not None else wall_s - run.stored.seen_s
    if sign_age_s > LOST_AFTER_S:
        return "lost"
    if run.heartbeat is not None and run.heartbeat.state == "paused":
        return "paused"
    return "waiting" if run.step is None else "running"


def stages_view(declaration: Declaration) -> list[dict[str, Any]]:
    """The declared stages."""
    return [
        {
            "index": index,
            "name": stage.name,
            "start": stage.start,
            "weights": {component: _planned(planned) for component, planned in stage.weights.items()},
        }
        for index, stage in enumerate(declaration.stages)
    ]


RANGES = ("", "range", "bound", "count")


def contract_view(declaration: Declaration, series: str) -> dict[str, float | None] | None:
    """The range that was declared of a series, None when none was; a ratio's bounds are not its series'."""
    for contract in declaration.contracts:
        if contract.series == series and contract.kind in RANGES:
            return {"low": contract.low, "high": contract.high}
    return None


def _planned(planned: float | RampSpec) -> Any:
    if isinstance(planned, RampSpec):
        return {"start": planned.start, "end": planned.end, "steps": planned.steps}
    return planned


def _stage(run: LiveRun) -> dict[str, Any] | None:
    stages = run.plan.stages
    index = run.plan.stage_index_at(run.step or 0)
    return None if index is None else {"index": index, "name": stages[index].name, "start": stages[index].start}


def _data_age_s(run: LiveRun, now_s: float, wall_s: float) -> float | None:
    if run.data_at_s is not None:
        return now_s - run.data_at_s
    # from before this process: only the wall clock knows, and it may have been set back
    return None if run.step is None else max(0.0, wall_s - run.stored.seen_s)


def _health(run: LiveRun, severities: list[str]) -> str:
    if run.step is None:
        return "unknown"
    return next((severity for severity in ("critical", "warning") if severity in severities), "ok")


def _components(run: LiveRun) -> list[dict[str, Any]]:
    declaration = run.declaration
    position = run.plan.clock_at(run.step or 0).position  # held, or moved on: not always the step
    planned = planned_weights(declaration.stages, declaration.components, position)
    contributions = {name: run.values.get(names.contribution(name)) for name in declaration.components}
    shares = _shares(contributions)
    return [
        {
            "name": name,
            "raw": run.values.get(names.loss(name)),
            "weight": run.values.get(names.weight(name)),
            "scheduled_weight": planned.get(name),
            "contribution": contributions[name],
            "share": shares.get(name),
            "bounds": list(declaration.controls.weight_bounds.get(name, (0.0, None))),
        }
        for name in declaration.components
    ]


def _shares(contributions: dict[str, float | None]) -> dict[str, float]:
    """Each component's part of the sum of magnitudes; empty when one is not finite, or all are 0."""
    known = {name: abs(value) for name, value in contributions.items() if value is not None}
    largest = max(known.values(), default=0.0)
    if not largest > 0 or not all(map(math.isfinite, known.values())):
        return {}
    # by the largest, because the plain sum of two values near the largest float is infinite
    whole = sum(value / largest for value in known.values())
    return {name: value / largest / whole for name, value in known.items()}
