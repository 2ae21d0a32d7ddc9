"""A report's record, made by hand: whatever a test says of it, and the rest as plain as can be."""

from dataclasses import replace
from typing import Any

import numpy as np

from lossguard_server.services.reporting.record import Chart, Line, Record

RUN: dict[str, Any] = {
    "id": "r1", "project": "p", "name": "n", "label": "", "note": "", "tags": [], "state": "finished", "total": 2.0,
    "started_s": 1_000.0, "attempt": 0, "device": "cpu", "rank_count": 1, "gaps": 0, "points_dropped": 0, "trips": 0,
    "guard": {"modes": ["trip"], "on_trip": "skip", "notes": []}, "config": {}, "components": [{"name": "a"}],
}  # fmt: skip


def line(series: str, values: list[float], look: int = 0, **given: Any) -> Line:
    steps, column = np.arange(len(values)), np.array(values, np.float64)
    made = Line(series, series.partition("/")[2] or series, look, steps, column, (), len(values), len(values))
    return replace(made, mean_steps=steps, mean=column, **given)


def chart(*lines: Line, **given: Any) -> Chart:
    return Chart(**{"id": "losses", "title": "Raw losses", "lines": lines, **given})


def blame(*parts: tuple[str, str, float, int], text: str = "The total rose.") -> dict[str, Any]:
    named = [{"component": c, "cause": cause, "delta": delta, "percent": percent} for c, cause, delta, percent in parts]
    return {"from_step": 1, "to_step": 2, "delta_total": 1.0, "parts": named, "text": text}


def incident(**given: Any) -> dict[str, Any]:
    return {
        "id": "i1", "run": "r1", "state": "closed", "severity": "critical", "first_step": 5, "last_step": 9,
        "opened_s": 1_005.0,
        "headline": {"alert": "a1", "rule": "loss_jump", "series": "loss/a", "component": "a", "message": "It jumped."},
        "cause": {"kind": "component", "component": "a", "name": "a", "rule": "loss_jump", "text": "The component a."},
        "first_bad": [{"series": "loss/a", "step": 4, "lead_steps": 1, "deviation": 9.0}], "alerts": ["a1"],
        "count": {"loss_jump": 1}, "blame": blame(("a", "loss", 1.0, 100)), "remedy": None, **given,
    }  # fmt: skip


def alert(**given: Any) -> dict[str, Any]:
    return {
        "id": "a1", "run": "r1", "rule": "loss_jump", "series": "loss/a", "component": "a", "severity": "critical",
        "state": "resolved", "step": 5, "last_step": 9, "fired_s": 1_005.0, "resolved_step": 10,
        "message": "It jumped.", "evidence": {"text": "", "values": []},
        "blame": None, "remedy": None, "incident": "i1", "verdict": None,
        "silenced_until_s": None, **given,
    }  # fmt: skip


def command(**given: Any) -> dict[str, Any]:
    return {
        "id": "c1", "run": "r1", "number": 1, "kind": "set_weight", "args": {"component": "a", "value": 0.5},
        "actor": "admin", "reason": None, "alert": "a1", "state": "applied", "created_s": 1_006.0, "step": 7,
        "old": 1.0, "new": 0.5, "refusal": None, "history": [{"state": "applied", "at_s": 1_007.0}], "expires_s": None,
        "ranks": 1,
        "effect": {"verdict": "worked", "decided": True, "text": "The total halved: worked.", "at_step": 7}, **given,
    }  # fmt: skip


def event(kind: str, step: int, time_s: float = 1_000.0, **data: Any) -> dict[str, Any]:
    return {"step": step, "kind": kind, "time_s": time_s, "data": data}


def patch(**given: Any) -> dict[str, Any]:
    return {"lossguard": "curriculum", "version": 1, "run": "r1", "exported_at_step": 10, "components": ["a"],
            "stages": [], "operations": [], "effective": [], **given}  # fmt: skip


def record(**given: Any) -> Record:
    """Ten steps of a run in which nothing happened."""
    run = {**RUN, **given.pop("run", {})}
    plain: dict[str, Any] = {
        "made_s": 2_000.0, "version": "1", "seen_s": 1_100.0, "stages": [], "incidents": [], "alerts": [],
        "commands": [], "events": [], "audit": [], "patch": patch(), "rules": [], "evidence": {},
        "charts": [chart(line("loss/a", [1.0] * 10))], "first_not_finite": None, "last_step": 9, "series": 1,
        "points": 10,
    }  # fmt: skip
    return Record(run=run, **{**plain, **given})
