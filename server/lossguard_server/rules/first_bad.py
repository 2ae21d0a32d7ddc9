"""Which series went wrong first: since which step each series of a run is off.

Formula: a sample is off when it is not finite, lies outside its declared range, or
    deviation > max(3, 3 + tail_excess * ln(tail_rate / 1e-3))   losses, contributions, gradients, times: above only
    |deviation| > the same                                      matrices, counts, activations, gradient shares
    drift CUSUM > 12 and deviation > 1                          all of these
and a sample of what is set, not measured, when it moved: a weight by 0.1 %, a loss scale that fell by 25 %, a learning
rate that more than doubled from one sample to the next, behind its first 10 (schedules move it all the time). An
excursion begins at its first sample that is off, or where its CUSUM left 0 if that is above 6 by then (one bad sample
adds 3), and ends after 4 that are not (200 for what is set: a weight that moved 150 samples ago may well be the cause).
While the total improves (its fast level is 0.5 spreads below its level, its sample is not off, and all of its row is
finite), what the model makes of itself learns: matrices, activations and gradients (not what evaluations find). Of such
a series that has risen (CUSUM > 6) only a leap by more than 6 spreads, a value out of range and one that is not finite
are off, and what only drifts is no sign then. If it still drifts once the total improves no more, or when a trip comes,
it is off since its CUSUM left 0, however long ago that was.
Where a weight or a learning rate had moved by the symptom, what was off before is a sign from its first sample behind
the move that is more than 6 spreads off, out of range or not finite. What went so far before the move leads; what never
did is no sign. A loss scale explains nothing: it falls because of what was before.
Source: the last zero of a CUSUM is the usual estimate of a change point; limit and CUSUM as of R4 and R5, gate as of R6
and R8; above 6 spreads a baseline takes a sample for a shock. A healthy encoder's gradient norm rose 0.12 to 0.48 in 30
steps while its total fell. Among 60 series one stray in 4 samples before a move is nothing unusual, a move is.
False alarms: none of its own, for it is only asked when an alert fires. One stray sample that is over does not count:
among 60 series one of a thousand is always just over.
Cost: a few comparisons a window, and O(1) memory a series; excursions are followed only where there are any.

Rules of this file:
- What is known at a row is what came up to that row, wherever windows were cut.
- Arrays in the memory are replaced, never written to: `Signals` answers for rows inside its window from those before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names as series_names

from .base import Memory
from .excursions import NOT_YET, Excursions, Sightings
from .following import SHOCK
from .schedule import Schedule
from .window import Counts, Floats, Mask, Window

RATE = 1e-3
LEAST = 3.0
DRIFT, STILL, RISEN = 12.0, 1.0, 6.0
LEARNED = "learned"  # in the memory
GAP, GAP_SET = 4, 200  # samples; a longer gap takes strays before an excursion for its beginning
MOST = 32  # entries of an answer; a fault of everything is no less clear with them
GATE = 0.5  # spreads, as grad_norm_high and grad_growth have it
SURE = 2  # sightings after which an excursion counts although it may be over

_ABOVE = frozenset({"loss", "contribution", "grad_norm", "param_grad_norm", "time"})
_EITHER_WAY = frozenset({"matrix", "count", "activation", "grad_share", "grad_cos"})
_EXPLAIN = frozenset({"weight", "lr"})
_MOVES = {"weight": 1e-3, "lr": 0.5, "loss_scale": 0.25}  # relative to the larger of both samples
LR_YOUNG = 10  # samples: a warm-up from nearly nothing leaps at first; update_ratio leaves out as many
_LEARNS = frozenset({"matrix", "activation", "grad_norm", "param_grad_norm", "grad_share", "grad_cos"})
_RANGES = ("", "range", "bound", "count")
# the flow of computation: what is fed and set, what is made of it, what comes back, what it costs
_ORDER = {"count": 0, "lr": 1, "weight": 1, "matrix": 2, "activation": 2, "loss": 3, "contribution": 4, "total": 5,
          "param_grad_norm": 6, "grad_norm": 6, "grad_share": 7, "grad_cos": 7, "loss_scale": 8, "time": 9}  # fmt: skip
_LAST = 10


def sort_of(name: str) -> str:
    """The kind of a series, or of what an evaluation repeats; `total` and `loss_scale` are their own."""
    name = name.removeprefix("eval/")
    if name in (series_names.TOTAL, series_names.GRAD_NORM_TOTAL):
        return "total" if name == series_names.TOTAL else "grad_norm"
    return "loss_scale" if name == series_names.LOSS_SCALE else series_names.kind_of(name)


def place_of(name: str) -> float:
    """Where a series stands in the order of computation; evaluations and totals behind their like."""
    behind = name.startswith("eval/") or name == series_names.GRAD_NORM_TOTAL
    return _ORDER.get(sort_of(name), _LAST) + (0.5 if behind else 0.0)


class FirstBad:
    """Looks at the windows of one run, in their order."""

    def __init__(self) -> None:
        self._plan: _Plan | None = None

    def observe(self, window: Window, memory: Memory) -> "Signals":
        """Take the window, once, into `memory` (a dict of its own, as a rule's). The answer holds until the next."""
        count = len(window.names)
        if self._plan is None or not self._plan.is_of(window.schedule, count):
            self._plan = _Plan(window.schedule, window.names)
        before = Excursions.load(memory, count)
        with np.errstate(all="ignore"):  # NaN and infinity are findings here
            signals = _sight(window, self._plan, before, _grown(memory.get(LEARNED), count))
            memory.update(signals.after.dump())
            memory[LEARNED] = signals.learned_upto(len(window.steps))
        return signals

    def now(self, memory: Memory, series: Sequence[str], symptom_step: int) -> list[dict[str, Any]]:
        """As `Signals.at`, after the last window; for what is told between windows: a trip, which ends all learning."""
        known, drifts = Excursions.load(memory, len(series)), _grown(memory.get(LEARNED), len(series))
        told = _told(known, series, symptom_step)
        seen, moves = {each["series"] for each in told}, _moves_of(known, series, symptom_step)
        for number in np.flatnonzero(drifts > STILL).tolist():
            since = int(known.risen_since[number])
            if series[number] not in seen and not np.any(since < moves):
                told.append(entry(series[number], since, symptom_step, float(drifts[number])))
        return in_order(told)


@dataclass(frozen=True)
class Signals:
    """What is off in a window's rows."""

    sightings: Sightings
    before: Excursions
    names: Sequence[str]
    learned: Floats  # [T, S]: of what rose while the total improved, its deviation, 0 if it did not drift; else NaN
    learned_before: Floats  # [S]: of the last sample before the window

    def at(self, row: int, symptom_step: int) -> list[dict[str, Any]]:
        """[{series, step, lead_steps, deviation}] as known at `row`, the earliest first, at most 32: since `step` the
        series is off, `lead_steps` before the symptom (negative: after it). `deviation`: the largest since then, in
        spreads; None where it has none (it moved, is not finite, or its level is not known)."""
        is_last = row == len(self.sightings.steps) - 1
        known = self.after if is_last else self.sightings.follow(self.before, row + 1)
        may_be = np.isnan(self.learned_upto(row + 1)) | (np.abs(known.worst) > SHOCK)
        return _told(known, self.names, symptom_step, may_be)

    def learned_upto(self, rows: int) -> Floats:
        """[S]: `learned` of the last sample in the first `rows` rows."""
        newest = np.where(self.sightings.counts[:rows], np.arange(rows)[:, None], -1).max(axis=0)
        return np.where(newest >= 0, self.learned[newest, np.arange(len(newest))], self.learned_before)

    @cached_property
    def after(self) -> Excursions:
        return self.sightings.follow(self.before, len(self.sightings.steps))


def entry(series: str, step: int, symptom_step: int, deviation: float | None = None) -> dict[str, Any]:
    """An entry of the answer."""
    return {"series": series, "step": step, "lead_steps": symptom_step - step, "deviation": deviation}


def unblended(series: str) -> int:
    """A depth (Schedule.depth_of) where no blend is declared."""
    return 0


def in_order(entries: Sequence[dict[str, Any]], depth_of: Callable[[str], int] = unblended) -> list[dict[str, Any]]:
    """The earliest first; of one step, in the order of computation, and what is blended before the blend."""

    def place(each: dict[str, Any]) -> tuple[int, float, int, str]:
        series = each["series"]
        return each["step"], place_of(series), depth_of(series), series

    return sorted(entries, key=place)[:MOST]


def _grown(column: Floats | None, count: int) -> Floats:
    known = np.zeros(0) if column is None else column
    return np.concatenate([known, np.full(count - len(known), np.nan)])


def _told(
    known: Excursions, series: Sequence[str], symptom_step: int, may_be: Mask | bool = True
) -> list[dict[str, Any]]:
    numbers = np.flatnonzero(((known.hits >= SURE) | ((known.hits > 0) & (known.calm == 0))) & may_be)
    since, is_sign = _behind_moves(known, numbers, _moves_of(known, series, symptom_step))
    numbers, since = numbers[is_sign], since[is_sign]
    order = np.argsort(since, kind="stable")
    if len(order) > MOST:  # all that share the step of the last one: which of them comes first is for in_order
        order = order[since[order] <= since[order[MOST - 1]]]
    found = []
    for number, step in zip(numbers[order].tolist(), since[order].tolist(), strict=True):
        worst = float(known.worst[number])
        found.append(entry(series[number], step, symptom_step, None if np.isnan(worst) else worst))
    return in_order(found)


def _moves_of(known: Excursions, series: Sequence[str], symptom_step: int) -> Counts:
    """[m]: the steps at which what explains moved, by the symptom: of each series the first and the newest."""
    numbers = [number for number in np.flatnonzero(known.hits > 0).tolist() if sort_of(series[number]) in _EXPLAIN]
    steps = np.concatenate([known.since[numbers], known.newest[numbers]]).astype(np.int64)
    found: Counts = steps[(steps != NOT_YET) & (steps <= symptom_step)]
    return found


def _behind_moves(known: Excursions, numbers: npt.NDArray[np.intp], moves: Counts) -> tuple[Counts, Mask]:
    """[len(numbers)]: since when each is off, and whether it is a sign: see the head of this file."""
    since, strong = known.since[numbers], known.strong_since[numbers]
    before = since[:, None] < moves[None, :]
    never = before.any(axis=1) & (strong == NOT_YET)
    explained = (before & (moves[None, :] <= strong[:, None])).any(axis=1)
    return np.where(explained, strong, since), ~never


class _Plan:
    """What is looked for in each series; made anew when a series or a declaration comes."""

    def __init__(self, schedule: Schedule, names: Sequence[str]) -> None:
        self._schedule, self._count = schedule, len(names)
        kinds = [sort_of(name) for name in names]
        watched = [name != series_names.SKIPPED for name in names]
        self.either_way: Mask = np.array(
            [k in _EITHER_WAY and w for k, w in zip(kinds, watched, strict=True)], np.bool_
        )
        self.above: Mask = np.array([k in _ABOVE or k == "total" for k in kinds], np.bool_) | self.either_way
        self.learns: Mask = np.array(
            [k in _LEARNS and not name.startswith("eval/") for name, k in zip(names, kinds, strict=True)], np.bool_
        )
        self.set = np.array([i for i, kind in enumerate(kinds) if kind in _MOVES], np.intp)
        self.moves: Floats = np.array([_MOVES[kinds[i]] for i in self.set.tolist()])
        self.falls: Mask = np.array([kinds[i] == "loss_scale" for i in self.set.tolist()], np.bool_)
        self.rises: Mask = np.array([kinds[i] == "lr" for i in self.set.tolist()], np.bool_)
        self.gap: Counts = np.array([GAP_SET if kind in _MOVES else GAP for kind in kinds], np.int64)
        ranges = [(i, schedule.contracts[name]) for i, name in enumerate(names) if name in schedule.contracts]
        ranges = [(i, contract) for i, contract in ranges if contract.kind in _RANGES]
        self.ranged = np.array([i for i, _ in ranges], np.intp)
        self.low: Floats = np.array([-np.inf if c.low is None else c.low for _, c in ranges])
        self.high: Floats = np.array([np.inf if c.high is None else c.high for _, c in ranges])

    def is_of(self, schedule: Schedule, count: int) -> bool:
        return self._schedule is schedule and self._count == count


def _sight(window: Window, plan: _Plan, before: Excursions, learned_before: Floats) -> Signals:
    deviation = window.levels.deviation
    off = ((deviation > LEAST) & plan.above) | ((deviation < -LEAST) & plan.either_way)
    if off.any():
        rows, numbers = np.nonzero(off)
        over = np.maximum(window.levels.tail_rate[rows, numbers] / RATE, 1.0)
        limit = LEAST + window.levels.tail_excess[rows, numbers] * np.log(over)
        off[rows, numbers] = np.abs(deviation[rows, numbers]) > limit
    broken = window.fresh & ~window.live
    if broken.any():
        broken &= ~window.probe[:, None]
    sure, last = broken.copy(), before.last
    if len(plan.ranged):
        values = window.values[:, plan.ranged]
        sure[:, plan.ranged] |= (values < plan.low) | (values > plan.high)
    if len(plan.set):
        moved, last = _moves(window, plan, before.last)
        sure[:, plan.set] |= moved
    drifting, risen = (window.levels.drift > DRIFT) & plan.above, (window.levels.drift > RISEN) & plan.above
    if drifting.any():
        drifting &= deviation > STILL
    learned = np.zeros_like(risen)
    if (risen & plan.learns).any():
        learned = risen & plan.learns & _learning(window, broken)[:, None]
        learned &= (deviation > -LEAST) & (deviation <= SHOCK) & ~sure
        off &= ~learned
    drifted = np.where(learned, np.where(drifting, deviation, 0.0), np.nan)
    drifting &= ~learned
    seen = np.where(off | drifting, deviation, np.nan)
    strong = sure | (np.abs(seen) > SHOCK)
    sure |= drifting
    off |= sure
    counts, rising = (window.live & ~window.excused) | off, window.levels.drift > 0
    sightings = Sightings(window.steps, off, sure, strong, risen, counts, seen, rising, last, plan.gap)
    return Signals(sightings, before, window.names, drifted, learned_before)


def _learning(window: Window, broken: Mask) -> Mask:
    """[T]: the total is known to improve, its own sample is not off, and nothing of the row is `broken`."""
    number = window.number(series_names.TOTAL)
    if number is None:
        return np.zeros(len(window.steps), np.bool_)
    leaps = window.levels.deviation[:, number] > LEAST
    return np.asarray(window.improving(GATE) & window.known(number) & ~leaps & ~broken.any(axis=1))


def _moves(window: Window, plan: _Plan, last: Floats) -> tuple[Mask, Floats]:
    """[T, len(plan.set)]: what is set differs from its sample before; and the last sample of every series [S]."""
    values, live = window.values[:, plan.set], window.live[:, plan.set]
    samples = np.vstack([last[plan.set], np.where(live, values, np.nan)])
    if not live.all():
        rows = np.where(np.isnan(samples), 0, np.arange(len(samples))[:, None])
        samples = np.take_along_axis(samples, np.maximum.accumulate(rows, axis=0), axis=0)
    was, now = samples[:-1], samples[1:]
    moved = (np.abs(now - was) > plan.moves * np.maximum(np.abs(now), np.abs(was))) & live
    moved &= ~plan.falls | (now < was)
    if plan.rises.any() and moved[:, plan.rises].any():
        age = window.past.count[plan.set] + np.cumsum(live, axis=0)
        moved &= ~plan.rises | ((now > was) & (age > LR_YOUNG))
    last = last.copy()
    last[plan.set] = samples[-1]
    return moved, last
