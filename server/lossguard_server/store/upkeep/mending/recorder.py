"""Tells of what is lost, as an event of its run."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from lossguard.protocol.gaps import Hole

from ... import events
from ...events import StoredEvent

REASON = "the server's database was damaged here"
MOST_NAMED = 20  # series that a gap lists
MOST_SAID = 3  # of them, in a sentence


@dataclass(frozen=True)
class Recorder:
    """For one stream of a run. `wall_s`: epoch seconds of the repair."""

    session: Session
    run_id: str
    stream_id: int
    wall_s: float

    def record(self, hole: Hole, names: Sequence[str] = ()) -> str:
        """The gap as an event of the run; returns the sentence. A `from_step` below 0: nobody knows which steps."""
        steps = {"from": hole.from_step, "to": hole.to_step} if hole.from_step >= 0 else {}
        data = {**steps, "reason": hole.reason, "stream": self.stream_id}
        data |= {"seqs": [hole.first_seq, hole.last_seq]} if hole.last_seq else {}
        data |= {"series": list(names[:MOST_NAMED])} if names else {}
        at = max(0, hole.to_step)
        events.add(self.session, self.run_id, StoredEvent(at, "gap", self.wall_s, data))
        return f"run {self.run_id}: {_words(hole, names)}"

    def record_steps(self, first_step: int, last_step: int, names: Sequence[str] = (), why: str = REASON) -> str:
        """As `record`, of folded points, which no message holds any more."""
        return self.record(Hole(0, 0, first_step, last_step, why), names)


def _words(hole: Hole, names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
    parts = [f"gap of {', '.join(map(repr, names[:MOST_SAID]))}{more}" if names else "gap"]
    parts += [f"messages {hole.first_seq} to {hole.last_seq}"] if hole.last_seq else []
    parts.append(f"steps {hole.from_step} to {hole.to_step}" if hole.from_step >= 0 else "nobody knows which steps")
    return f"{', '.join(parts)}: {hole.reason}"
