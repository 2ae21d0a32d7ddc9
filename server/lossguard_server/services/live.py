"""What is known of each run right now.

Rules of this file: no I/O. Owned by the event loop's thread. Everything here can be made again from the database
(services/restore.py); only the ages and the rate are lost with the process.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import Declaration, Event, Heartbeat
from lossguard.protocol.names import TOTAL
from lossguard.protocol.steering import Plan

from ..store.branches import target_of
from ..store.columns import VIEW_RANK
from ..store.rows import Rows
from ..store.runs import StoredRun
from .plan_fold import Given, PlanFold
from .rank_stats import Ranks

RATE_WINDOW_S = 10.0
MIN_WINDOW_S = 2.0  # below it the beat of the commits is louder than the trainer
STAY_S = 2.0


@dataclass
class LiveRun:
    """One run as it is. `*_at_s` are monotonic seconds of this process; None: not in this process's life."""

    stored: StoredRun
    declaration: Declaration = field(default_factory=lambda: Declaration(seq=0))
    step: int | None = None
    gaps: int = 0
    trips: int = 0
    values: dict[str, float] = field(default_factory=dict)  # series name -> last value
    connections: Counter[tuple[int, int]] = field(default_factory=Counter)  # open ones, by (attempt, rank)
    heartbeat: Heartbeat | None = None
    detail: int = -1  # full detail is recorded up to this step; -1: it is not
    data_at_s: float | None = None  # the last frame
    sign_at_s: float | None = None  # the last commit or heartbeat; a connection alone is none
    alerts: dict[str, tuple[str, str]] = field(default_factory=dict)  # open alerts: id -> (severity, state)
    begins: bool = False  # nothing of the newest attempt has come yet
    rate: "Rate" = field(default_factory=lambda: Rate())
    declared_attempt: int = -1  # whose declaration, and plan, these are
    steering: PlanFold = field(default_factory=PlanFold)  # what steers that attempt
    ranks: Ranks = field(default_factory=Ranks)

    def __post_init__(self) -> None:
        if not self.steering.has_declared:
            self.steering.declare(self.declaration)

    @property
    def plan(self) -> Plan:
        """What is in force at any step, as far as it was told."""
        return self.steering.plan

    @property
    def next_step(self) -> int:
        """The coming boundary, as far as it was told; what was applied may be ahead of the rows."""
        beaten = 0 if self.heartbeat is None else min(self.heartbeat.step, MAX_STEP)
        return max(0, self.steering.reached_step, beaten, -1 if self.step is None else self.step + 1)

    @property
    def id(self) -> str:
        return self.stored.id

    @property
    def is_connected(self) -> bool:
        """True while the trainer that obeys commands is connected: rank 0 of the newest attempt."""
        return self.connections[self.stored.attempt, VIEW_RANK] > 0

    @property
    def snapshot_step(self) -> int | None:
        """The step that a rollback would go back to; None while the trainer has not said that there is one."""
        step = -1 if self.heartbeat is None else self.heartbeat.snapshot_step
        return step if 0 <= step <= MAX_STEP else None

    @property
    def detail_until(self) -> int | None:
        """The last step of the full detail that is being recorded; None while it is not, or is over."""
        return self.detail if (self.step or 0) <= self.detail <= MAX_STEP else None

    def opened(self, stored: StoredRun, attempt: int, rank: int) -> None:
        """A connection of one rank was made, of the run's attempt or an older one. It is no sign of life: nothing may
        ever come through it."""
        if stored.attempt > self.stored.attempt:
            self.heartbeat = self.sign_at_s = None  # `stored.seen_s` is when it began
            self.rate, self.begins, self.detail, self.ranks = Rate(), True, -1, Ranks()
        # what people say may have changed since this was read; and who has a trainer is not deleted
        self.stored = replace(_with_said(stored, self.stored), deleted_s=None)
        self.connections[attempt, rank] += 1

    def said(self, stored: StoredRun) -> None:
        """People said something new of it, or deleted it for now, or brought it back."""
        self.stored = _with_said(self.stored, stored)

    def declare(self, declaration: Declaration, attempt: int) -> None:
        """An attempt says what it is; an older one's word, which comes late, changes nothing."""
        if attempt < self.declared_attempt:
            return
        if attempt > self.declared_attempt:
            self.declared_attempt, self.steering = attempt, PlanFold()
        self.declaration = declaration
        self.steering.declare(declaration)

    def tell(self, event: Event, attempt: int, given: Given) -> None:
        """An event of rank 0, which may steer."""
        if attempt == self.declared_attempt:
            self.steering.tell(event, given)

    def tell_rank(self, rank: int, event: Event) -> None:
        """An event of any rank of the newest attempt; all go back together, and rank 0 says so."""
        self.ranks.tell(rank, event)
        if rank == 0 and (to_step := target_of(event)) is not None:
            self.ranks.rolled_back(to_step)

    def closed(self, attempt: int, rank: int) -> None:
        """A connection of one rank is gone."""
        self.connections -= Counter([(attempt, rank)])  # which keeps no zeros

    def observe(self, rows: Rows, now_s: float) -> None:
        """Committed rows of rank 0."""
        self.take(rows)
        self.data_at_s = self.sign_at_s = now_s
        if self.step is not None:
            self.rate.sample(now_s, self.step)

    def take(self, rows: Rows) -> None:
        """The newest values of `rows`. What comes late, of a step that has passed, does not set the step back."""
        step = int(rows.steps[-1])
        if self.step is None or self.begins or step > self.step or TOTAL in rows.names:
            self.step, self.begins = step, False
        self.values.update(zip(rows.names, rows.columns[:, -1].tolist(), strict=True))

    def rewound(self, shown: Iterable[Rows]) -> None:
        """The run went back: `shown` are the last rows that are still its own, oldest first."""
        self.step, self.values = None, {}
        for rows in shown:
            self.take(rows)

    def beat(self, heartbeat: Heartbeat, now_s: float) -> None:
        """A sign of life."""
        self.heartbeat, self.detail = heartbeat, heartbeat.detail_until
        self.sign_at_s = now_s
        # its step is ahead of what is committed, and no measure beside it; that it rests is one
        if heartbeat.state == "paused":
            self.rate.rest(now_s)

    def saw(self, now_s: float, wall_s: float) -> None:
        """Something of it was committed."""
        self.sign_at_s = now_s
        self.stored = replace(self.stored, seen_s=wall_s)

    def finished(self, attempt: int, state: str) -> None:
        """The attempt said that it is over."""
        if attempt == self.stored.attempt:
            self.stored = replace(self.stored, finish=state)

    def alert(self, alert: dict[str, Any]) -> None:
        """An alert changed."""
        if alert["state"] in ("firing", "acknowledged"):
            self.alerts[alert["id"]] = (alert["severity"], alert["state"])
        else:
            self.alerts.pop(alert["id"], None)


