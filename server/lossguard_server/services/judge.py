"""Shows the rules what was committed, in order, each message once, and stores what they find.

Rules of this file:
- It follows the journal, not the sockets: whether a message came a moment ago or before a restart is the same road.
- Everything up to a stream's `judged_seq` has been judged. The alerts that a page of messages changed are stored in the
  transaction that moves `judged_seq` past it; only then are they told.
- A rollback ends a page, so that other runs come between; the rows that it leaves are read again once, when the next
  row is to be judged, however often the run went back until then.
- One thread owns the engine. A slow rule makes alerts late; it cannot slow the commits or fill the memory.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
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
from ..store import alerts, audit, branches, journal, runs
from ..store.columns import VIEW_RANK, Reading
from ..store.decoding import decode_rows, definitions_of
from ..store.journal import Entry, StreamHead
from ..store.rows import Layouts, Rows, joined
from ..store.writer import Writer
from .clock import Clock
from .engine import UnknownAlert as EngineUnknownAlert
from .origins import Origins
from .turns import Turns

WARM_STEPS = 1_000  # the rules' longest window
RECENT_ALERTS = 100  # among which an origin's alert is looked for

log = logging.getLogger(__name__)


class Rules(Protocol):
    """What the judge needs of services/engine.py."""

    def declare(self, run_id: str, declaration: Declaration) -> None: ...
    def observe(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> list[AlertChange]: ...
    def flush(self, run_id: str) -> list[AlertChange]: ...
    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]: ...
    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange: ...
    def warm(self, run_id: str, steps: Steps, names: list[str], columns: Columns) -> None: ...
    def restore(self, run_id: str, open_alerts: Sequence[Alert]) -> None: ...
    def rewind(self, run_id: str, from_step: int, to_step: int) -> list[AlertChange]: ...
    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]: ...
    def amend(self, run_id: str, alert: Alert) -> AlertChange: ...
    def forget(self, run_id: str) -> None: ...


@dataclass
class _Followed:
    """How far a stream has been judged, and what its ids mean up to there."""

    run_id: str
    judged_seq: int
    names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layouts = Layouts(self.names)


@dataclass(frozen=True)
class _Place:
    """Which of a run's attempts is being judged; `heads` are all of them, older first."""

    run_id: str
    heads: Sequence[StreamHead]
    number: int

    @property
    def head(self) -> StreamHead:
        return self.heads[self.number]

    @property
    def newer(self) -> Sequence[StreamHead]:
        return self.heads[self.number + 1 :]


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
        self._cold: set[str] = set()  # runs that went back, and of which no row was judged since
        self._unstored: dict[str, dict[str, Any]] = {}  # alerts that changed while the disk was full
        self._origins = Origins(rules, self._stored_alerts)
        self._is_closed = False
        self._closing = threading.Event()
        self._commits = 0
        # pages are judged and stored together; small, so that one run's backlog does not hold up another's alert
        self._turns = Turns(clock.monotonic_s, lambda: self._commits, self._closing.wait)

    def wake(self, run_id: str) -> None:
        """The run has committed something."""
        self._commits += 1
        self._submit_once(run_id)

    def settle(self, run_id: str) -> None:
        """The run has fallen silent: judge a step that still waits for more of its values."""
        self._submit(self._flush, run_id)

    def forget(self, run_id: str) -> None:
        """The run was deleted; what bears its name or its streams' numbers from now on is another."""
        self._submit(self._forget, run_id)

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
        self._closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    # -- in the judge's thread ------------------------------------------------------------------------------------

    def _submit_once(self, run_id: str) -> None:
        if run_id not in self._waiting:
            self._waiting.add(run_id)
            self._submit(self._follow, run_id)

    def _submit(self, task: Callable[[str], None], run_id: str) -> None:
        if not self._is_closed:
            self._thread.submit(task, run_id).add_done_callback(lambda future: _report(future, run_id))

    def _follow(self, run_id: str) -> None:
        self._waiting.discard(run_id)  # first: whoever commits from here on wakes us again
        self._know(run_id)
        with self._reading() as session:
            heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
        for number, head in enumerate(heads):
            stream = self._streams.setdefault(head.id, _Followed(run_id, head.judged_seq))
            if stream.judged_seq < head.last_seq:
                with self._turns.page():
                    self._judge_page(_Place(run_id, heads, number), stream)
                self._submit_once(run_id)  # behind the other runs, until nothing is left
                return

    def _judge_page(self, place: _Place, stream: _Followed) -> None:
        with self._reading() as session:
            rollback = journal.next_rollback(session, place.head.id, stream.judged_seq)
            limit = self._turns.size if rollback is None else min(self._turns.size, rollback - stream.judged_seq)
            page = journal.read(session, place.head.id, stream.judged_seq, limit)
        if not page:
            raise JournalDamaged(f"Message {stream.judged_seq + 1} of run {place.run_id} is missing.")
        # before the rules see it: a page on which they fail must not be shown to them for ever
        stream.judged_seq = page[-1].seq
        changes: list[AlertChange] = []
        for part in _parts(page):
            if part[0].kind in (journal.FRAME, journal.SCHEMA):
                for rows in joined(decode_rows(part, stream.names, stream.layouts)):
                    self._warm_again(place, part[0].seq - 1)
                    found = self._rules.observe(place.run_id, rows.steps, list(rows.names), rows.columns)
                    changes += found + self._origins.fired(place.run_id, found)
            else:
                for entry in part:
                    changes += self._judge_other(place, entry)
        self._store(changes, place.head.id, stream.judged_seq)

    def _judge_other(self, place: _Place, entry: Entry) -> list[AlertChange]:
        match decode_sequenced(entry.payload):
            case Declaration() as declaration:
                self._rules.declare(place.run_id, declaration)
            case Event(kind="finish"):
                found = self._rules.flush(place.run_id)
                return found + self._origins.fired(place.run_id, found)
            case Event(kind="origin") as event:
                return self._origins.told(place.run_id, event)
            case Event(kind="rollback") as event:
                return self._rewind(place, event)
            case Event(kind="trip") as event:
                found = self._rules.tripped(place.run_id, event.step, event.data)
                return found + self._origins.fired(place.run_id, found)
        return []

    def _rewind(self, place: _Place, event: Event) -> list[AlertChange]:
        """The rules as if the server had been started again; what the run still shows they learn with its next row."""
        to_step, from_step = branches.target_of(event), branches.step_of(event, "from")
        if to_step is None or any(self._judged_seq(newer) for newer in place.newer):
            return []  # of an older attempt that brings its data late nothing is shown any more
        self._origins.forget(place.run_id)
        self._cold.add(place.run_id)
        return self._rules.rewind(place.run_id, max(to_step, from_step or 0), to_step)

    def _warm_again(self, place: _Place, seq: int) -> None:
        """Before a row is judged: what the run shows up to message `seq` of this attempt, if it went back."""
        if place.run_id not in self._cold:
            return
        self._cold.remove(place.run_id)
        known = [(head, seq if head is place.head else self._judged_seq(head)) for head in place.heads]
        try:
            with self._reading() as session:
                tails = _tails(session, known)
            self._warm(place.run_id, tails)
        except ServerError as error:  # the rules can learn anew; what was found in this page must not be lost
            log.warning("run %s went back, and its rows before that were not read: %s", place.run_id, error)

    def _flush(self, run_id: str) -> None:
        self._follow(run_id)
        found = self._rules.flush(run_id)
        self._store(found + self._origins.fired(run_id, found))

    def _forget(self, run_id: str) -> None:
        self._streams = {number: stream for number, stream in self._streams.items() if stream.run_id != run_id}
        self._known.discard(run_id)
        self._cold.discard(run_id)
        self._origins.forget(run_id)
        self._rules.forget(run_id)

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
                # of a run that was deleted meanwhile it could not be stored, nor anything with it
                if runs.get(session, alert["run"]) is not None:
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
                declarations, schemas = definitions_of(session, head.id, head.judged_seq)
                names = {series.id: series.name for schema in schemas for series in schema.series}
                self._streams[head.id] = _Followed(run_id, head.judged_seq, names)
                if declarations:
                    self._rules.declare(run_id, declarations[-1])
            tails = _tails(session, [(head, head.judged_seq) for head in heads])
            open_alerts = [Alert.from_dict(alert) for alert in alerts.open_of(session, run_id)]
        self._warm(run_id, tails)
        self._rules.restore(run_id, open_alerts)
        self._known.add(run_id)

    def _warm(self, run_id: str, tails: Sequence[Rows]) -> None:
        for rows in tails:
            self._rules.warm(run_id, rows.steps, list(rows.names), rows.columns)

    def _judged_seq(self, head: StreamHead) -> int:
        followed = self._streams.get(head.id)
        return head.judged_seq if followed is None else followed.judged_seq

    def _stored_alerts(self, run_id: str) -> list[Alert]:
        try:
            with self._reading() as session:
                return [Alert.from_dict(alert) for alert in alerts.newest_first(session, run_id, RECENT_ALERTS)]
        except ServerError as error:  # the alerts that this page has made must not be lost with it
            log.warning("the alerts of run %s were not read: %s", run_id, error)
            return []


def _tails(session: Session, heads: Sequence[tuple[StreamHead, int]]) -> list[Rows]:
    """What a run still shows of its last steps, oldest attempt first; `heads` as for branches.shown_tails."""
    tails = list(branches.shown_tails(session, heads, WARM_STEPS, WARM_STEPS))
    return [rows for tail in reversed(tails) for rows in joined(tail)]


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
