"""What a rule's policy did in a run before, as the database has it.

Rules of this file:
- Nothing of it is in memory: a budget that a restart gave anew would be none. Actions are commands, by their actor;
  alerts that brought none have their row in the audit trail.
- Every command that was stored counts, whatever became of it: one that the trainer rejected, or a person took back, was
  asked for.
- The audit trail of a deleted run stays; what is older than the run is of another one of its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from ...store import alerts, audit, commands
from ...store.commands import StoredCommand
from ...store.runs import StoredRun
from .. import command_states as states
from ..effects.evidence import JUDGED_KINDS

ACTOR = "policy:"  # and the rule
LEFT = "policy did nothing"
WAITS = "policy waits"
GUARDED = "policy left it to the guard"


@dataclass(frozen=True)
class Past:
    """Of one policy in one run, oldest first."""

    commands: Sequence[StoredCommand] = ()
    said: Sequence[Mapping[str, Any]] = ()  # rows of the audit trail
    others: Sequence[StoredCommand] = ()  # what people gave because of the alert in question

    @property
    def used(self) -> int:
        """How much of the budget."""
        return len(self.commands) + len([row for row in self.said if row["what"] == GUARDED])

    def has_answered(self, alert_id: str) -> bool:
        """The alert had its answer, for good."""
        final = [row for row in self.said if row["what"] in (LEFT, GUARDED)]
        return any(command.alert == alert_id for command in self.commands) or any(
            row["detail"].get("alert") == alert_id for row in final
        )

    def has_said(self, what: str, **detail: str) -> bool:
        """There is a row that says this already."""
        return any(row["what"] == what and detail.items() <= row["detail"].items() for row in self.said)

    def waited_s(self, alert_id: str, now_s: float) -> float:
        """For how long the alert has been put off; 0 where it was not."""
        since_s = [row["at_s"] for row in self.said if row["what"] == WAITS and row["detail"].get("alert") == alert_id]
        return max(0.0, now_s - since_s[0]) if since_s else 0.0

    def unjudged(self) -> StoredCommand | None:
        """An action of which nobody knows yet what it did."""
        return next((command for command in self.commands if _is_unjudged(command)), None)

    def rests_until_s(self, pause_s: float, now_s: float) -> float | None:
        """Until when there is no further action; None: there may be one. Wall seconds."""
        # of times in the future nothing is known: a clock that was set back must not silence anybody
        ends_s = [command.created_s + pause_s for command in self.commands if command.created_s <= now_s]
        return max(ends_s) if ends_s and max(ends_s) > now_s else None


def actor_of(rule: str) -> str:
    """Under which name the rule's policy acts."""
    return f"{ACTOR}{rule}"


def of_run(session: Session, run: StoredRun) -> dict[str, Past]:
    """By rule."""
    given = commands.given_by(session, run.id, ACTOR)
    said = [row for row in audit.said_by(session, run.id, ACTOR) if row["at_s"] >= run.created_s]
    rules = {actor.removeprefix(ACTOR) for actor in [*(each.actor for each in given), *(row["actor"] for row in said)]}
    return {
        rule: Past(
            [command for command in given if command.actor == actor_of(rule)],
            # a command's own rows are the command's
            [row for row in said if row["actor"] == actor_of(rule) and row["what"] in (LEFT, WAITS, GUARDED)],
        )
        for rule in rules
    }


def by_others(session: Session, run: StoredRun, alert_id: str) -> list[StoredCommand]:
    """What people gave because of the alert. That the script asks for detail is no answer to it."""
    found = commands.naming(session, run.id, alert_id)
    return [command for command in found if not command.actor.startswith((ACTOR, "rule:"))]


def open_before(session: Session) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(every alert that is open, those of them that a policy had put off)."""
    found = alerts.all_open(session)
    concerned = {alert["run"] for alert in found}
    rows = [row for run_id in concerned for row in audit.said_by(session, run_id, ACTOR) if row["what"] == WAITS]
    put_off = {row["detail"].get("alert") for row in rows}
    return found, [alert for alert in found if alert["id"] in put_off]


def _is_unjudged(command: StoredCommand) -> bool:
    if command.state in states.OPEN:
        return True
    return command.state == states.APPLIED and command.effect is None and command.kind in JUDGED_KINDS