def _with_said(stored: StoredRun, said: StoredRun) -> StoredRun:
    """`stored` with what people say in `said`."""
    return replace(
        stored,
        label=said.label,
        note=said.note,
        tags=said.tags,
        archived_s=said.archived_s,
        deleted_s=said.deleted_s,
    )


@dataclass
class _Stay:
    """Where the trainer was: `moved` steps since the first sample, as of `at_s`."""

    began_s: float
    at_s: float
    moved: int


@dataclass
class Rate:
    """Steps a second over the last RATE_WINDOW_S.

    Samples within STAY_S of each other count as one, the last: what a trainer sends at once after an outage is no
    progress of that moment. So the first rate comes about 2 * STAY_S after the first sample.
    """

    samples: deque[_Stay] = field(default_factory=deque)
    step: int | None = None

    def sample(self, now_s: float, step: int) -> None:
        """The trainer had committed up to `step`. A step that goes back (a rewind) is no progress, and no loss."""
        moved = self.samples[-1].moved if self.samples else 0
        if self.step is not None:
            moved += max(0, step - self.step)
        self.step = step
        if self.samples and now_s - self.samples[-1].began_s < STAY_S:
            self.samples[-1].at_s, self.samples[-1].moved = now_s, moved
            return
        self.samples.append(_Stay(now_s, now_s, moved))
        while len(self.samples) > 2 and now_s - self.samples[1].at_s >= RATE_WINDOW_S:
            self.samples.popleft()

    def rest(self, now_s: float) -> None:
        """The trainer is where it was."""
        if self.step is not None:
            self.sample(now_s, self.step)

    def steps_per_s(self, now_s: float) -> float | None:
        """None until two samples are MIN_WINDOW_S apart."""
        if len(self.samples) < 2:
            return None
        elapsed_s = now_s - self.samples[0].at_s
        return (self.samples[-1].moved - self.samples[0].moved) / elapsed_s if elapsed_s >= MIN_WINDOW_S else None
