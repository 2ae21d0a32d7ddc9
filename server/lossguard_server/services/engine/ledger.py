"""A run's alerts: written when a finding fires or worsens, ended when it is over, restored after a restart.

Rules of this file:
- An alert's id follows from the run, the rule, the series and the order of findings: rows that are judged again after a
  restart give the same alerts.
- Whatever changes is returned as an AlertChange, in order; nobody is told from here.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ...errors import AlertOver
from ...rules.alert import Alert, AlertChange, Transition
from ...rules.base import Finding, Severity
from ...rules.lifecycle import OPEN, Condition, Event, State
from ...rules.remedy import Remedy
from .watches import Key, Watch

RULE_HEALTH = "rule_health"
SERIES = "series"
Curve = Callable[[str], list[list[float]]]


class Ledger:
    """The findings of one run, by rule and series."""

    def __init__(self, run_id: str, clock: Callable[[], float], single: Iterable[str]) -> None:
        """`single`: the rules of which the run has one alert at most."""
        self._run_id, self._clock, self._single = run_id, clock, frozenset(single)
        self.watches: dict[Key, Watch] = {}
        self.remedies: dict[str, Remedy] = {}  # by component: what an open alert advises; the same dict for ever
        self._serial = 0

    def key_of(self, rule: str, series: str) -> Key:
        return rule, "" if rule in self._single else series

    def write(
        self, key: Key, series: str, finding: Finding, event: Event, condition: Condition, curve: Curve
    ) -> AlertChange:
        """A finding fired or worsened: its alert as of now; one that was there keeps its id, first step and time."""
        watch = self.watches[key]
        was = watch.alert
        severity = condition.severity or Severity.WARNING
        alert = Alert(
            id=was.id if was else self._new_id(key, condition.first_step),
            run=self._run_id,
            rule=key[0],
            series=series,
            component=finding.component,
            severity=severity.word,
            state="firing",
            step=was.step if was else condition.first_step,
            last_step=condition.last_step,
            fired_s=was.fired_s if was else self._clock(),
            resolved_step=None,
            message=finding.message,
            evidence={"text": finding.text, "values": curve(series), **finding.numbers},
            blame=finding.blame.to_dict() if finding.blame else None,
            remedy=finding.remedy.to_dict() if finding.remedy else None,
            incident=was.incident if was else None,
        )
        watch.series, watch.alert = series, alert
        self._advise()
        return AlertChange(alert, "escalated" if event is Event.WORSEN else "reopened" if was else "fired")

    def end(self, key: Key, condition: Condition, step: int, **evidence: Any) -> AlertChange:
        """A finding that was told is over."""
        watch = self.watches[key]
        assert watch.alert is not None, "a finding that never fired has nothing to end"
        said = {**watch.alert.evidence, **evidence}
        watch.alert = replace(
            watch.alert, state="resolved", last_step=condition.last_step, resolved_step=step, evidence=said
        )
        self._advise()
        return AlertChange(watch.alert, "resolved")

    def report(self, what: str, step: int, said: str) -> list[AlertChange]:
        """Say once that a rule is broken, or that the engine cannot do all that was asked of it."""
        key = (RULE_HEALTH, what)
        watch = self.watches.get(key)
        if watch is not None and watch.is_open:
            return []
        message = f"The rule {what} failed at step {step} ({said}). The other rules are not affected."
        if what == SERIES:
            message = f"Not everything of the run is judged: {said}."
        condition = Condition(State.FIRING, Severity.WARNING, step, step)
        self.watches[key] = Watch(what, condition)
        return [self.write(key, what, Finding(message, said), Event.CONFIRM, condition, lambda series: [])]

    def recovered(self, what: str, step: int) -> list[AlertChange]:
        """A rule that was broken is well again."""
        watch = self.watches.pop((RULE_HEALTH, what), None)
        if watch is None or watch.alert is None or not watch.is_open:
            return []
        return [AlertChange(replace(watch.alert, state="resolved", resolved_step=step), "resolved")]

    def doubt(self, rule: str, rows: int, step: int) -> list[AlertChange]:
        """The rule failed on so many rows up to this step: its open alerts say that nobody knows whether they are over.

        They are not ended: whoever is told that it is over would believe it.
        """
        said = (
            f"The rule {rule} failed on {rows:,} rows in a row up to step {step}: nothing tells whether this was over."
        )
        return [
            self.amend(
                replace(alert, evidence={**alert.evidence, "text": f"{alert.evidence.get('text', '')} {said}".strip()})
            )
            for alert in self.open_alerts()
            if alert.rule == rule
        ]

    def has_fired(self, key: Key) -> bool:
        """The finding has an alert."""
        watch = self.watches.get(key)
        return watch is not None and watch.alert is not None

    def forget(self, key: Key) -> None:
        """A finding's cool-down is over: the same finding is another alert from now on."""
        if (watch := self.watches.get(key)) is not None:
            watch.alert = None

    def tidy(self) -> None:
        """Forget findings that are over for good."""
        gone = [key for key, watch in self.watches.items() if watch.condition.state is State.INACTIVE]
        for key in gone:
            del self.watches[key]

    def _new_id(self, key: Key, step: int) -> str:
        self._serial += 1
        said = "\0".join([self._run_id, *key, str(step), str(self._serial)])
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _advise(self) -> None:
        self.remedies.clear()
        for watch in self.watches.values():
            alert = watch.alert
            if alert is None or alert.state == "resolved" or not alert.component or not alert.remedy:
                continue
            if alert.remedy["kind"] == "set_weight":
                self.remedies[alert.component] = Remedy(**alert.remedy)

    # -- alerts and persons -------------------------------------------------------------------------------------------

    def acknowledge(self, alert_id: str) -> AlertChange:
        for watch in self.watches.values():
            if watch.alert and watch.alert.id == alert_id and watch.condition.state is not State.RESOLVED:
                watch.condition.acknowledge()
                watch.alert = watch.now()
                return AlertChange(watch.alert, "acknowledged")
        raise AlertOver(f"It was asked for as {alert_id[:80]!r}.")

    def recent(self, rule: str) -> list[Alert]:
        """The rule's alerts that are open, or over so lately that the same finding would open them again."""
        return [watch.now() for (name, _), watch in self.watches.items() if name == rule and watch.alert]

    def open_alerts(self) -> list[Alert]:
        """Oldest first, each with its last step up to date."""
        alerts = [watch.now() for watch in self.watches.values() if watch.is_open and watch.alert]
        return sorted(alerts, key=lambda alert: (alert.step, alert.id))

    def amend(self, alert: Alert, transition: Transition = "explained") -> AlertChange:
        """More is known of an alert that is recent: `alert` is what is said of it now."""
        for watch in self.watches.values():
            if watch.alert and watch.alert.id == alert.id:
                watch.alert = alert
                return AlertChange(watch.now(), transition)
        raise AlertOver(f"It was asked for as {alert.id[:80]!r}.")

    def assign(self, alert: Alert) -> None:
        """The alert belongs to an incident now."""
        for watch in self.watches.values():
            if watch.alert and watch.alert.id == alert.id:
                watch.alert = replace(watch.alert, incident=alert.incident)

    def restore(self, alert: Alert) -> None:
        """An alert of before goes on where it was."""
        state, severity = State(alert.state), Severity[alert.severity.upper()]
        if state in OPEN:
            condition = Condition(state, severity, alert.step, alert.last_step)
            self.watches[self.key_of(alert.rule, alert.series)] = Watch(alert.series, condition, alert)
            self._advise()

    def retire(self, kept: Callable[[str], bool], step: int) -> list[AlertChange]:
        """Rules were switched off: what they found is over."""
        changes = []
        for key in sorted(key for key in self.watches if key[0] != RULE_HEALTH and not kept(key[0])):
            watch = self.watches[key]
            if watch.is_open and watch.alert:
                text = f"{watch.alert.evidence.get('text', '')} The rule {key[0]} was switched off.".strip()
                changes.append(self.end(key, watch.condition, step, text=text, switched_off=True))
            del self.watches[key]
        self._advise()
        return changes

    def rewind(self, from_step: int, to_step: int) -> list[AlertChange]:
        """The run went back: what began at `to_step` or later is over, what began before goes on."""
        watches, self.watches = self.watches, {}
        changes = []
        for key, watch in sorted(watches.items()):
            # a rule that is broken is so on any branch
            if watch.is_open and (key[0] == RULE_HEALTH or watch.condition.first_step < to_step):
                self.restore(replace(watch.now(), last_step=min(watch.condition.last_step, to_step - 1)))
                continue
            was_open = watch.is_open
            watch.condition.undo()
            if was_open and watch.alert:
                changes.append(AlertChange(_undone(watch.now(), from_step, to_step), "resolved"))
        self._advise()
        return changes

    # -- kept over restarts -------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All of it, as plain values."""
        watches = []
        for key, watch in self.watches.items():
            condition = {**asdict(watch.condition), "state": watch.condition.state.value}
            condition["severity"] = None if watch.condition.severity is None else int(watch.condition.severity)
            alert = None if watch.alert is None else watch.alert.to_dict()
            watches.append([*key, watch.series, condition, alert])
        return {"serial": self._serial, "watches": watches}

    def load(self, data: Mapping[str, Any]) -> None:
        """What `dump` gave."""
        self._serial = data["serial"]
        for rule, name, series, fields, alert in data["watches"]:
            severity = None if fields["severity"] is None else Severity(fields["severity"])
            condition = Condition(**{**fields, "state": State(fields["state"]), "severity": severity})
            self.watches[rule, name] = Watch(series, condition, None if alert is None else Alert.from_dict(alert))
        self._advise()


def _undone(alert: Alert, from_step: int, to_step: int) -> Alert:
    """An alert that a rollback ended."""
    text = f"{alert.evidence.get('text', '')} The run was rolled back to step {to_step}, before this began.".strip()
    evidence = {**alert.evidence, "text": text, "rolled_back_to": to_step}
    return replace(alert, state="resolved", resolved_step=max(from_step, alert.last_step), evidence=evidence)
