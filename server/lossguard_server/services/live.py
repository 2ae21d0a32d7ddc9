"""What is known of each run right now.

Rules of this file: no I/O. Owned by the event loop's thread. Everything here can be made again from the database
(services/restore.py); only the ages and the rate are lost with the process.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from lossguard.protocol.messages import Declaration, Heartbeat

from ..store.rows import Rows
from ..store.runs import StoredRun

RATE_WINDOW_S = 10.0


@dataclass
class LiveRun:
    """One run as it is. `*_at_s` are monotonic seconds of this process; None: not in this process's life."""

    stored: StoredRun
    declaration: Declaration = field(default_factory=lambda: Declaration(seq=0))
    step: int | None = None
    gaps: int = 0
    values: dict[str, float] = field(default_factory=dict)  # series name -> last value
    connections: dict[int, int] = field(default_factory=dict)  # rank -> open connections
    heartbeat: Heartbeat | None = None
    data_at_s: float | None = None  # the last frame
    sign_at_s: float | None = None  # the last frame, event, heartbeat or connection
    alerts: dict[str, tuple[str, str]] = field(default_factory=dict)  # open alerts: id -> (severity, state)
    rate: "Rate" = field(default_factory=lambda: Rate())

    @property
    def id(self) -> str:
        return self.stored.id

    @property
    def is_connected(self) -> bool:
        """True while the trainer that obeys commands (rank 0) is connected."""
        return self.connections.get(0, 0) > 0

    def opened(self, stored: StoredRun, rank: int, now_s: float) -> None:
        """A connection of one rank was made."""
        if stored.attempt > self.stored.attempt:
            self.heartbeat = None
            self.rate = Rate()
        self.stored = stored
        self.connections[rank] = self.connections.get(rank, 0) + 1
        self.sign_at_s = now_s

    def closed(self, rank: int) -> None:
        """A connection of one rank is gone."""
        self.connections[rank] -= 1

    def observe(self, rows: Rows, now_s: float) -> None:
        """Committed rows of rank 0."""
        self.step = int(rows.steps[-1])
        self.values.update(zip(rows.names, rows.columns[:, -1].tolist(), strict=True))
        self.data_at_s = self.sign_at_s = now_s
        self.rate.sample(now_s, self.step)

    def beat(self, heartbeat: Heartbeat, now_s: float) -> None:
        """A sign of life."""
        self.heartbeat = heartbeat
        self.sign_at_s = now_s
        self.rate.sample(now_s, max(heartbeat.step, self.step if self.step is not None else 0))

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


@dataclass
class Rate:
    """Steps a second over the last RATE_WINDOW_S."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, now_s: float, step: int) -> None:
        """The trainer was at `step`. A step that goes back (a rewind) starts afresh."""
        if self.samples and step < self.samples[-1][1]:
            self.samples.clear()
        # one sample per 50 ms is plenty, and bounds the window's length
        if len(self.samples) > 1 and now_s - self.samples[-2][0] < 0.05:
            self.samples.pop()
        self.samples.append((now_s, step))
        while now_s - self.samples[0][0] > RATE_WINDOW_S and len(self.samples) > 2:
            self.samples.popleft()

    def steps_per_s(self, now_s: float) -> float | None:
        """None until two samples are apart in time."""
        if len(self.samples) < 2:
            return None
        (first_s, first_step), (_, last_step) = self.samples[0], self.samples[-1]
        elapsed_s = now_s - first_s
        return (last_step - first_step) / elapsed_s if elapsed_s > 0 else None
