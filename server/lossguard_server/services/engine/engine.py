"""Judges every run's rows as they are committed, and says which alerts changed.

Rules of this file: no store, no socket; the caller stores each change before it tells anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lossguard.protocol.messages import Declaration, Event

from ...errors import StateUnreadable
from ...rules import default_rules
from ...rules.alert import Alert, AlertChange
from ...rules.base import Rule
from ...rules.incident import IncidentChange
from ...store.rows import Rows
from ..plan_fold import steered
from .ledger import RULE_HEALTH
from .run import Run
from .state import from_bytes, to_bytes


class Engine:
    """All runs' memories and alerts. Not thread-safe: one owner calls it, in the order of the commits."""

    def __init__(self, clock: Callable[[], float], rules: Sequence[Rule] | None = None) -> None:
        """`clock` gives epoch seconds; without `rules` the default set judges."""
        self._clock = clock
        self._rules = tuple(default_rules() if rules is None else rules)
        self._runs: dict[str, Run] = {}

    def declare(self, run_id: str, declaration: Declaration) -> None:
        """What the run is made of (stages, contracts, weight bounds); a later one replaces it. Unknown run: created."""
        self._run(run_id).declare(declaration)

    def steered(self, run_id: str, event: Event) -> None:
        """What an operator did to the curriculum: an event `command`, `rollback` or `resume`."""
        run = self._run(run_id)
        run.declare(steered(run.declaration, event))

    def configure(self, run_id: str, rules: Sequence[Rule]) -> list[AlertChange]:
        """These rules judge the run from its next row on; the alerts of those that are gone are resolved."""
        return self._run(run_id).configure(rules)

    def observe(self, run_id: str, parts: Sequence[Rows]) -> list[AlertChange]:
        """Judge committed rows of one rank's stream, in order."""
        return self._run(run_id).observe(parts)

    def flush(self, run_id: str) -> list[AlertChange]:
        """Judge a step that still waits for its loss/total (call it at `finish` and when a stream falls silent)."""
        return self._run(run_id).observe([], is_last=True)

    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]:
        """The guard tells of a step that is not finite: `data` of its `trip` event, as it came."""
        return self._run(run_id).tripped(step, data)

    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange:
        """A person has seen it. Raises AlertOver (not open here) or IllegalTransition (acknowledged already)."""
        run = self._run(run_id)
        return run.said(run.ledger.acknowledge(alert_id))

    def warm(self, run_id: str, parts: Sequence[Rows]) -> None:
        """Feed history (the last 1,000 steps are plenty) without judging it. Before `restore`."""
        self._run(run_id).warm(parts)

    def restore(self, run_id: str, alerts: Sequence[Alert], incidents: Sequence[Mapping[str, Any]] = ()) -> None:
        """The alerts that were firing or acknowledged, and the incidents that were open, go on where they were."""
        self._run(run_id).restore(alerts, incidents)

    def news(self, run_id: str) -> list[IncidentChange]:
        """What changed about the run's incidents since this was asked last; ask after whatever gave changes."""
        return self._run(run_id).news()

    def rewind(self, run_id: str, from_step: int, to_step: int) -> list[AlertChange]:
        """The run went back from `from_step`, and goes on with `to_step`: what began there or later is over, and the
        memory is empty. `warm` it with the rows before `to_step`."""
        return self._run(run_id).rewind(from_step, to_step)

    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]:
        """A rule's alerts that are open, or over so lately that the same finding would open them again."""
        return self._run(run_id).ledger.recent(rule)

    def amend(self, run_id: str, alert: Alert) -> AlertChange:
        """More is known of an alert that is recent: `alert` is what is said of it now. Raises AlertOver."""
        run = self._run(run_id)
        return run.said(run.ledger.amend(alert))

    def failed(self) -> list[dict[str, Any]]:
        """Rules that broke: {run, rule, said, since_step} each."""
        alerts = [alert for run in list(self._runs.values()) for alert in run.ledger.recent(RULE_HEALTH)]
        return [
            {"run": alert.run, "rule": alert.series, "said": alert.evidence["text"], "since_step": alert.step}
            for alert in alerts
        ]

    def open_alerts(self, run_id: str) -> list[Alert]:
        """Alerts firing or acknowledged, oldest first, each with its last step up to date."""
        return self._run(run_id).ledger.open_alerts()

    def dump(self, run_id: str) -> bytes:
        """All that is known of the run."""
        return to_bytes(self._run(run_id).dump())

    def load(self, run_id: str, body: bytes) -> None:
        """What `dump` gave; `configure` it then. Raises StateUnreadable; the run is then as it was."""
        known = self._run(run_id)
        loaded = Run(run_id, known.rules, self._clock)
        try:
            loaded.load(from_bytes(body))
        except (KeyError, IndexError, TypeError, ValueError) as error:  # another version laid it out otherwise
            raise StateUnreadable(f"{type(error).__name__}: {error}") from error
        self._runs[run_id] = loaded

    def is_cold(self, run_id: str) -> bool:
        """The run went back, and is to be warmed before its next row."""
        return self._run(run_id).is_cold

    def forget(self, run_id: str) -> None:
        """Free a run's state (it was deleted, or ended long ago)."""
        self._runs.pop(run_id, None)

    def _run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            self._runs[run_id] = Run(run_id, self._rules, self._clock)
        return self._runs[run_id]
