"""What is told of an incident, and of its news.

Rules of this file: values; the shape is docs/protocol.md section 2. Numbers may be NaN or infinite.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .alert import AlertChange, SeverityName

News = Literal["opened", "joined", "escalated", "doubled", "closed", "changed"]
NOTIFYING: frozenset[News] = frozenset({"opened", "escalated", "doubled", "closed"})


@dataclass(frozen=True)
class Incident:
    """Alerts that belong together, with their first cause on top."""

    id: str
    run: str
    state: Literal["open", "closed"]
    severity: SeverityName
    first_step: int  # the first that counts against any of its alerts
    last_step: int
    opened_s: float  # epoch seconds
    headline: dict[str, Any]  # {alert, rule, series, component, message}
    cause: dict[str, Any]  # {kind, component, name, rule, text}
    first_bad: list[dict[str, Any]]  # [{series, step, lead_steps, deviation}], the earliest first
    alerts: list[str]  # ids, the first 200
    count: dict[str, int]  # of alerts, by rule
    blame: dict[str, Any] | None
    remedy: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class IncidentChange:
    """An incident as it is now, and why it is told."""

    incident: Incident
    news: News


@dataclass(frozen=True)
class Taken:
    """What became of some changes: the alerts with their incidents' ids, and the incidents, each once."""

    alerts: list[AlertChange]
    incidents: list[IncidentChange]
