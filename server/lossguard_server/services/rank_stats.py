"""How the ranks of a run keep pace, and which of them was the first to go bad.

Rules of this file: no I/O; bounded by RANKS_MAX and WINDOW, whatever a run sends. Of the newest attempt only.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from lossguard.protocol.messages import Event
from lossguard.protocol.names import kind_of

from ..store.rows import Rows

RANKS_MAX = 1_024  # more are not shown
WINDOW = 20  # steps; a straggler shows in them, and one slow step does not
SLOWER, SLOWER_S = 1.33, 0.010  # than the median of the ranks; both, because of short steps
STEP_TIME, DATA_WAIT = "step_time_s", "data_wait_s"
JUDGED_KINDS = ("loss", "grad_norm")  # whose values must be finite
BAD_EVENTS = ("nonfinite", "trip")


@dataclass
class RankPace:
    """One rank: where it is, its last times, and the first step at which something of it was not finite."""

    step: int = -1
    times: dict[str, deque[float]] = field(
        default_factory=lambda: {name: deque(maxlen=WINDOW) for name in (STEP_TIME, DATA_WAIT)}
    )
    first_bad_step: int | None = None

    def median_of(self, name: str) -> float | None:
        """Of the last WINDOW steps; None while it has sent none that is finite."""
        known = [value for value in self.times[name] if math.isfinite(value)]
        return median(known) if known else None

    def bad_at(self, step: int) -> None:
        """Something was not finite."""
        if self.first_bad_step is None or step < self.first_bad_step:
            self.first_bad_step = step


class Ranks:
    """The ranks that have sent something."""

    def __init__(self) -> None:
        self._ranks: dict[int, RankPace] = {}

    def observe(self, rank: int, rows: Rows) -> None:
        """Committed rows of a rank."""
        if (pace := self._of(rank)) is None:
            return
        pace.step = int(rows.steps[-1])
        for name, column in zip(rows.names, rows.columns, strict=True):
            if name in pace.times:
                pace.times[name].extend(column[-WINDOW:].tolist())
            elif kind_of(name) in JUDGED_KINDS and not (finite := np.isfinite(column)).all():
                pace.bad_at(int(rows.steps[np.argmin(finite)]))

    def tell(self, rank: int, event: Event) -> None:
        """An event of a rank."""
        is_own = "rank" not in event.data  # rank 0 tells the rules of others, too
        if event.kind in BAD_EVENTS and is_own and (pace := self._of(rank)) is not None:
            pace.bad_at(event.step)

    def rolled_back(self, to_step: int) -> None:
        """All ranks went back together: what was bad at `to_step` and after it is no more."""
        for pace in self._ranks.values():
            pace.step = min(pace.step, to_step - 1)
            if pace.first_bad_step is not None and pace.first_bad_step >= to_step:
                pace.first_bad_step = None

    def view(self) -> list[dict[str, Any]]:
        """As answers carry them, by rank."""
        medians = {rank: pace.median_of(STEP_TIME) for rank, pace in sorted(self._ranks.items())}
        known = [value for value in medians.values() if value is not None]
        usual = median(known) if len(known) > 1 else math.inf
        return [
            {
                "rank": rank,
                "step": None if (pace := self._ranks[rank]).step < 0 else pace.step,
                "step_time_s": step_time_s,
                "data_wait_s": pace.median_of(DATA_WAIT),
                "is_straggler": _is_slow(step_time_s, usual),
                "first_bad_step": pace.first_bad_step,
            }
            for rank, step_time_s in medians.items()
        ]

    def _of(self, rank: int) -> RankPace | None:
        if rank not in self._ranks and len(self._ranks) < RANKS_MAX:
            self._ranks[rank] = RankPace()
        return self._ranks.get(rank)


def _is_slow(step_time_s: float | None, usual_s: float) -> bool:
    return step_time_s is not None and step_time_s > SLOWER * usual_s and step_time_s - usual_s > SLOWER_S
