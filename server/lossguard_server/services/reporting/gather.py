"""Gathers what a report needs of one run from the stores, in one thread.

Rules of this file: bounded, however long the run is: ROWS_MAX of each table, WIDTH buckets of each line, as many lines
as the catalogue allows. The record holds no session and no live run: what follows is pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lossguard.protocol.messages import Declaration

from ...store import reported
from ...store.columns import Reading
from ...store.points import PointsAnswer, SeriesExtent
from ..live import LiveRun
from ..plans import curriculum_patch
from ..views import contract_view, stages_view
from .catalogue import Plan, Wanted, plans_of
from .drawing import line_of
from .record import Chart, Contract, FirstNotFinite, Line, Record
from .words import as_map, text

ROWS_MAX = 1_000
WIDTH = 800  # buckets a line: about the pixels that a chart has
EVIDENCE_WIDTH, EVIDENCE_MAX = 240, 24
AROUND_STEPS, AROUND_SHARE = 40, 0.25  # before and after an incident
REFINED_SERIES = 32

Points = dict[str, tuple[Any, Any]]


class Source(Protocol):
    """What is asked of store.points.Points."""

    def extents(self, run_id: str) -> list[SeriesExtent]: ...

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer: ...

    def raw(self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None) -> Points: ...


@dataclass(frozen=True)
class Asked:
    """A run as the event loop knows it: `view` as answers carry it."""

    run: LiveRun
    view: Mapping[str, Any]
    wall_s: float


class Gatherer:
    """Makes records. Any thread."""

    def __init__(
        self, points: Source, reading: Reading, rules: Callable[[str, str], list[dict[str, Any]]], version: str
    ) -> None:
        """`rules` of a project and a run: every rule as it counts there."""
        self._points, self._reading, self._rules, self._version = points, reading, rules, version

    def record(self, asked: Asked) -> Record:
        """Everything of the run. Raises StorageError."""
        run, declaration = asked.run, asked.run.declaration
        with self._reading() as session:
            told = reported.read(session, run.id, ROWS_MAX)
        extents = {extent.name: extent for extent in self._points.extents(run.id)}
        named = {text(alert.get("series")) for alert in told.alerts}
        components = declaration.components or _components(extents)
        plans = plans_of(extents, components, named)
        charts = [self._chart(run.id, plan, declaration) for plan in plans]
        last_step = max((extent.last_step for extent in extents.values()), default=-1)
        return Record(
            run=asked.view,
            made_s=asked.wall_s,
            version=self._version,
            seen_s=run.stored.seen_s,
            stages=stages_view(declaration),
            incidents=told.incidents,
            alerts=told.alerts,
            commands=[command.to_dict() for command in told.commands],
            events=[event.to_dict() for event in told.events],
            audit=told.audit,
            patch=curriculum_patch(run),
            rules=self._rules(run.stored.project, run.id),
            charts=charts,
            evidence=self._evidence(run.id, told.incidents, extents, declaration, plans),
            first_not_finite=self._first_not_finite(run.id, told, charts),
            last_step=last_step,
            series=len(extents),
            points=sum(extent.count for extent in extents.values()),
            of=told.of,
        )

    def _chart(self, run_id: str, plan: Plan, declaration: Declaration) -> Chart:
        lines = self._lines(run_id, plan.wanted, None, None, WIDTH)
        return Chart(
            plan.id, plan.title, lines, plan.unit, plan.form, plan.is_log, plan.bounds,
            tuple(_contracts(plan.wanted, declaration)), plan.left_out,
        )  # fmt: skip

    def _lines(
        self, run_id: str, wanted: Sequence[Wanted], first: int | None, last: int | None, width: int
    ) -> tuple[Line, ...]:
        answer = self._points.query(run_id, list(dict.fromkeys(each.series for each in wanted)), first, last, width)
        end = answer.last_step if last is None else min(last, answer.last_step)
        found = [line_of(each.series, each.label, each.look, answer.series[each.series], end) for each in wanted]
        return tuple(line for line in found if line.buckets)

    def _evidence(
        self,
        run_id: str,
        incidents: Sequence[Mapping[str, Any]],
        extents: Mapping[str, SeriesExtent],
        declaration: Declaration,
        plans: Sequence[Plan],
    ) -> dict[str, Chart]:
        """The headline's series of each incident, around it: of the critical ones first."""
        looks = {each.series: each for plan in plans for each in plan.wanted}
        worst = sorted(incidents, key=lambda incident: incident["severity"] != "critical")[:EVIDENCE_MAX]
        found: dict[str, Chart] = {}
        for incident in worst:
            series = text(as_map(incident["headline"]).get("series"))
            if series not in extents:
                continue
            first, last = _around(incident)
            look = looks[series].look if series in looks else 0
            wanted = [Wanted(series, series, look)]
            lines = self._lines(run_id, wanted, first, last, EVIDENCE_WIDTH)
            if lines:
                is_log = series.startswith(("loss/", "grad_norm/", "matrix/", "contribution/"))
                contracts = tuple(_contracts(wanted, declaration))
                identity = f"evidence-{len(found)}"
                found[incident["id"]] = Chart(identity, series, lines, is_log=is_log, contracts=contracts)
        return found

    def _first_not_finite(self, run_id: str, told: reported.Reported, charts: Sequence[Chart]) -> FirstNotFinite | None:
        """By the trainer's word, which knows of what was rolled back, and by the points, of which an import has only
        these. Gradients come last: a float16 GradScaler turns them infinite on purpose."""
        found = []
        if (event := told.first_nonfinite) is not None:
            names = event.data.get("series")
            said = tuple(text(name) for name in names[:REFINED_SERIES]) if isinstance(names, list) else ()
            found.append(FirstNotFinite(event.step, said))
        lost = [(each.step, each.to, line.series) for chart in charts for line in chart.lines
                for each in line.not_finite[:1]]  # fmt: skip
        if lost:
            lost = [each for each in lost if _is_before_gradients(each[2])] or lost
            low, high = min(step for step, _, _ in lost), min(to for _, to, _ in lost)
            names = list(dict.fromkeys(name for step, _, name in lost if step <= high))[:REFINED_SERIES]
            exact = _first_of(self._points.raw(run_id, names, low, high))
            found += [] if exact is None else [exact]
        return min(found, key=lambda first: (first.is_gradients, first.step), default=None)


def _is_before_gradients(series: str) -> bool:
    return series.startswith(reported.BEFORE_GRADIENTS)


def _contracts(wanted: Sequence[Wanted], declaration: Declaration) -> list[Contract]:
    found = ((each.label, contract_view(declaration, each.series)) for each in wanted)
    return [Contract(label, view["low"], view["high"]) for label, view in found if view is not None]


def _components(extents: Mapping[str, SeriesExtent]) -> list[str]:
    return [name.removeprefix("contribution/") for name in extents if name.startswith("contribution/")]


def _around(incident: Mapping[str, Any]) -> tuple[int, int]:
    first, last = int(incident["first_step"]), int(incident["last_step"])
    more = AROUND_STEPS + int(AROUND_SHARE * max(0, last - first))
    return max(0, first - more), last + more


def _first_of(points: Points) -> FirstNotFinite | None:
    firsts = {}
    for name, (steps, values) in points.items():
        at = np.flatnonzero(~np.isfinite(values))
        if len(at):
            firsts[name] = int(steps[at[0]])
    step = min(firsts.values(), default=None)
    return None if step is None else FirstNotFinite(step, tuple(name for name, own in firsts.items() if own == step))
