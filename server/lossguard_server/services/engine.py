"""Judges every run's points as they are committed, and says which alerts changed.

Rules of this file:
- The outcome depends on the order of the rows, never on how they were cut into batches, and never on the clock.
- A step's rows (frames of different series) are judged together: when its loss/total has come, or a row of a later
  step, or `flush`. What still comes for a step already judged is judged by itself.
- A rule that raises is isolated: it is reported once a run, as an alert of the rule `rule_health`; the others go on.
- No store, no socket: the caller stores each change before it tells anybody.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol.messages import Declaration
from lossguard.protocol.names import TOTAL
from lossguard_server.rules import default_rules
from lossguard_server.rules.alert import Alert, AlertChange, AlertState, Transition
from lossguard_server.rules.base import Rule, Severity, Verdict
from lossguard_server.rules.history import History
from lossguard_server.rules.lifecycle import OPEN, Condition, Event, State
from lossguard_server.rules.remedy import Remedy
from lossguard_server.rules.window import Window

__all__ = ["RULE_HEALTH", "Alert", "AlertChange", "Engine", "EngineError", "UnknownAlert"]

Steps = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]
Curve = Callable[[str], list[list[float]]]  # the last [step, value] of a series
Key = tuple[str, str]  # rule, series ("" for a rule of which a run has one alert at most)

RULE_HEALTH = "rule_health"
_log = logging.getLogger(__name__)


class EngineError(Exception):
    """The engine was asked for something that it cannot do."""


class UnknownAlert(EngineError):
    """No alert with this id is open in this run."""

    def __init__(self, run_id: str, alert_id: str) -> None:
        super().__init__(run_id, alert_id)
        self.run_id, self.alert_id = run_id, alert_id


class Engine:
    """All runs' windows and alert lifecycles. Not thread-safe: one owner calls it, in the order of the commits."""

    def __init__(
        self, clock: Callable[[], float], new_id: Callable[[], str], rules: Sequence[Rule] | None = None
    ) -> None:
        """`clock` gives epoch seconds; `new_id` gives a fresh alert id; without `rules` the default set judges."""
        self._clock, self._new_id = clock, new_id
        self._rules = tuple(default_rules() if rules is None else rules)
        self._runs: dict[str, _Run] = {}

    def declare(self, run_id: str, declaration: Declaration) -> None:
        """What the run is made of (stages, contracts, weight bounds); a later one replaces it. Unknown run: created."""
        self._run(run_id).declare(declaration)

    def observe(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> list[AlertChange]:
        """Judge committed rows: `steps` [n] int64, `columns` [len(names), n] float64 (one rank's stream)."""
        run, changes = self._run(run_id), list[AlertChange]()
        ids, has_total = run.numbers_of(names), TOTAL in names
        for step, row in zip(steps.tolist(), np.ascontiguousarray(columns.T, dtype=np.float64), strict=True):
            run.take(step, ids, row, has_total, changes)
        return changes

    def flush(self, run_id: str) -> list[AlertChange]:
        """Judge a step that still waits for its loss/total (call it at `finish` and when a stream falls silent)."""
        changes: list[AlertChange] = []
        self._run(run_id).flush(changes)
        return changes

    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]:
        """The guard tells of a step that is not finite: `data` of its `trip` event, as it came."""
        changes: list[AlertChange] = []
        self._run(run_id).tripped(step, data, changes)
        return changes

    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange:
        """A person has seen it. Raises UnknownAlert (not open here) or IllegalTransition (acknowledged already)."""
        return self._run(run_id).acknowledge(alert_id)

    def warm(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> None:
        """Feed history (the last 1,000 steps are plenty) to the windows without judging it. Before `restore`."""
        run = self._run(run_id)
        ids = run.numbers_of(names)
        for step, row in zip(steps.tolist(), np.ascontiguousarray(columns.T, dtype=np.float64), strict=True):
            run.history.learn(run.history.see(step, ids, row))

    def restore(self, run_id: str, open_alerts: Sequence[Alert]) -> None:
        """After a restart: the alerts that were firing or acknowledged go on where they were."""
        run = self._run(run_id)
        for alert in open_alerts:
            run.restore(alert)

    def rewind(self, run_id: str, from_step: int, to_step: int) -> list[AlertChange]:
        """The run went back from `from_step`, and goes on with `to_step`: what began there or later is over, and the
        windows are empty. `warm` them with the rows before `to_step`."""
        changes: list[AlertChange] = []
        self._run(run_id).rewind(from_step, to_step, changes)
        return changes

    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]:
        """A rule's alerts that are open, or over so lately that the same finding would open them again."""
        return self._run(run_id).recent_alerts(rule)

    def amend(self, run_id: str, alert: Alert) -> AlertChange:
        """More is known of an alert that is recent: `alert` is what is said of it now. Raises UnknownAlert."""
        return self._run(run_id).amend(alert)

    def open_alerts(self, run_id: str) -> list[Alert]:
        """Alerts firing or acknowledged, oldest first, each with its last step up to date."""
        return self._run(run_id).open_alerts()

    def forget(self, run_id: str) -> None:
        """Free a run's state (it was deleted, or ended long ago)."""
        self._runs.pop(run_id, None)

    def _run(self, run_id: str) -> "_Run":
        if run_id not in self._runs:
            self._runs[run_id] = _Run(run_id, self._rules, self._clock, self._new_id)
        return self._runs[run_id]


