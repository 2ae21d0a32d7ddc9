"""What the server says of a finding: the alert, and the change that makes it worth sending.

Rules of this file:
- `Alert` has the shape of docs/protocol.md, section 2, and nothing else; it is a value, a change makes a new one.
- Numbers in `evidence` may be NaN or infinite: whoever writes JSON uses `lossguard.protocol.numbers`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

AlertState = Literal["pending", "firing", "acknowledged", "resolved"]
SeverityName = Literal["critical", "warning"]
Transition = Literal["fired", "escalated", "acknowledged", "resolved", "reopened", "explained"]


@dataclass(frozen=True)
class Alert:
    """One finding of one rule about one series or component of one run, over its whole life."""

    id: str
    run: str
    rule: str
    series: str
    component: str | None
    severity: SeverityName
    state: AlertState
    step: int  # the first step that counted against it
    last_step: int  # the last step known to count against it when this was written
    fired_s: float  # epoch seconds
    resolved_step: int | None
    message: str
    evidence: dict[str, Any]  # {text, values: [[step, value], ...], ...numbers}
    blame: dict[str, Any] | None
    remedy: dict[str, Any] | None
    incident: str | None = None  # what it belongs to

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers (non-finite ones included), keys as in docs/protocol.md."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Alert":
        """The alert that `to_dict` wrote, here or in an older version. Unknown keys are skipped; what every version had
        and is missing raises TypeError."""
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})


@dataclass(frozen=True)
class AlertChange:
    """An alert as it is now, and what has just happened to it. Store it by `alert.id`; then tell everybody."""

    alert: Alert
    transition: Transition
