"""The report's protocol: false alarms on healthy samples, recall on what the oracle saw, delay and lead.

Rules of this file:
- Alerts are sample numbers. Alerts less than 50 samples apart are one episode; false alarms are counted in episodes,
  the storm factor is how often a person is told by episode.
- Credit: a NaN run by an alert from 15 samples before its onset (its last 30 samples where the oracle saw none) to the
  NaN; other onsets by one from 20 samples before to 8 after.
- Clean runs outside reinforcement learning are the healthy samples; all of reinforcement learning counts as healthy,
  apart. Planned restarts that nobody declared ("regime") are counted apart: the loss does jump. Slow and ambiguous runs
  are neither healthy nor sought.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import exp, lgamma, log
from statistics import median

import numpy as np
import numpy.typing as npt

from .corpus import Run

Alerts = npt.NDArray[np.intp]  # increasing sample numbers

GAP = 50  # samples between two episodes
NAN_BEFORE, NAN_LAST, NAN_HISTORY = 15, 30, 30
BEFORE, AFTER = 20, 8
PER = 100_000
KINDS = ("nan", "diverge", "spike", "gradient", "restart")


def episodes(alerts: Alerts) -> int:
    """How many groups of alerts, with at least 50 samples between them."""
    return 0 if len(alerts) == 0 else 1 + int((np.diff(alerts) > GAP).sum())


@dataclass(frozen=True)
class Onset:
    """What had to be found in a run: credit for an alert in [first, last]."""

    kind: str
    run: Run
    onset: int
    first: int
    last: int


def onsets(run: Run) -> Iterator[Onset]:
    """What a detector has to find in a run."""
    if run.is_rl or run.label in ("clean", "slowdiv", "ambig"):
        return
    if run.nan_index is not None and run.nan_index >= NAN_HISTORY:
        lasting = [event.onset for event in run.events if event.samples is None and event.onset < run.nan_index]
        first = lasting[0] - NAN_BEFORE if lasting else run.nan_index - NAN_LAST
        yield Onset("nan", run, lasting[0] if lasting else run.nan_index, first, run.nan_index - 1)
    for event in run.events:
        kind = "diverge" if event.samples is None else "spike"
        kind = "restart" if run.label == "regime" else kind
        yield Onset(kind, run, event.onset, event.onset - BEFORE, event.onset + AFTER)
    if run.label == "gradblow":
        for at in run.grad_events:
            yield Onset("gradient", run, at, at - BEFORE, at + AFTER)


@dataclass
class Tally:
    """What healthy samples cost."""

    samples: int = 0
    episodes: int = 0
    alerts: int = 0
    runs: int = 0

    def add(self, run: Run, alerts: Alerts, told: int | None = None) -> None:
        self.samples += len(run)
        self.episodes += episodes(alerts)
        self.alerts += len(alerts) if told is None else told
        self.runs += 1

    @property
    def rate(self) -> float:
        """False alarm episodes per 100,000 samples."""
        return PER * self.episodes / max(self.samples, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the rate."""
        low, high = poisson_interval(self.episodes)
        return PER * low / max(self.samples, 1), PER * high / max(self.samples, 1)

    @property
    def alert_rate(self) -> float:
        return PER * self.alerts / max(self.samples, 1)

    @property
    def storm(self) -> float:
        return self.alerts / self.episodes if self.episodes else 1.0


@dataclass
class Score:
    """One detector's row of the table."""

    healthy: Tally = field(default_factory=Tally)
    rl: Tally = field(default_factory=Tally)
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    sought: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    delays: list[int] = field(default_factory=list)  # samples, of the divergences and spikes that were found
    lead_samples: list[int] = field(default_factory=list)  # from the first credited alert to the NaN
    lead_steps: list[int] = field(default_factory=list)
    missed: list[tuple[str, str, int]] = field(default_factory=list)  # (kind, run, onset)

    def add(self, run: Run, alerts: Alerts, told: int | None = None) -> None:
        """`alerts`: the samples at which the detector spoke. `told`: how often a person is told of them, where that is
        less (alerts of one incident)."""
        if run.is_rl:
            self.rl.add(run, alerts, told)
        elif run.is_healthy:
            self.healthy.add(run, alerts, told)
        for onset in onsets(run):
            self._credit(onset, alerts)

    def _credit(self, onset: Onset, alerts: Alerts) -> None:
        self.sought[onset.kind] += 1
        credited = alerts[(alerts >= onset.first) & (alerts <= onset.last)]
        if len(credited) == 0:
            self.missed.append((onset.kind, onset.run.name, onset.onset))
            return
        at, run = int(credited[0]), onset.run
        self.found[onset.kind] += 1
        if onset.kind == "nan":
            self.lead_samples.append(onset.last + 1 - at)
            self.lead_steps.append(int(run.steps[onset.last + 1] - run.steps[at]))
        elif onset.kind in ("diverge", "spike"):
            self.delays.append(at - onset.onset)

    def recall(self, kind: str) -> float:
        return self.found[kind] / max(self.sought[kind], 1)

    @property
    def delay(self) -> float | None:
        return median(self.delays) if self.delays else None

    @property
    def lead(self) -> tuple[float, float] | None:
        """Median lead to the NaN: (samples, steps)."""
        return (median(self.lead_samples), median(self.lead_steps)) if self.lead_samples else None


def scored(runs: Iterable[Run], speaks: Callable[[Run], Alerts]) -> Score:
    """A detector's score over runs."""
    score = Score()
    for run in runs:
        score.add(run, speaks(run))
    return score


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Garwood) two-sided interval of a Poisson mean, of which `count` was seen."""
    tail = (1 - level) / 2
    # a Poisson mean this far above the count has a tail below 1e-9, whatever the count
    high_end = count + 10 * (count + 10) ** 0.5 + 10
    low = 0.0 if count == 0 else _mean_at(count - 1, 1 - tail, high_end)
    return low, _mean_at(count, tail, high_end)


def _mean_at(count: int, probability: float, high: float) -> float:
    """The mean at which at most `count` events have this probability, by bisection."""
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        if _at_most(count, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    return float(sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count + 1)))
