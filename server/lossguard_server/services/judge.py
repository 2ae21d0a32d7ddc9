"""Shows the rules what was committed, in order, each message once.

Rules of this file:
- It follows the journal, not the sockets: whether a message came a moment ago or before a restart is the same road.
- What the rules found is stored before it is told (findings.py); what they know is stored with how far they have come,
  so a restart goes on from there and finds what it would have found.
- What was found before a restart is found again first, by the rules of then, before anything else is asked of the run.
- At most one of a run's streams is ahead of what is stored of the rules: else the order of rows would be lost.
- A rollback ends a page, so that other runs come between; the rows that it leaves are read again once, when the next
  row is to be judged, however often the run went back until then.
- One thread owns the engine. A slow rule makes alerts late; it cannot slow the commits or fill the memory.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Declaration, Event

from ..errors import AlertOver, JournalDamaged, ServerError, UnknownAlert
from ..rules.alert import Alert, AlertChange
from ..rules.lifecycle import IllegalTransition
from ..store import alerts, journal, verdicts
from ..store.columns import VIEW_RANK, Reading
from ..store.decoding import decode_rows
from ..store.journal import Entry
from ..store.rows import joined
from ..store.told import is_trip
from ..store.writer import Writer
from .clock import Clock
from .findings import Findings
from .going_back import GoingBack, Place
from .origins import Origins
from .recall import Followed, Rules, RulesFor, Streams, in_force, recall
from .troubles import Troubles
from .turns import Turns

KEPT_S = 900.0  # a silent run is remembered for so long
STEERED_BY = ("command", "rollback", "resume")
RECENT_ALERTS = 100  # among which an origin's alert is looked for

log = logging.getLogger(__name__)


class Judge:
    """Follows every run. Its methods may be called from any thread."""

    def __init__(
        self, rules: Rules, rules_for: RulesFor, writer: Writer, reading: Reading, clock: Clock, findings: Findings
    ) -> None:
        """`rules_for` gives the rules that are in force for a project's run."""
        self._rules, self._rules_for, self._findings = rules, rules_for, findings
        self._reading, self._clock = reading, clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lossguard-judge")
        self._waiting: set[str] = set()
        self._streams = Streams()
        self._known: set[str] = set()
        self._outdated: set[str] = set()  # runs that are to be judged by other rules
        self._behind_s: dict[str, float] = {}  # runs with something to judge: since when
        self._seen_s: dict[str, float] = {}  # runs that are known: when something of them was last judged
        self._troubles = Troubles()
        self._judged_rows = 0
        self._last: dict[str, int] = {}  # by run: the stream that was judged last
        self._going_back = GoingBack(rules, reading, self._streams, lambda run_id: self._origins.forget(run_id))
        self._origins = Origins(rules, partial(_stored_alerts, reading))
        self._is_closed = False
        self._closing = threading.Event()
        self._commits = 0
        # pages are judged and stored together; small, so that one run's backlog does not hold up another's alert
        self._turns = Turns(clock.monotonic_s, lambda: self._commits, self._closing.wait)

    def wake(self, run_id: str) -> None:
        """The run has committed something."""
        self._commits += 1
        self._behind_s.setdefault(run_id, self._clock.monotonic_s())
        self._submit_once(run_id)

    def settle(self, run_id: str) -> None:
        """The run has fallen silent: judge a step that still waits for more of its values."""
        self._submit(self._flush, run_id)

    def forget(self, run_id: str) -> None:
        """The run was deleted; what bears its name or its streams' numbers from now on is another."""
        self._submit(self._forget, run_id)

    def reconfigure(self, run_id: str) -> None:
        """Other rules are in force for the run: from its next row on they judge it."""
        self._outdated.add(run_id)
        self._submit(self._reconfigure, run_id)

    def catch_up(self) -> None:
        """After a start: judge what was committed and not judged."""
        with self._reading() as session:
            for run_id in {head.key.run for head in journal.unjudged(session)}:
                self.wake(run_id)

    def acknowledge(self, alert_id: str, actor: str) -> "Future[dict[str, Any]]":
        """The alert, acknowledged. The future raises UnknownAlert, AlertOver, StorageError."""
        return self._thread.submit(self._acknowledge, alert_id, actor)

    def health(self) -> dict[str, Any]:
        """How the rules do: {lag_s, lagging_runs, judged_rows, failed: [{run, rule, said, since_step}]}."""
        behind = [self._clock.monotonic_s() - since_s for since_s in list(self._behind_s.values())]
        lag = {"lag_s": max(behind, default=0.0), "lagging_runs": len(behind)}
        return {**lag, "judged_rows": self._judged_rows, "failed": self._rules.failed()}

    def tick(self) -> None:
        """Once a second: try again what could not be stored, and let go of runs that have long been silent."""
        self._submit(self._tidy, "")

    def close(self) -> None:
        """Finish the page in hand, and store what the rules know; the rest is judged after the next start."""
        self._is_closed = True
        self._closing.set()
        self._thread.submit(self._save_all).add_done_callback(lambda future: self._troubles.tell(future, "at the end"))
        self._thread.shutdown(wait=True, cancel_futures=False)

    # -- in the judge's thread ------------------------------------------------------------------------------------

    def _submit_once(self, run_id: str) -> None:
        if run_id not in self._waiting:
            self._waiting.add(run_id)
            self._submit(self._follow, run_id)

    def _submit(self, task: Callable[[str], None], run_id: str) -> None:
        if not self._is_closed:
            self._thread.submit(self._do, task, run_id).add_done_callback(
                lambda future: self._troubles.tell(future, run_id)
            )

    def _do(self, task: Callable[[str], None], run_id: str) -> None:
        if not self._is_closed or task == self._forget:
            task(run_id)

    def _follow(self, run_id: str) -> None:
        self._waiting.discard(run_id)  # first: whoever commits from here on wakes us again
        self._know(run_id)
        self._seen_s[run_id] = self._clock.monotonic_s()
        self._reconfigure(run_id)
        with self._reading() as session:
            heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
        for number, head in enumerate(heads):
            stream = self._streams.of(head, run_id)
            if stream.judged_seq < head.last_seq:
                with self._turns.page():
                    self._judge_page(Place(run_id, heads, number), stream)
                self._submit_once(run_id)  # behind the other runs, until nothing is left
                return
        self._behind_s.pop(run_id, None)
        self._troubles.over(run_id)

    def _find_again(self, run_id: str) -> None:
        """A few seconds' rows: what was found in them is told already."""
        while numbers := self._streams.told(run_id):
            with self._reading() as session:
                heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
            number = next(at for at, head in enumerate(heads) if head.id in numbers)
            self._judge_page(Place(run_id, heads, number), self._streams.of(heads[number], run_id))

    def _judge_page(self, place: Place, stream: Followed) -> None:
        if self._last.get(place.run_id, place.head.id) != place.head.id:
            self._findings.make_due(place.run_id)
            self._store(place.run_id, [])
        self._last[place.run_id] = place.head.id
        with self._reading() as session:
            rollback = journal.next_rollback(session, place.head.id, stream.judged_seq)
            ends = [end for end in (rollback, stream.found_seq) if end is not None and end > stream.judged_seq]
            limit = min([self._turns.size, *(end - stream.judged_seq for end in ends)])
            page = journal.read(session, place.head.id, stream.judged_seq, limit)
        if not page:
            raise JournalDamaged(f"Message {stream.judged_seq + 1} of run {place.run_id} is missing.")
        # before the rules see it: a page on which they fail must not be shown to them for ever
        stream.judged_seq = page[-1].seq
        changes: list[AlertChange] = []
        for part in _parts(page):
            if part[0].kind in (journal.FRAME, journal.SCHEMA):
                rows = joined(decode_rows(part, stream.names, stream.layouts))
                if rows:
                    self._going_back.warm_again(place, part[0].seq - 1)
                    self._judged_rows += sum(len(block.steps) for block in rows)
                    changes += self._explained(place.run_id, self._rules.observe(place.run_id, rows))
            else:
                for entry in part:
                    changes += self._judge_other(place, entry)
        if stream.judged_seq <= stream.found_seq:
            self._findings.pass_over(place.run_id)
        else:
            self._store(place.run_id, changes)

    def _judge_other(self, place: Place, entry: Entry) -> list[AlertChange]:
        run_id = place.run_id
        message = decode_sequenced(entry.payload)
        if isinstance(message, Event) and message.kind in STEERED_BY and not self._going_back.is_outdated(place):
            self._rules.steered(run_id, message)
        match message:
            case Declaration() as declaration:
                self._rules.declare(run_id, declaration)
            case Event(kind="finish"):
                self._findings.make_due(run_id)
                return self._explained(run_id, self._rules.flush(run_id))
            case Event(kind="origin") as event:
                return self._origins.told(run_id, event)
            case Event(kind="rollback") as event:
                return self._going_back.rewind(place, event)
            case Event() as event if is_trip(event):
                return self._explained(run_id, self._rules.tripped(run_id, event.step, event.data))
        return []

    def _explained(self, run_id: str, found: list[AlertChange]) -> list[AlertChange]:
        return found + self._origins.fired(run_id, found)

    def _flush(self, run_id: str) -> None:
        self._follow(run_id)
        self._findings.make_due(run_id)
        self._store(run_id, self._explained(run_id, self._rules.flush(run_id)))

    def _forget(self, run_id: str) -> None:
        self._behind_s.pop(run_id, None)
        self._outdated.discard(run_id)
        self._let_go(run_id)

    def _let_go(self, run_id: str) -> None:
        """Free what is known of the run; what is stored of it is enough to go on."""
        self._streams.forget(run_id)
        self._known.discard(run_id)
        self._going_back.forget(run_id)
        self._last.pop(run_id, None)
        self._troubles.over(run_id)
        self._seen_s.pop(run_id, None)
        self._origins.forget(run_id)
        self._findings.forget(run_id)
        self._rules.forget(run_id)

    def _reconfigure(self, run_id: str) -> None:
        if run_id in self._known and run_id in self._outdated:
            with self._reading() as session:
                rules = in_force(session, run_id, self._rules_for)
            changes = self._rules.configure(run_id, rules)
            self._findings.make_due(run_id)
            self._store(run_id, changes)
        self._outdated.discard(run_id)  # last: what could not be read is read with the next row

    def _acknowledge(self, alert_id: str, actor: str) -> dict[str, Any]:
        with self._reading() as session:
            stored = verdicts.get(session, alert_id)
        if stored is None:
            raise UnknownAlert(f"It was asked for as {alert_id[:80]!r}.")
        if stored.alert["state"] == "acknowledged":
            return stored.to_dict()
        if stored.alert["state"] != "firing":
            raise AlertOver(f"It is {alert_id}.")
        run_id = str(stored.alert["run"])
        self._follow(run_id)
        try:
            change = self._rules.acknowledge(run_id, alert_id)
        except IllegalTransition as error:  # resolved meanwhile
            raise AlertOver(f"It is {alert_id}.") from error
        self._findings.make_due(run_id)
        self._store(run_id, [change], actor=actor)
        return replace(stored, alert=change.alert.to_dict()).to_dict()

    def _store(self, run_id: str, changes: Sequence[AlertChange], actor: str | None = None) -> None:
        self._findings.store(run_id, changes, self._streams.watermarks(run_id), actor)

    def _tidy(self, _: str) -> None:
        for run_id in self._findings.waiting():
            self._store(run_id, [])
        for run_id in list(self._behind_s):  # what stopped it may be over
            self._submit_once(run_id)
        now_s = self._clock.monotonic_s()
        for run_id in [run_id for run_id, seen_s in self._seen_s.items() if now_s - seen_s >= KEPT_S]:
            if run_id in self._waiting or run_id in self._behind_s:
                continue
            if run_id in self._known:
                self._findings.make_due(run_id)
                self._store(run_id, [])
            self._let_go(run_id)

    def _save_all(self) -> None:
        for run_id in sorted(self._known):
            if not self._findings.is_saved(run_id, self._streams.watermarks(run_id)):
                self._findings.make_due(run_id)
                self._store(run_id, [])

    def _know(self, run_id: str) -> None:
        """Bring the rules to where they were when what they knew of the run was stored."""
        if run_id in self._known:
            return
        with self._reading() as session:
            recalled = recall(session, run_id, self._rules, self._rules_for)
        self._streams.add(recalled.followed)
        self._known.add(run_id)
        if recalled.is_loaded:
            self._outdated.add(run_id)
            self._find_again(run_id)
            self._reconfigure(run_id)


def _stored_alerts(reading: Reading, run_id: str) -> list[Alert]:
    try:
        with reading() as session:
            return [Alert.from_dict(alert) for alert in alerts.newest_first(session, run_id, RECENT_ALERTS)]
    except ServerError as error:  # the alerts that this page has made must not be lost with it
        log.warning("the alerts of run %s were not read: %s", run_id, error)
        return []


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
