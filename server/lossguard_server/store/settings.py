"""What people changed while the server ran: queries. A setting belongs to the server, to a project or to a run."""

from typing import Any

from sqlmodel import Session, select

from . import json
from .tables import SettingRow


def of_project(project: str) -> str:
    """The scope of a project's settings."""
    return f"project:{project}"


def of_run(run_id: str) -> str:
    """The scope of a run's settings."""
    return f"run:{run_id}"


def of_key(session: Session, key: str) -> dict[str, Any]:
    """The setting `key` of every scope that has it."""
    return {
        row.scope: json.from_text(row.body) for row in session.exec(select(SettingRow).where(SettingRow.key == key))
    }


def put(session: Session, scope: str, key: str, value: Any) -> Any:
    """Set it; None takes it away. Returns what it was, None where it was not set."""
    row = session.get(SettingRow, (scope, key))
    old = None if row is None else json.from_text(row.body)
    if value is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(SettingRow(scope=scope, key=key, body=json.to_text(value)))
    else:
        row.body = json.to_text(value)
    session.flush()
    return old
