"""Shows the rules what was committed, in order, each message once, and stores what they find.

Rules of this file:
- It follows the journal, not the sockets: whether a message came a moment ago or before a restart is the same road.
- Everything up to a stream's `judged_seq` has been judged. The alerts that a page of messages changed are stored in the
  transaction that moves `judged_seq` past it; only then are they told.
- One thread owns the engine. A slow rule makes alerts late; it cannot slow the commits or fill the memory.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlmodel import Session

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Declaration, Event

from ..errors import AlertOver, JournalDamaged, ServerError, UnknownAlert
from ..rules.alert import Alert, AlertChange
from ..rules.lifecycle import IllegalTransition
from ..store import alerts, audit, journal
from ..store.columns import VIEW_RANK, Reading, decode_rows
from ..store.journal import Entry, StreamHead
from ..store.rows import Layouts, joined
from ..store.writer import Writer
from .clock import Clock
from .engine import UnknownAlert as EngineUnknownAlert
from .restore import definitions, names_of

PAGE_MESSAGES = 256  # judged and stored together; small, so that one run's backlog does not hold up another's alert
WARM_STEPS = 1_000  # the rules' longest window

log = logging.getLogger(__name__)


class Rules(Protocol):
    """What the judge needs of services/engine.py."""

    def declare(self, run_id: str, declaration: Declaration) -> None: ...
    def observe(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> list[AlertChange]: ...
    def flush(self, run_id: str) -> list[AlertChange]: ...
    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange: ...
    def warm(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> None: ...
    def restore(self, run_id: str, open_alerts: Sequence[Alert]) -> None: ...


@dataclass
class _Followed:
    """How far a stream has been judged, and what its ids mean up to there."""

    judged_seq: int
    names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layouts = Layouts(self.names)


class Judge:
    """Follows every run. Its methods may be called from any thread."""

    def __init__(
        self, rules: Rules, writer: Writer, reading: Reading, clock: Clock, publish: Callable[[dict[str, Any]], None]
    ) -> None:
        """`publish` is given each alert that changed, in the judge's thread, after it was stored."""
        self._rules, self._writer, self._reading = rules, writer, reading
        self._clock, self._publish = clock, publish
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lossguard-judge")
        self._waiting: set[str] = set()
        self._streams: dict[int, _Followed] = {}
        self._known: set[str] = set()
        self._unstored: dict[str, dict[str, Any]] = {}  # alerts that changed while the disk was full
        self._is_closed = False

    def wake(self, run_id: str) -> None:
        """The run has committed something."""
        if run_id not in self._waiting:
            self._waiting.add(run_id)
            self._submit(self._follow, run_id)

    def settle(self, run_id: str) -> None:
        """The run has fallen silent: judge a step that still waits for more of its values."""
        self._submit(self._flush, run_id)

    def catch_up(self) -> None:
        """After a start: judge what was committed and not judged."""
        with self._reading() as session:
            for run_id in {head.key.run for head in journal.unjudged(session)}:
                self.wake(run_id)

    def acknowledge(self, alert_id: str, actor: str) -> "Future[dict[str, Any]]":
        """The alert, acknowledged. The future raises UnknownAlert, IllegalTransition, StorageError."""
        return self._thread.submit(self._acknowledge, alert_id, actor)

    def close(self) -> None:
        """Finish the page in hand; the rest is judged after the next start."""
        self._is_closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    # -- in the judge's thread ------------------------------------------------------------------------------------

    def _submit(self, task: Callable[[str], None], run_id: str) -> None:
        if not self._is_closed:
            self._thread.submit(task, run_id).add_done_callback(lambda future: _report(future, run_id))

    def _follow(self, run_id: str) -> None:
        self._waiting.discard(run_id)  # first: whoever commits from here on wakes us again
        self._know(run_id)
        with self._reading() as session:
            heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
        for head in heads:
            stream = self._streams.setdefault(head.id, _Followed(head.judged_seq))
            if stream.judged_seq < head.last_seq:
                self._judge_page(run_id, head, stream)
                self.wake(run_id)  # behind the other runs, until nothing is left
                return

    def _judge_page(self, run_id: str, head: StreamHead, stream: _Followed) -> None:
        with self._reading() as session:
            page = journal.read(session, head.id, stream.judged_seq, PAGE_MESSAGES)
        if not page:
            raise JournalDamaged(f"Message {stream.judged_seq + 1} of run {run_id} is missing.")
        # before the rules see it: a page on which they fail must not be shown to them for ever
        stream.judged_seq = page[-1].seq
        changes = []
        for part in _parts(page):
            if part[0].kind in (journal.FRAME, journal.SCHEMA):
                for rows in joined(decode_rows(part, stream.names, stream.layouts)):
                    changes += self._rules.observe(run_id, rows.steps, list(rows.names), rows.columns)
            else:
                changes += self._judge_other(run_id, part)
        self._store(changes, head.id, stream.judged_seq)

    def _judge_other(self, run_id: str, part: Sequence[Entry]) -> list[AlertChange]:
        changes = []
        for message in (decode_sequenced(entry.payload) for entry in part):
            if isinstance(message, Declaration):
                self._rules.declare(run_id, message)
            if isinstance(message, Event) and message.kind == "finish":
                changes += self._rules.flush(run_id)
        return changes

    def _flush(self, run_id: str) -> None:
        self._follow(run_id)
        self._store(self._rules.flush(run_id))

    def _acknowledge(self, alert_id: str, actor: str) -> dict[str, Any]:
        with self._reading() as session:
            stored = alerts.get(session, alert_id)
        if stored is None:
            raise UnknownAlert(f"It was asked for as {alert_id[:80]!r}.")
        if stored["state"] == "acknowledged":
            return stored
        if stored["state"] != "firing":
            raise AlertOver(f"It is {alert_id}.")
        self._follow(stored["run"])
        try:
            change = self._rules.acknowledge(stored["run"], alert_id)
        except (EngineUnknownAlert, IllegalTransition) as error:  # resolved meanwhile
            raise AlertOver(f"It is {alert_id}.") from error
        self._store([change], actor=actor)
        return change.alert.to_dict()

    def _store(
        self, changes: Sequence[AlertChange], stream_id: int | None = None, seq: int = 0, actor: str | None = None
    ) -> None:
        """Store what changed, with the watermark, then tell it. What cannot be stored now goes with the next."""
        self._unstored.update({change.alert.id: change.alert.to_dict() for change in changes})
        found, wall_s = list(self._unstored.values()), self._clock.wall_s()
        if not found and stream_id is None:
            return

        def store(session: Session) -> None:
            for alert in found:
                alerts.upsert(session, alert)
            if stream_id is not None:
                journal.set_judged(session, stream_id, seq)
            for alert in found if actor is not None else ():
                detail = {"alert": alert["id"], "rule": alert["rule"], "series": alert["series"]}
                audit.add(session, wall_s, actor or "", "alert acknowledged", detail, alert["run"])

        self._writer.submit(store).result()
        self._unstored.clear()
        for alert in found:
            self._publish(alert)

    def _know(self, run_id: str) -> None:
        """Bring the rules to where they were when the run's last judged message was stored."""
        if run_id in self._known:
            return
        with self._reading() as session:
            heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
            for head in heads:
                self._warm(session, run_id, head)
            open_alerts = [Alert.from_dict(alert) for alert in alerts.open_of(session, run_id)]
        self._rules.restore(run_id, open_alerts)
        self._known.add(run_id)

    def _warm(self, session: Session, run_id: str, head: StreamHead) -> None:
        self._streams[head.id] = stream = _Followed(head.judged_seq, names_of(session, head.id, head.judged_seq))
        judged = [entry for entry in journal.read_definitions(session, head.id) if entry.seq <= head.judged_seq]
        declarations, _ = definitions(judged)
        if declarations:
            self._rules.declare(run_id, declarations[-1])
        tail = journal.read_tail(session, head.id, head.judged_seq, WARM_STEPS, WARM_STEPS)
        for rows in joined(decode_rows(tail, stream.names, stream.layouts)):
            self._rules.warm(run_id, rows.steps, list(rows.names), rows.columns)


def _report(future: "Future[None]", run_id: str) -> None:
    """One run's fault is told, and does not silence the others."""
    if future.cancelled() or (error := future.exception()) is None:
        return
    if isinstance(error, ServerError):
        log.warning("judging run %s waits: %s", run_id, error)
    else:
        log.error("judging run %s failed", run_id, exc_info=error)


def _parts(page: Sequence[Entry]) -> list[list[Entry]]:
    """The page in order, cut where frames and schemas give way to declarations and events, and back."""
    parts: list[list[Entry]] = []
    for entry in page:
        is_data = entry.kind in (journal.FRAME, journal.SCHEMA)
        if parts and (parts[-1][0].kind in (journal.FRAME, journal.SCHEMA)) == is_data:
            parts[-1].append(entry)
        else:
            parts.append([entry])
    return parts
