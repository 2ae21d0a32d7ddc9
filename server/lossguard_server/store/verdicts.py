"""What people said of alerts: true or false alarm, and silence. Queries.

Rules of this file: these are columns of the alert's row, not of its body: the rules write the body anew whenever the
alert changes, and must not wipe out what a person said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, func, select

from . import json
from .tables import AlertRow

TRUE, FALSE = "true", "false"
_FETCH_ROWS = 500


@dataclass(frozen=True)
class Said:
    """An alert, and what people said of it. `verdict`: "true", "false" or None."""

    alert: dict[str, Any]
    verdict: str | None
    silenced_until_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """The alert as answers carry it."""
        return {**self.alert, "verdict": self.verdict, "silenced_until_s": self.silenced_until_s}


@dataclass(frozen=True)
class Tally:
    """How many of a rule's alerts were called true, and false alarms."""

    true: int = 0
    false: int = 0


def get(session: Session, alert_id: str) -> Said | None:
    """The alert, or None."""
    row = session.exec(select(AlertRow).where(AlertRow.id == alert_id)).one_or_none()
    return None if row is None else _said(row)


def set_verdict(session: Session, alert_id: str, verdict: str | None) -> tuple[Said, str | None] | None:
    """The alert as it is now, and the verdict that it had; None when there is no such alert."""
    row = session.exec(select(AlertRow).where(AlertRow.id == alert_id)).one_or_none()
    if row is None:
        return None
    old, row.verdict = row.verdict, verdict
    session.flush()
    return _said(row), old


def set_silence(session: Session, alert_id: str, until_s: float | None) -> Said | None:
    """The alert as it is now; None when there is none. `until_s` in epoch seconds; None: no longer."""
    row = session.exec(select(AlertRow).where(AlertRow.id == alert_id)).one_or_none()
    if row is None:
        return None
    row.silenced_until_s = until_s
    session.flush()
    return _said(row)


def newest_first(session: Session, run_id: str) -> list[dict[str, Any]]:
    """Every alert of the run, as answers carry it."""
    rows = session.exec(select(AlertRow).where(AlertRow.run_id == run_id).order_by(col(AlertRow.number).desc()))
    return [_said(row).to_dict() for row in rows]


def of_run(session: Session, run_id: str) -> Iterator[Said]:
    """The run's alerts, oldest first, a few at a time in memory."""
    oldest = select(AlertRow).where(AlertRow.run_id == run_id).order_by(col(AlertRow.number))
    for row in session.exec(oldest.execution_options(yield_per=_FETCH_ROWS)):
        yield _said(row)


def tallies(session: Session) -> dict[str, Tally]:
    """By rule, over every stored run."""
    asked = select(AlertRow.rule, AlertRow.verdict, func.count()).where(col(AlertRow.verdict).is_not(None))
    counts: dict[str, dict[str, int]] = {}
    for rule, verdict, count in session.exec(asked.group_by(AlertRow.rule, col(AlertRow.verdict))):
        counts.setdefault(rule, {})[str(verdict)] = count
    return {rule: Tally(found.get(TRUE, 0), found.get(FALSE, 0)) for rule, found in counts.items()}


def _said(row: AlertRow) -> Said:
    return Said(json.from_text(row.body), row.verdict, row.silenced_until_s)
