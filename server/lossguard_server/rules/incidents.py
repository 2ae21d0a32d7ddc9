"""Which alerts belong together: one incident for what a person would call one.

Formula: an alert joins an open incident when at most 200 samples (rows with a total) lie between it and the last alert
that fired there; or when it names the component that is the incident's cause; or when it is a symptom (R0, R4 to R9)
and one of the incident still fires, because then it came of it. It joins a closed one in the 100 samples behind its
end. An alert that fires again stays where it was. An incident is over when all its alerts are.
News that may notify: opened, escalated (warning, foretold, critical, not finite), doubled (the headline's quantity is
twice what it was when it last notified; half for what may not become too small), closed.
Source: 200 samples are the research report's; 100 are the cool-down of an alert (lifecycle.py).
False alarms: the fewer incidents the fewer pages; a lasting warning (a range left for the whole run) swallows nothing
that comes 200 samples later, because it is no symptom.

Rules of this file:
- Pure: the outcome follows from the changes and rows, never from a clock or from where windows were cut.
- The state is plain values, bounded, and stored with the rules'.
- 10,000 alerts cost 10,000 times a little: nothing here looks at all alerts of an incident.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .alert import Alert, AlertChange
from .attribution import SYMPTOMS
from .cases import LEVELS, Case, DepthOf
from .first_bad import unblended
from .incident import NOTIFYING, Incident, IncidentChange, News, Taken
from .lifecycle import COOL_DOWN
from .schedule import Schedule
from .window import Window

JOIN_SAMPLES = 200
CLOSED_KEPT = 32  # whose alerts may fire again
NO_INCIDENT = frozenset({"rule_health"})  # a broken rule says nothing of the run

FirstBadOf = Callable[[int], list[dict[str, Any]]]  # by the symptom's step: Signals.at of the row
_RAISED = ("fired", "escalated", "reopened")


def nothing(symptom_step: int) -> list[dict[str, Any]]:
    """No series is looked at."""
    return []


class Incidents:
    """The incidents of one run. Not thread-safe."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._serial = 0
        self._cases: dict[str, Case] = {}  # by id, in the order of their beginning
        self._of_alert: dict[str, str] = {}
        self._depth_of: DepthOf = unblended

    def declare(self, schedule: Schedule) -> None:
        """Which matrices are blends of others; from the next alert on."""
        self._depth_of = schedule.depth_of

    # -- alerts -------------------------------------------------------------------------------------------------------

    def take(self, changes: Sequence[AlertChange], sample: int, first_bad: FirstBadOf = nothing) -> Taken:
        """Changes of alerts at one row, in order; `sample`: rows with a total up to and with it. In the answer each
        alert has its `incident`; each incident that changed is there once, with the weightiest news."""
        alerts, touched = list[AlertChange](), dict[str, _Touch]()
        for change in changes:
            case = self._case_of(change, sample)
            if case is not None:
                touch = touched.setdefault(case.id, _Touch(case, self._depth_of))
                touch.take(change, sample)
                self._of_alert[change.alert.id] = case.id
                change = replace(change, alert=replace(change.alert, incident=case.id))
            alerts.append(change)
        told = [self._told(touch, sample, first_bad) for touch in touched.values()]
        self._tidy(sample)
        return Taken(alerts, told)

    def follow(self, window: Window, first_row: int, last_row: int) -> list[IncidentChange]:
        """Look for doublings in the rows from `first_row` up to but without `last_row`. Between two rows with changes
        of alerts, and before the first and after the last, it is asked once each."""
        told: list[IncidentChange] = []
        for case in self._open():
            number = window.number(case.top.series)
            if number is None or case.is_broken or last_row <= first_row:
                continue
            rows = first_row + np.flatnonzero(window.live[first_row:last_row, number])
            contract = window.schedule.contracts.get(case.top.series)
            low = None if contract is None else contract.low
            told += self._doublings(case, window.steps[rows], np.abs(window.values[rows, number]), low)
        return told

    def rewind(self, to_step: int, sample: int | None = None) -> list[IncidentChange]:
        """The run went back: what began at `to_step` or later is over and nothing joins it any more. `sample`: so far
        the count had come (None: to the last alert); it begins anew, and `goes_on` says with what. Take the changes of
        the alerts that the rollback ended first."""
        told: list[IncidentChange] = []
        now = max((case.last_sample for case in self._cases.values()), default=0) if sample is None else sample
        for case in list(self._cases.values()):
            case.shift(-now)
            if case.first_step < to_step:
                continue
            if case.is_open:
                case.close(0)
                told.append(IncidentChange(self._shown(case), "closed"))
            self._forget(case)
        return told

    def goes_on(self, sample: int) -> None:
        """So many samples have been learned again behind a `rewind`: what was so long before it still is."""
        for case in self._cases.values():
            case.shift(sample)

    def incidents(self) -> list[Incident]:
        """Those that are open, oldest first."""
        return [self._shown(case) for case in self._open()]

    # -- which incident -----------------------------------------------------------------------------------------------

    def _case_of(self, change: AlertChange, sample: int) -> Case | None:
        alert = change.alert
        if alert.rule in NO_INCIDENT:
            return None
        case = self._cases.get(self._of_alert.get(alert.id, ""))
        if case is not None or change.transition not in _RAISED:
            return case
        return self._joined(alert, sample) or self._begun(alert, sample)

    def _joined(self, alert: Alert, sample: int) -> Case | None:
        """The one that fired last, of several."""
        may_be = [case for case in self._cases.values() if self._is_joinable(case, alert, sample)]
        same = [case for case in may_be if alert.component is not None and case.component == alert.component]
        return max(same or may_be, key=lambda case: (case.is_open, case.last_sample), default=None)

    def _is_joinable(self, case: Case, alert: Alert, sample: int) -> bool:
        if case.closed_sample is not None:
            return sample - case.closed_sample <= COOL_DOWN
        is_of_cause = alert.component is not None and case.component == alert.component
        came_of_it = alert.rule in SYMPTOMS and case.has_symptom
        return is_of_cause or came_of_it or sample - case.last_sample <= JOIN_SAMPLES

    def _begun(self, alert: Alert, sample: int) -> Case:
        self._serial += 1
        said = "\0".join([self._run_id, "incident", str(alert.step), str(self._serial)])
        case_id = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._cases[case_id] = case = Case.begin(case_id, alert, sample)
        return case

    # -- what is told -------------------------------------------------------------------------------------------------

    def _told(self, touch: "_Touch", sample: int, first_bad: FirstBadOf) -> IncidentChange:
        case = touch.case
        if touch.is_raised and case.is_unfolding(sample, JOIN_SAMPLES):
            case.note(first_bad(case.symptom_step), self._depth_of)
        news = touch.news()
        if news in NOTIFYING or case.top.series != touch.measured:
            case.measured = None  # to be measured at this row, with which `follow` goes on
        if case.is_open and not case.open:
            case.close(sample)
        return IncidentChange(self._shown(case), news)

    def _doublings(self, case: Case, steps: Any, sizes: Any, low: float | None) -> list[IncidentChange]:
        told: list[IncidentChange] = []
        at = 0
        while at < len(sizes):
            is_count = case.top.rule == "count"
            if not case.measured:  # of 0 there is no double; of elements 0 is the least
                known = at + np.flatnonzero((sizes[at:] > 0) | is_count)
                if not len(known) or (is_count and case.measured is not None):
                    break
                case.measured, at = float(sizes[known[0]]), int(known[0]) + 1
                continue
            is_too_small = is_count or (low is not None and case.measured < low)
            rest = sizes[at:]
            hit = np.flatnonzero(rest <= case.measured / 2 if is_too_small else rest >= 2 * case.measured)
            if not len(hit):
                break
            at += int(hit[0])
            case.measured = float(sizes[at])
            case.last_step = max(case.last_step, int(steps[at]))
            told.append(IncidentChange(self._shown(case), "doubled"))
            at += 1
        return told

    def _shown(self, case: Case) -> Incident:
        top = case.top
        head = {"alert": top.alert, "rule": top.rule, "series": top.series, "component": top.component}
        return Incident(
            id=case.id,
            run=self._run_id,
            state="open" if case.is_open else "closed",
            severity=LEVELS[case.level],
            first_step=case.first_step,
            last_step=case.last_step,
            opened_s=case.opened_s,
            headline={**head, "message": top.message},
            cause=case.cause().to_dict(),
            first_bad=[{**each, "lead_steps": case.symptom_step - each["step"]} for each in case.first_bad],
            alerts=list(case.alerts),
            count=dict(case.count),
            blame=case.blame,
            remedy=case.remedy,
        )

    # -- what is kept -------------------------------------------------------------------------------------------------

    def _open(self) -> list[Case]:
        return [case for case in self._cases.values() if case.is_open]

    def _tidy(self, sample: int) -> None:
        closed = [case for case in self._cases.values() if not case.is_open]
        for case in closed[: max(0, len(closed) - CLOSED_KEPT)]:
            if sample - (case.closed_sample or 0) > COOL_DOWN:
                self._forget(case)
        for case in self._cases.values():
            for alert in case.shed():
                self._of_alert.pop(alert, None)

    def _forget(self, case: Case) -> None:
        del self._cases[case.id]
        for alert in [*case.open, *case.ended]:
            self._of_alert.pop(alert, None)

    def dump(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return {"serial": self._serial, "cases": [case.dump() for case in self._cases.values()]}

    def load(self, data: Mapping[str, Any]) -> None:
        """What `dump` gave; replaces what is known."""
        cases = [Case.load(each) for each in data["cases"]]
        self._serial = data["serial"]
        self._cases = {case.id: case for case in cases}
        self._of_alert = {alert: case.id for case in cases for alert in [*case.open, *case.ended]}

    def restore(self, stored: Mapping[str, Any], alerts: Sequence[Alert], sample: int) -> list[IncidentChange]:
        """An open incident of which only what was told is known, and those of its alerts that go on. Where none does
        it is over."""
        self._serial += 1
        case = Case.restored(stored, alerts, sample)
        self._cases[case.id] = case
        self._of_alert |= dict.fromkeys(case.open, case.id)
        if case.open:
            return []
        case.close(sample)
        return [IncidentChange(self._shown(case), "closed")]


class _Touch:
    """What happened to an incident in one call."""

    def __init__(self, case: Case, depth_of: DepthOf) -> None:
        self.case, self._level, self._depth_of = case, case.level, depth_of
        self.measured = case.top.series if case.facts else None  # the series whose size was told
        self.is_raised = self._is_new = self._has_joined = False

    def take(self, change: AlertChange, sample: int) -> None:
        self._is_new = self._is_new or not self.case.facts
        if change.transition in _RAISED:
            self._has_joined |= self.case.raise_(change.alert, sample, JOIN_SAMPLES, self._depth_of)
            self.is_raised = True
        else:
            self.case.amend(change.alert, is_over=change.alert.state == "resolved")

    def news(self) -> News:
        if self._is_new:
            return "opened"
        if self.case.level > self._level:
            return "escalated"
        if self.case.is_open and not self.case.open:
            return "closed"
        return "joined" if self._has_joined else "changed"


__all__ = ["Incident", "IncidentChange", "Incidents", "News", "Taken"]
