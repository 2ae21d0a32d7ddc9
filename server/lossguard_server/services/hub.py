"""From what happens to every viewer that wants to know.

Rules of this file:
- A message is encoded once, however many viewers there are, and put into mailboxes; nothing here waits for a viewer.
- Points of a run leave at most POINTS_PER_S times a second, the first of a quiet run at once.
- Time and timers are handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from ..store.rows import Rows, joined
from .mailbox import Mailbox

POINTS_PER_S = 30.0
MAX_GATHERED_POINTS = 500_000  # between two departures; beyond it a viewer loads over HTTP faster

_encoder = msgspec.msgpack.Encoder()


@dataclass
class _Gathering:
    """A run's rows between two departures."""

    blocks: list[Rows] = field(default_factory=list)
    points: int = 0
    left_at_s: float = float("-inf")
    is_scheduled: bool = False


class Hub:
    """All viewers. Owned by the event loop's thread."""

    def __init__(self, clock: Callable[[], float], call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """`clock` gives monotonic seconds; `call_later(delay_s, callback)` calls back on the same thread."""
        self._clock, self._call_later = clock, call_later
        self._viewers: set[Mailbox] = set()
        self._gathering: dict[str, _Gathering] = {}

    def join(self) -> Mailbox:
        """A mailbox for a new viewer."""
        mailbox = Mailbox()
        self._viewers.add(mailbox)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """The viewer is gone."""
        self._viewers.discard(mailbox)
        if mailbox.run_id is not None and not self._watchers(mailbox.run_id):
            self._gathering.pop(mailbox.run_id, None)

    def run(self, view: dict[str, Any]) -> None:
        """A run changed: every viewer is told."""
        if self._viewers:
            message = _encoder.encode({"type": "run", "run": view})
            for mailbox in self._viewers:
                mailbox.put_run(view["id"], message)

    def notice(self, run_id: str, message: dict[str, Any]) -> None:
        """An alert, command, event or declaration: those who watch the run are told, without fail."""
        if watchers := self._watchers(run_id):
            encoded = _encoder.encode(message)
            for mailbox in watchers:
                mailbox.put_notice(encoded)

    def points(self, run_id: str, rows: Rows) -> None:
        """Committed rows, for those who watch the run."""
        if not self._watchers(run_id):
            return
        gathering = self._gathering.setdefault(run_id, _Gathering())
        gathering.blocks.append(rows)
        gathering.points += rows.columns.size
        wait_s = gathering.left_at_s + 1 / POINTS_PER_S - self._clock()
        if wait_s <= 0 and not gathering.is_scheduled:
            self._depart(run_id)
        elif not gathering.is_scheduled:
            gathering.is_scheduled = True
            self._call_later(wait_s, lambda: self._depart(run_id))

    def reload(self, run_id: str) -> None:
        """Points that are on their way are of no use: those who watch the run shall load it again."""
        if (gathering := self._gathering.get(run_id)) is not None:
            gathering.blocks, gathering.points = [], 0
        resync = _encoder.encode({"type": "resync", "run": run_id})
        for mailbox in self._watchers(run_id):
            mailbox.put_resync(resync)

    def _depart(self, run_id: str) -> None:
        gathering = self._gathering.get(run_id)
        if gathering is None:
            return
        blocks, too_many = gathering.blocks, gathering.points > MAX_GATHERED_POINTS
        self._gathering[run_id] = _Gathering(left_at_s=self._clock())
        resync = _encoder.encode({"type": "resync", "run": run_id})
        messages = [resync] if too_many else [points_message(run_id, rows) for rows in joined(blocks)]
        for mailbox in self._watchers(run_id):
            for message in messages:
                mailbox.put_points(message, resync)

    def _watchers(self, run_id: str) -> list[Mailbox]:
        return [mailbox for mailbox in self._viewers if mailbox.run_id == run_id]


def points_message(run_id: str, rows: Rows) -> bytes:
    """A `points` message of docs/protocol.md section 3."""
    return _encoder.encode(
        {
            "type": "points",
            "run": run_id,
            "series": list(rows.names),
            "n": len(rows.steps),
            "steps": rows.steps.astype("<f8").tobytes(),
            "values": np.ascontiguousarray(rows.columns, dtype="<f8").tobytes(),
        }
    )
