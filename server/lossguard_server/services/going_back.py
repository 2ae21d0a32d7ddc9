"""Runs that went back to an earlier step: the rules forget what is not shown any more, and learn what is.

Rules of this file: the rows that a rollback leaves are read once, when the next row is to be judged, however often the
run went back until then. Of an older attempt that brings its data late nothing is shown any more.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossguard.protocol.messages import Event

from ..errors import ServerError
from ..rules.alert import AlertChange
from ..store import branches
from ..store.columns import Reading
from ..store.journal import StreamHead
from .recall import Rules, Streams, tails

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
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


class GoingBack:
    """Owned by the judge's thread."""

    def __init__(self, rules: Rules, reading: Reading, streams: Streams, on_rewound: Callable[[str], None]) -> None:
        """`on_rewound` is told the run, before the rules forget."""
        self._rules, self._reading, self._streams, self._on_rewound = rules, reading, streams, on_rewound
        self._cold: set[str] = set()  # runs that went back, and of which no row was judged since

    def is_outdated(self, place: Place) -> bool:
        """A newer attempt is judged already."""
        return any(self._streams.judged_seq(newer) for newer in place.newer)

    def rewind(self, place: Place, event: Event) -> list[AlertChange]:
        """The rules forget; what the run still shows they learn with its next row."""
        to_step, from_step = branches.target_of(event), branches.step_of(event, "from")
        if to_step is None or self.is_outdated(place):
            return []
        self._on_rewound(place.run_id)
        self._cold.add(place.run_id)
        return self._rules.rewind(place.run_id, max(to_step, from_step or 0), to_step)

    def warm_again(self, place: Place, seq: int) -> None:
        """Before a row is judged: what the run shows up to message `seq` of this attempt, if it went back."""
        if place.run_id not in self._cold:
            return
        self._cold.remove(place.run_id)
        known = [(head, seq if head is place.head else self._streams.judged_seq(head)) for head in place.heads]
        try:
            with self._reading() as session:
                rows = tails(session, known)
            self._rules.warm(place.run_id, rows)
        except ServerError as error:  # the rules can learn anew; what was found in this page must not be lost
            log.warning("run %s went back, and its rows before that were not read: %s", place.run_id, error)

    def forget(self, run_id: str) -> None:
        """The run is over, or deleted."""
        self._cold.discard(run_id)
