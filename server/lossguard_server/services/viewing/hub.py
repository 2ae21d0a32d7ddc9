"""From what happens to every viewer that wants to know.

Rules of this file:
- A message is encoded once for each distinct wish, however many viewers there are, and put into mailboxes; nothing here
  waits for a viewer.
- Points of a run leave at most POINTS_PER_S times a second, the first of a quiet run at once.
- What a run's viewers are told is held for a while, so that one who comes back gets what was missed.
- Time and timers are handed in.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...store.rows import Rows, joined
from .cursor import read_cursor
from .mailbox import Mailbox
from .messages import Wanted, body
from .tail import Tail, Told

POINTS_PER_S = 30.0
MAX_GATHERED_POINTS = 500_000  # between two departures; beyond it a viewer loads over HTTP faster
FORGET_AFTER_S = 60.0  # a closed laptop takes longer; a reload, a new network and a restarted proxy do not
OTHERS_EVERY_S = 5.0  # who of a crowd is the largest changes slowly, and a page chooses as often


@dataclass
class _Watched:
    """A run that has a viewer, or had one lately."""

    tail: Tail
    viewers: set[Mailbox] = field(default_factory=set)
    left_at_s: float = 0.0
    blocks: list[Rows] = field(default_factory=list)  # between two departures
    points: int = 0
    departed_at_s: float = float("-inf")
    is_scheduled: bool = False
    told_others_at_s: float = float("-inf")


class Hub:
    """All viewers. Owned by the event loop's thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        boot: str | None = None,
    ) -> None:
        """`clock` gives monotonic seconds; `call_later(delay_s, callback)` calls back on the same thread.

        `boot` names this life of the process in cursors; None: at random.
        """
        self._clock, self._call_later = clock, call_later
        self._boot = secrets.token_hex(4) if boot is None else boot
        self._viewers: set[Mailbox] = set()
        self._runs: dict[str, _Watched] = {}
        self._last_number = 0  # the largest of any run that was forgotten

    def join(self) -> Mailbox:
        """A mailbox for a new viewer."""
        mailbox = Mailbox(self._boot, self._clock)
        self._viewers.add(mailbox)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """The viewer is gone."""
        self._viewers.discard(mailbox)
        self._unwatch(mailbox)

    def subscribe(
        self,
        mailbox: Mailbox,
        run_id: str | None,
        series: Wanted = None,
        wants_others: bool = False,
        cursor: str | None = None,
    ) -> None:
        """The viewer watches that run instead of another; the same run again only changes what is wanted of it.

        `series` None: all. `wants_others`: of all other series the newest value, now and then. With a `cursor` it gets
        what came since, or is told to load everything.
        """
        is_same = run_id == mailbox.run_id
        if not is_same:
            self._unwatch(mailbox)
        watched = None if run_id is None else self._watched(run_id)
        mailbox.watch(None if watched is None else watched.tail, self._shared(watched, series), wants_others)
        if watched is None or is_same:
            mailbox.answer(is_resumed=is_same)
            return
        watched.viewers.add(mailbox)
        found = None if cursor is None else read_cursor(cursor, self._boot)
        is_resumed = found is not None and mailbox.resume(found)
        mailbox.answer(is_resumed)
        if cursor is not None and not is_resumed:
            mailbox.put_resync()

    def run(self, view: dict[str, Any]) -> None:
        """A run changed: every viewer is told."""
        if self._viewers:
            message = body({"type": "run", "run": view})
            for mailbox in self._viewers:
                mailbox.put_run(view["id"], message)

    def notice(self, run_id: str, message: dict[str, Any]) -> None:
        """An alert, command, event or declaration: those who watch the run are told, without fail."""
        if (watched := self._runs.get(run_id)) is not None:
            encoded = body(message)
            number = watched.tail.notices.add(encoded, len(encoded))
            for mailbox in watched.viewers:
                mailbox.put_notice(number, encoded)

    def points(self, run_id: str, rows: Rows) -> None:
        """Committed rows, for those who watch the run."""
        if (watched := self._runs.get(run_id)) is None:
            return
        watched.blocks.append(rows)
        watched.points += rows.columns.size
        wait_s = watched.departed_at_s + 1 / POINTS_PER_S - self._clock()
        if wait_s <= 0 and not watched.is_scheduled:
            self._depart(watched)
        elif not watched.is_scheduled:
            watched.is_scheduled = True
            self._call_later(wait_s, lambda: self._depart(watched))

    def reload(self, run_id: str) -> None:
        """What was told of the run's points holds no more: those who watch it shall load them again."""
        if (watched := self._runs.get(run_id)) is not None:
            watched.blocks, watched.points = [], 0
            watched.tail.rewind()
            for mailbox in watched.viewers:
                mailbox.put_resync()

    def forget(self, run_id: str) -> None:
        """The run was deleted: every viewer is told, who watched it watches nothing, a cursor of it fits no more."""
        if (watched := self._runs.get(run_id)) is not None:
            watched.blocks, watched.points = [], 0  # a departure may be scheduled
            for mailbox in watched.viewers:
                mailbox.watch(None, None, False)
            watched.viewers.clear()
            self._forget(watched)
        message = body({"type": "gone", "run": run_id})
        for mailbox in self._viewers:
            mailbox.put_gone(run_id, message)

    # -- departures -----------------------------------------------------------------------------------------------

    def _depart(self, watched: _Watched) -> None:
        blocks, too_many = watched.blocks, watched.points > MAX_GATHERED_POINTS
        watched.blocks, watched.points, watched.is_scheduled = [], 0, False
        if not blocks:  # the run went back meanwhile
            return
        watched.departed_at_s = self._clock()
        if too_many:
            watched.tail.skip(blocks)
            for mailbox in watched.viewers:
                mailbox.put_behind()
            return
        for rows in joined(blocks):
            for told in watched.tail.tell(rows):
                _hand_out(watched, told)
        self._hand_out_others(watched)

    def _hand_out_others(self, watched: _Watched) -> None:
        asking = [mailbox for mailbox in watched.viewers if mailbox.wants_others and mailbox.wanted is not None]
        if asking and self._clock() - watched.told_others_at_s >= OTHERS_EVERY_S:
            watched.told_others_at_s = self._clock()
            messages = {wanted: watched.tail.others(wanted) for wanted in {mailbox.wanted for mailbox in asking}}
            for mailbox in asking:
                mailbox.put_others(messages[mailbox.wanted])

    # -- who watches what -----------------------------------------------------------------------------------------

    def _watched(self, run_id: str) -> _Watched:
        if (found := self._runs.get(run_id)) is None:
            # behind every number that was ever given: a cursor from before must not fit
            self._last_number += 1
            found = self._runs[run_id] = _Watched(Tail(run_id, self._last_number))
        return found

    def _unwatch(self, mailbox: Mailbox) -> None:
        watched = None if mailbox.run_id is None else self._runs.get(mailbox.run_id)
        mailbox.watch(None, None, False)
        if watched is None:
            return
        watched.viewers.discard(mailbox)
        if watched.viewers:
            return
        watched.left_at_s = self._clock()
        if watched.tail.is_empty and not watched.blocks:
            self._forget(watched)  # a viewer can ask for as many runs as it likes
        else:
            self._call_later(FORGET_AFTER_S, lambda: self._forget_unwatched(watched))

    def _forget_unwatched(self, watched: _Watched) -> None:
        if not watched.viewers and self._clock() - watched.left_at_s >= FORGET_AFTER_S:
            self._forget(watched)

    def _forget(self, watched: _Watched) -> None:
        tail = watched.tail
        if self._runs.get(tail.run_id) is watched:
            del self._runs[tail.run_id]
            self._last_number = max(self._last_number, tail.points.number, tail.notices.number)

    def _shared(self, watched: _Watched | None, series: Wanted) -> Wanted:
        """An equal wish of another viewer, in whose place equality is identity."""
        viewers = () if watched is None else watched.viewers
        return next((mailbox.wanted for mailbox in viewers if mailbox.wanted == series), series)


def _hand_out(watched: _Watched, told: Told) -> None:
    encoded: dict[Wanted, bytes | None] = {}
    for mailbox in watched.viewers:
        if mailbox.wanted not in encoded:
            encoded[mailbox.wanted] = watched.tail.encoded(told, mailbox.wanted)
        if (message := encoded[mailbox.wanted]) is None:
            mailbox.pass_points(told.number)
        else:
            mailbox.put_points(told.number, message)
