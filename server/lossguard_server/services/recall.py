"""Brings the rules to what they knew of a run when that was last stored.

Rules of this file:
- What is stored (table rules_state) belongs to the streams' `judged_seq`: the rows after it are judged again, and give
  the same alerts. Where nothing is stored, or it cannot be read, the rules learn from the run's last 1,000 steps.
- Up to a stream's `found_seq` what is found again, by the rules of then, is stored already, and no news; behind it
  nothing is. Where nothing was stored of what they knew, the rules learn what lies before, and begin there.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sqlmodel import Session

from lossguard.protocol.messages import Declaration, Event

from ..errors import StateUnreadable
from ..rules.alert import Alert, AlertChange
from ..rules.base import Rule
from ..rules.incident import IncidentChange
from ..store import alerts, branches, incidents, journal, rules_state, runs
from ..store.columns import VIEW_RANK
from ..store.decoding import names_of, told
from ..store.journal import StreamHead
from ..store.rows import Layouts, Rows, joined
from .plan_fold import fold

WARM_STEPS = 1_000  # the rules' longest window

RulesFor = Callable[[str, str], Sequence[Rule]]  # of a project and a run
log = logging.getLogger(__name__)


class Rules(Protocol):
    """What is needed of services/engine."""

    def declare(self, run_id: str, declaration: Declaration) -> None: ...
    def steered(self, run_id: str, event: Event) -> None: ...
    def configure(self, run_id: str, rules: Sequence[Rule]) -> list[AlertChange]: ...
    def observe(self, run_id: str, parts: Sequence[Rows]) -> list[AlertChange]: ...
    def flush(self, run_id: str) -> list[AlertChange]: ...
    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]: ...
    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange: ...
    def warm(self, run_id: str, parts: Sequence[Rows]) -> None: ...
    def restore(self, run_id: str, alerts: Sequence[Alert], incidents: Sequence[Mapping[str, Any]] = ()) -> None: ...
    def news(self, run_id: str) -> list[IncidentChange]: ...
    def rewind(self, run_id: str, from_step: int, to_step: int) -> list[AlertChange]: ...
    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]: ...
    def amend(self, run_id: str, alert: Alert) -> AlertChange: ...
    def failed(self) -> list[dict[str, Any]]: ...
    def dump(self, run_id: str) -> bytes: ...
    def is_cold(self, run_id: str) -> bool: ...
    def load(self, run_id: str, body: bytes) -> None: ...
    def forget(self, run_id: str) -> None: ...


@dataclass
class Followed:
    """How far a stream has been judged, and what its ids mean up to there."""

    run_id: str
    judged_seq: int
    names: dict[int, str] = field(default_factory=dict)
    found_seq: int = 0  # when it was recalled: up to there everything is told

    def __post_init__(self) -> None:
        self.layouts = Layouts(self.names)


class Streams:
    """How far every stream has been judged, by its number."""

    def __init__(self) -> None:
        self._followed: dict[int, Followed] = {}

    def add(self, followed: Mapping[int, Followed]) -> None:
        self._followed.update(followed)

    def of(self, head: StreamHead, run_id: str) -> Followed:
        """The stream; one that is new is judged from where it stands."""
        return self._followed.setdefault(head.id, Followed(run_id, head.judged_seq))

    def judged_seq(self, head: StreamHead) -> int:
        followed = self._followed.get(head.id)
        return head.judged_seq if followed is None else followed.judged_seq

    def watermarks(self, run_id: str) -> dict[int, int]:
        """By stream of the run: how far it is judged."""
        return {number: each.judged_seq for number, each in self._followed.items() if each.run_id == run_id}

    def told(self, run_id: str) -> set[int]:
        """Streams of the run of which not everything that was told before is judged again."""
        followed = self._followed.items()
        return {number for number, each in followed if each.run_id == run_id and each.judged_seq < each.found_seq}

    def forget(self, run_id: str) -> None:
        for number in self.watermarks(run_id):
            del self._followed[number]


@dataclass(frozen=True)
class Recalled:
    """The run's streams as they were judged, by number; whether the rules know what they knew then, as they were."""

    followed: dict[int, Followed]
    is_loaded: bool


def recall(session: Session, run_id: str, rules: Rules, rules_for: RulesFor) -> Recalled:
    """Brings the rules there. Raises JournalDamaged, StorageError."""
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    is_loaded = _loaded(session, run_id, rules)
    if not is_loaded:
        rules.configure(run_id, in_force(session, run_id, rules_for))
        # what was told lies behind: its alerts are open, and are not to be found a second time
        heads = [replace(head, judged_seq=max(head.judged_seq, _found(head))) for head in heads]
        for head in heads:
            if (known := fold(told(session, head.id, head.judged_seq))).has_declared:
                rules.declare(run_id, known.declaration)
    followed = _followed(session, run_id, heads)
    if not is_loaded:
        rules.warm(run_id, _tails_judged(session, heads))
        opened = [Alert.from_dict(alert) for alert in alerts.open_of(session, run_id)]
        rules.restore(run_id, opened, incidents.open_of(session, run_id))
    elif rules.is_cold(run_id):  # stored between a rollback and the next row
        rules.warm(run_id, _tails_judged(session, heads))
    return Recalled(followed, is_loaded)


def _found(head: StreamHead) -> int:
    """After a repair a stream may be shorter than what was found in it."""
    return min(head.found_seq, head.last_seq)


def _followed(session: Session, run_id: str, heads: Sequence[StreamHead]) -> dict[int, Followed]:
    followed: dict[int, Followed] = {}
    for head in heads:
        names = names_of(session, head.id, head.judged_seq)
        followed[head.id] = Followed(run_id, head.judged_seq, names, _found(head))
    return followed


def _loaded(session: Session, run_id: str, rules: Rules) -> bool:
    body = rules_state.get(session, run_id)
    if body is None:
        return False
    try:
        rules.load(run_id, body)
    except StateUnreadable as error:
        log.warning("run %s: %s", run_id, error)
        return False
    return True


def _tails_judged(session: Session, heads: Sequence[StreamHead]) -> list[Rows]:
    return tails(session, [(head, head.judged_seq) for head in heads])


def in_force(session: Session, run_id: str, rules_for: RulesFor) -> Sequence[Rule]:
    """What judges the run from now on."""
    run = runs.get(session, run_id)
    return rules_for("" if run is None else run.project, run_id)


def tails(session: Session, heads: Sequence[tuple[StreamHead, int]]) -> list[Rows]:
    """What a run still shows of its last steps, oldest attempt first; `heads` as for branches.shown_tails."""
    found = list(branches.shown_tails(session, heads, WARM_STEPS, WARM_STEPS))
    return [rows for tail in reversed(found) for rows in joined(tail)]