class _Watch:
    """A finding's counters, and its alert once it has fired."""

    def __init__(self, series: str, condition: Condition, alert: Alert | None = None) -> None:
        self.series, self.condition, self.alert = series, condition, alert

    @property
    def is_open(self) -> bool:
        return self.condition.state in OPEN

    def now(self) -> Alert:
        """The alert with what the counters know; only once it has fired."""
        if self.alert is None:
            raise EngineError(f"{self.series} has not fired.")
        return replace(self.alert, state=_WORD[self.condition.state], last_step=self.condition.last_step)


class _Run:
    """One run: its history, the rows of the step that is not judged yet, and its findings."""

    def __init__(
        self, run_id: str, rules: Sequence[Rule], clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self.run_id, self.rules = run_id, rules
        self._single = frozenset(rule.name for rule in rules if rule.one_per_run)
        self._declaration: Declaration | None = None
        self._clock, self._new_id = clock, new_id
        self._watches: dict[Key, _Watch] = {}
        self._open: frozenset[Key] = frozenset()
        self._remedies: dict[str, Remedy] = {}
        self._forget_rows()

    def _forget_rows(self) -> None:
        self.history = History()
        self._names: list[str] = []
        self._ids: Numbers = np.zeros(0, dtype=np.intp)
        self._step = -1  # the newest step taken
        self._has_total = False  # ... and whether its total has come
        self._waiting: list[tuple[Numbers, Columns]] = []  # ... and its rows that are not judged yet

    def declare(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self.history.declare(declaration)

    def numbers_of(self, names: list[str]) -> Numbers:
        if names != self._names:
            self._names, self._ids = list(names), self.history.numbers_of(names)
        return self._ids

    # -- rows to steps ----------------------------------------------------------------------------------------------

    def take(self, step: int, ids: Numbers, row: Columns, has_total: bool, changes: list[AlertChange]) -> None:
        """One row. `changes` takes what comes of it."""
        if step < self._step and not has_total:
            self._judge(step, ids, row, changes)  # a late value of a step that has passed
            return
        if step != self._step:  # a step back that has a total is a run that was rewound: it goes on from there
            self.flush(changes)
            self._step, self._has_total = step, False
        self._waiting.append((ids, row))
        self._has_total = self._has_total or has_total
        if self._has_total:
            self.flush(changes)

    def flush(self, changes: list[AlertChange]) -> None:
        """Judge the rows that wait."""
        if not self._waiting:
            return
        parts, self._waiting = self._waiting, []
        ids, row = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        self._judge(self._step, ids, row, changes)

    # -- steps to alerts --------------------------------------------------------------------------------------------

    def _judge(self, step: int, ids: Numbers, row: Columns, changes: list[AlertChange]) -> None:
        window = self.history.see(step, ids, row, self._open, self._remedies)
        spoken: set[Key] = set()
        silent: set[str] = set()
        for rule in self.rules:
            keys = self._ask(rule, partial(rule.judge, window), step, window.curve, changes)
            if keys is None:
                silent.add(rule.name)
            else:
                spoken |= keys
        # a rule that broke has not said that its findings are over
        for key in sorted(key for key in self._watches if key not in spoken and key[0] not in silent):
            self._calm(key, window, changes)
        self.history.learn(window)

    def tripped(self, step: int, data: Mapping[str, Any], changes: list[AlertChange]) -> None:
        """What the rules say of a trip itself. Nothing grows calmer: that takes a row."""
        for rule in self.rules:
            verdicts = partial(rule.judge_trip, step, data, self.history.schedule)
            self._ask(rule, verdicts, step, lambda series: [], changes)

    def _ask(
        self, rule: Rule, judge: Callable[[], list[Verdict]], step: int, curve: Curve, changes: list[AlertChange]
    ) -> set[Key] | None:
        """Count what the rule says; returns what it spoke of, or None when it broke."""
        spoken: set[Key] = set()
        try:
            for verdict in judge():
                key = (rule.name, "" if rule.one_per_run else verdict.series)
                spoken.add(key)
                self._count(key, verdict, step, curve, changes)
        except Exception as error:  # noqa: BLE001, the roof of rule isolation: one broken rule must not blind the others
            self._report(rule.name, step, error, changes)
            return None
        return spoken

    def _count(self, key: Key, verdict: Verdict, step: int, curve: Curve, changes: list[AlertChange]) -> None:
        watch = self._watches.get(key) or _Watch(verdict.series, Condition())
        condition = replace(watch.condition)  # kept only if the rule can also explain itself
        event = condition.against(step, verdict.severity, verdict.hold)
        if event is Event.HIT or (event is Event.CONFIRM and watch.condition.state in OPEN):
            watch.condition = condition
            self._watches[key] = watch
            return
        alert = self._written(key[0], verdict, watch.alert, condition, curve)
        transition: Transition = "escalated" if event is Event.WORSEN else "reopened" if watch.alert else "fired"
        self._watches[key] = _Watch(verdict.series, condition, alert)
        self._changed(alert, transition, changes)

    def _calm(self, key: Key, window: Window, changes: list[AlertChange]) -> None:
        watch = self._watches[key]
        if key[0] == RULE_HEALTH or not window.carries(watch.series):
            return
        if watch.condition.calmly() is not Event.CLEAR:
            return
        if watch.condition.state is State.RESOLVED:
            watch.alert = replace(watch.now(), resolved_step=window.step)
            self._changed(watch.alert, "resolved", changes)
        else:
            del self._watches[key]

    def _written(self, rule: str, verdict: Verdict, was: Alert | None, condition: Condition, curve: Curve) -> Alert:
        """The alert that a verdict makes; an alert that was there keeps its id, its first step and its time."""
        finding, series = verdict.explain(), verdict.series
        return Alert(
            id=was.id if was else self._new_id(),
            run=self.run_id,
            rule=rule,
            series=series,
            component=finding.component,
            severity=(condition.severity or verdict.severity).word,
            state="firing",
            step=was.step if was else condition.first_step,
            last_step=condition.last_step,
            fired_s=was.fired_s if was else self._clock(),
            resolved_step=None,
            message=finding.message,
            evidence={"text": finding.text, "values": curve(series), **finding.numbers},
            blame=finding.blame.to_dict() if finding.blame else None,
            remedy=finding.remedy.to_dict() if finding.remedy else None,
        )

    def _report(self, rule: str, step: int, error: Exception, changes: list[AlertChange]) -> None:
        """Say once a run that a rule is broken."""
        key = (RULE_HEALTH, rule)
        if key in self._watches:
            return
        _log.error("rule %s failed in run %s at step %d", rule, self.run_id, step, exc_info=error)
        said = f"{type(error).__name__}: {error}"
        condition = Condition(State.FIRING, Severity.WARNING, step, step)
        alert = Alert(
            id=self._new_id(),
            run=self.run_id,
            rule=RULE_HEALTH,
            series=rule,
            component=None,
            severity="warning",
            state="firing",
            step=step,
            last_step=step,
            fired_s=self._clock(),
            resolved_step=None,
            message=f"The rule {rule} failed at step {step} ({said}). It goes on; the other rules are not affected.",
            evidence={"text": said, "values": []},
            blame=None,
            remedy=None,
        )
        self._watches[key] = _Watch(rule, condition, alert)
        self._changed(alert, "fired", changes)

    def _changed(self, alert: Alert, transition: Transition, changes: list[AlertChange]) -> None:
        changes.append(AlertChange(alert, transition))
        self._index_open()

    def _index_open(self) -> None:
        """What the rules are told of the alerts that are open."""
        opened = {key: watch.alert for key, watch in self._watches.items() if watch.alert and watch.is_open}
        self._open = frozenset((rule, alert.series) for (rule, _), alert in opened.items())
        self._remedies = {
            alert.component: Remedy(**alert.remedy)
            for alert in opened.values()
            if alert.component and alert.remedy and alert.remedy["kind"] == "set_weight"
        }

    # -- going back ---------------------------------------------------------------------------------------------------

    def rewind(self, from_step: int, to_step: int, changes: list[AlertChange]) -> None:
        """As after a restart of the server: what is open and began before goes on, the windows are to be warmed."""
        self.flush(changes)
        watches, self._watches = self._watches, {}
        for (rule, _), watch in sorted(watches.items()):
            # a rule that is broken is so on any branch
            if watch.is_open and (rule == RULE_HEALTH or watch.condition.first_step < to_step):
                self.restore(replace(watch.now(), last_step=min(watch.condition.last_step, to_step - 1)))
                continue
            was_open = watch.is_open
            watch.condition.undo()
            if was_open:
                changes.append(AlertChange(_undone(watch.now(), from_step, to_step), "resolved"))
        self._forget_rows()
        if self._declaration is not None:
            self.history.declare(self._declaration)
        self._index_open()

    # -- alerts and persons -----------------------------------------------------------------------------------------

    def acknowledge(self, alert_id: str) -> AlertChange:
        for watch in self._watches.values():
            if watch.alert and watch.alert.id == alert_id and watch.condition.state is not State.RESOLVED:
                watch.condition.acknowledge()
                watch.alert = watch.now()
                return AlertChange(watch.alert, "acknowledged")
        raise UnknownAlert(self.run_id, alert_id)

    def recent_alerts(self, rule: str) -> list[Alert]:
        return [watch.now() for (name, _), watch in self._watches.items() if name == rule and watch.alert]

    def amend(self, alert: Alert) -> AlertChange:
        for watch in self._watches.values():
            if watch.alert and watch.alert.id == alert.id:
                watch.alert = alert
                return AlertChange(watch.now(), "explained")
        raise UnknownAlert(self.run_id, alert.id)

    def open_alerts(self) -> list[Alert]:
        alerts = [watch.now() for watch in self._watches.values() if watch.is_open]
        return sorted(alerts, key=lambda alert: (alert.step, alert.id))

    def restore(self, alert: Alert) -> None:
        state, severity = State(alert.state), Severity[alert.severity.upper()]
        if state not in OPEN:
            return
        key = (alert.rule, "" if alert.rule in self._single else alert.series)
        self._watches[key] = _Watch(alert.series, Condition(state, severity, alert.step, alert.last_step), alert)
        self._index_open()


def _undone(alert: Alert, from_step: int, to_step: int) -> Alert:
    """An alert that a rollback ended."""
    text = f"{alert.evidence.get('text', '')} The run was rolled back to step {to_step}, before this began.".strip()
    evidence = {**alert.evidence, "text": text, "rolled_back_to": to_step}
    return replace(alert, resolved_step=max(from_step, alert.last_step), evidence=evidence)


_WORD: dict[State, AlertState] = {
    State.PENDING: "pending",
    State.FIRING: "firing",
    State.ACKNOWLEDGED: "acknowledged",
    State.RESOLVED: "resolved",
}
