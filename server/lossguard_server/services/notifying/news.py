"""What is told: an incident or an alert at one moment, with all that a message says of it.

Rules of this file:
- News is complete: it is made in the transaction that stores the alert, and nothing is looked up when it is sent.
- Names come from the wire and may be anything: here they lose what is no visible character, and their length.
- `serial` tells two pieces of news of one incident apart, and is the same whenever the same rows are judged.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...rules.incident import Incident
from ...store.runs import StoredRun

OPENED, ESCALATED, DOUBLED, RESOLVED = "opened", "escalated", "doubled", "resolved"
KINDS = (OPENED, ESCALATED, DOUBLED, RESOLVED)
_KIND_BY_TRANSITION = {"fired": OPENED, "reopened": OPENED, "escalated": ESCALATED, "resolved": RESOLVED}
_KIND_BY_NEWS = {"opened": OPENED, "escalated": ESCALATED, "doubled": DOUBLED, "closed": RESOLVED}
NONFINITE = "nonfinite"
NAME_CHARS, TEXT_CHARS = 120, 600
FIRST_BAD_MAX, VALUES_MAX = 5, 64


@dataclass(frozen=True)
class News:
    """One thing to tell. `values` and `first_bad` are those of the alert and the incident, cut short."""

    kind: str
    serial: str
    incident: str  # or the alert that belongs to none
    alert: str
    run: str
    run_name: str
    project: str
    severity: str
    rule: str
    series: str
    component: str | None
    step: int
    nonfinite: bool  # a value is no number any more
    message: str
    cause: str
    blame: str
    remedy: str
    first_bad: list[dict[str, Any]]
    values: list[list[Any]]
    foretold: bool = False  # what it escalated to was foretold before it came

    def to_dict(self) -> dict[str, Any]:
        """Plain values, non-finite numbers included."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "News":
        """What `to_dict` wrote."""
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})


def of_incident(
    incident: Incident, said: str, alert: Mapping[str, Any] | None, run: StoredRun, foretold: bool = False
) -> News | None:
    """News of an incident, as rules/incident.py names it; None where it is none for people. `alert` is the one of the
    headline, where it is known; of an escalation the one that escalated, which then is what is told."""
    kind = _KIND_BY_NEWS.get(said)
    if kind is None:
        return None
    headline, alert = incident.headline, alert or {}
    if kind == ESCALATED and alert:
        headline = {**{key: alert.get(key) for key in ("rule", "series", "component", "message")}, "alert": alert["id"]}
    return News(
        kind=kind,
        serial=f"{kind}:{incident.severity}:{incident.last_step}",
        incident=incident.id,
        alert=str(headline["alert"]),
        step=incident.last_step,
        severity=incident.severity,
        nonfinite=NONFINITE in incident.count,
        message=plain(headline["message"], TEXT_CHARS),
        cause=_words(incident.cause),
        blame=_words(incident.blame) or _words(alert.get("blame")),
        remedy=_words(incident.remedy) or _words(alert.get("remedy")),
        first_bad=_first_bad(incident.first_bad),
        values=_values(alert),
        foretold=foretold,
        **_names(headline, run),
    )


def of_alert(alert: Mapping[str, Any], transition: str, run: StoredRun) -> News | None:
    """News of an alert that belongs to no incident; None where the change is none for people."""
    kind = _KIND_BY_TRANSITION.get(transition)
    if kind is None:
        return None
    step = int(alert["last_step"])
    return News(
        kind=kind,
        serial=f"{kind}:{alert['severity']}:{step}",
        incident=str(alert["id"]),
        alert=str(alert["id"]),
        step=step,
        severity=str(alert["severity"]),
        nonfinite=alert.get("rule") == NONFINITE,
        message=plain(alert.get("message"), TEXT_CHARS),
        cause="",
        blame=_words(alert.get("blame")),
        remedy=_words(alert.get("remedy")),
        first_bad=[],
        values=_values(alert),
        **_names(alert, run),
    )


def plain(text: object, limit: int) -> str:
    """The text in one line, without characters that control a terminal, a header or the direction of writing."""
    shown = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in str(text or ""))
    line = " ".join(shown.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _names(named: Mapping[str, Any], run: StoredRun) -> dict[str, Any]:
    component = named.get("component")
    return {
        "run": run.id,
        "run_name": plain(run.name, NAME_CHARS),
        "project": plain(run.project, NAME_CHARS),
        "rule": plain(named.get("rule"), NAME_CHARS),
        "series": plain(named.get("series"), NAME_CHARS),
        "component": None if component is None else plain(component, NAME_CHARS),
    }


def _words(said: object) -> str:
    return plain(said.get("text") if isinstance(said, Mapping) else said, TEXT_CHARS)


def _values(alert: Mapping[str, Any]) -> list[list[Any]]:
    return [list(pair) for pair in (alert.get("evidence") or {}).get("values") or []][-VALUES_MAX:]


def _first_bad(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = ("series", "step", "lead_steps", "deviation")
    return [
        {**{key: each.get(key) for key in keys}, "series": plain(each.get("series"), NAME_CHARS)}
        for each in found[:FIRST_BAD_MAX]
    ]
