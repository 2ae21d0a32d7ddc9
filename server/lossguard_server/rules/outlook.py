"""What the next declared stage will do to the total, reckoned from components that are evaluated at weight 0 too.

    T+ = sum of w+_k * u_k        J = T+ / T        share_k = |w+_k u_k| / sum of |w+_j u_j|

u_k is the robust usual raw loss, w+ the weights that the stage leads to (a ramp's end), T the same sum with the weights
that are planned for the step before it: what the present stage still ramps up is no jump.

Rules of this file:
- A weight that is not the planned one was set by a person, and holds over the stages to come.
- A raw loss that was negative, that is not finite now, or that is exactly 0 (so was not evaluated) foretells nothing.
- Rows of one stage at a time; numbers only, what they amount to is said in look_ahead.py.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from lossguard.protocol.magnitudes import AUXILIARY, INTRODUCED, NOT_EVALUATED
from lossguard.protocol.names import TOTAL, contribution, share

from .base import Memory, Rows
from .schedule import Schedule, Stage
from .window import Floats, Mask, Window

EXPLAINED = 0.05  # contributions that miss the total by more than this cannot foretell it
CHANGED = 1e-6  # relative: what a plan and a report of it may differ by


@dataclass(frozen=True)
class Outlook:
    """Of n rows of one stage and K components; what is not known is NaN."""

    stage: Stage  # the next one
    rows: Rows  # [n] of the window
    names: tuple[str, ...]
    before: Floats  # [n, K] weights just before the stage
    after: Floats  # [n, K] weights that the stage leads to
    usual: Floats  # [n, K]
    total: Floats  # [n] T
    predicted: Floats  # [n] T+
    shares: Floats  # [n, K] in the stage
    lagged: Floats  # [n, K] usual, `look_back` rows before
    to_go: Floats  # [n] the steps until the stage, in those of the last `look_back` rows; 1 at most
    complete: Mask  # [n] every component of the stage has been evaluated
    introduced: Mask  # [n, K]
    auxiliary: Mask  # [n, K] its weight is not the largest of the stage
    excess: Floats  # [n, K] how many times its declared share or contribution it will have; 0 where none is declared

    @property
    def jump(self) -> Floats:
        return np.asarray(self.predicted / self.total)

    @property
    def growth(self) -> Floats:
        """[n, K]: what each component will add to the total."""
        return np.asarray(np.abs(self.after * self.usual) - np.abs(self.before * self.usual))

    def fallen(self) -> tuple[Floats, Floats]:
        """(jump [n], shares [n, K]) if what fell during the last `look_back` rows falls as much again until the stage;
        NaN while there are fewer rows."""
        fall = np.minimum(self.usual / self.lagged, 1.0) ** self.to_go[:, None]
        is_young = np.asarray(np.isnan(self.lagged).all(axis=1))
        now = np.nan_to_num(self.after * self.usual, nan=0.0)
        then = np.where(np.abs(self.after) > np.abs(self.before), np.nan_to_num(now * fall, nan=0.0), now)
        sizes, own = np.abs(now), np.abs(then)
        shares = own / (sizes.sum(axis=1, keepdims=True) - sizes + own)
        jump = np.where(is_young, nan, then.sum(axis=1) / self.total)
        return jump, np.where(is_young[:, None], nan, shares)


def outlook(window: Window, rows: Rows, stage: Stage, look_back: int, memory: Memory) -> Outlook:
    """The prospect of `rows`, all of one stage, the next being `stage`. `memory` keeps the last `look_back` rows."""
    known = window.components
    usual, lagged, negative = _remembered(window, rows, look_back, memory)
    to_go = _to_go(window, rows, stage, look_back, memory)
    before, after = _weights(window, rows, stage)
    with np.errstate(all="ignore"):
        counted = np.nan_to_num(usual, nan=0.0)
        now, then = before * counted, after * counted
        total = _explained(window, rows, now, before, negative & ((before != 0) | (after != 0)))
        sizes = np.abs(then)
        shares = sizes / sizes.sum(axis=1, keepdims=True)
        largest = np.abs(after).max(axis=1, keepdims=True, initial=0.0)
        return Outlook(
            stage=stage,
            rows=rows,
            names=known.names,
            before=before,
            after=after,
            usual=usual,
            total=total,
            predicted=then.sum(axis=1),
            shares=shares,
            lagged=lagged,
            to_go=to_go,
            complete=_complete(window.schedule, known.names, stage, usual, after),
            introduced=np.abs(after) > INTRODUCED * np.abs(before),
            auxiliary=np.abs(after) < AUXILIARY * largest,
            excess=_excess(window.schedule, known.names, shares, sizes),
        )


def _remembered(window: Window, rows: Rows, look_back: int, memory: Memory) -> tuple[Floats, Floats, Mask]:
    """[n, K]: the usual raw losses of the rows, those of `look_back` rows before (NaN where there are none), and
    whether the component has been negative."""
    names = list(window.components.names)
    known: list[str] = memory.get("components", [])
    before = np.full((len(memory.get("usual", ())), len(names)), nan)
    was_negative = np.zeros(len(names), np.bool_)
    for k, name in enumerate(names):
        if name in known:
            before[:, k] = memory["usual"][:, known.index(name)]
            was_negative[k] = memory["negative"][known.index(name)]
    losses, usual = window.components.losses[rows], window.components.usual[rows]
    negative = np.logical_or.accumulate(np.vstack([was_negative, losses < 0]), axis=0)
    broken = ~np.isfinite(losses) & _fresh_losses(window, rows)
    usual = np.where(negative[1:] | broken | ~(usual > NOT_EVALUATED) | ~np.isfinite(usual), nan, usual)
    both = np.vstack([before, usual])
    lagged = np.full_like(usual, nan)
    at = np.arange(len(rows)) + len(before) - look_back
    lagged[at >= 0] = both[at[at >= 0]]
    memory["components"], memory["usual"], memory["negative"] = names, both[-look_back:].copy(), negative[-1].copy()
    return usual, lagged, negative[1:]


def _to_go(window: Window, rows: Rows, stage: Stage, look_back: int, memory: Memory) -> Floats:
    """[n]: the steps until the stage, in the steps of the last `look_back` rows; 1 at most, 0 while they are fewer."""
    steps = np.concatenate([memory.get("steps", window.steps[:0]), window.steps[rows]])
    memory["steps"] = steps[-look_back:].copy()
    at = np.arange(len(rows)) + len(steps) - len(rows)
    ago = np.where(at >= look_back, steps[np.maximum(at - look_back, 0)], stage.start)
    passed = np.maximum(window.steps[rows] - ago, 0)
    with np.errstate(divide="ignore"):
        return np.where(passed > 0, np.clip((stage.start - window.steps[rows]) / passed, 0.0, 1.0), 0.0)


def _fresh_losses(window: Window, rows: Rows) -> Mask:
    numbers = [window.index[f"loss/{name}"] for name in window.components.names]
    return np.asarray(window.fresh[rows][:, numbers])


def _weights(window: Window, rows: Rows, stage: Stage) -> tuple[Floats, Floats]:
    """[n, K]: the weights just before the stage, and those that it leads to."""
    schedule, in_force = window.schedule, window.components.weights[rows]
    before, after = np.empty_like(in_force), np.empty_like(in_force)
    for k, name in enumerate(window.components.names):
        planned = _planned(schedule, name, window.steps[rows])
        size = np.maximum(np.abs(planned), np.abs(in_force[:, k]))
        is_planned = np.abs(in_force[:, k] - planned) <= CHANGED * size
        before[:, k] = np.where(is_planned, schedule.weight_at(name, stage.start - 1) or 0.0, in_force[:, k])
        after[:, k] = np.where(is_planned, schedule.aim_at(name, stage.start) or 0.0, in_force[:, k])
    return before, after


def _planned(schedule: Schedule, component: str, steps: npt.NDArray[np.int64]) -> Floats:
    """[n]: the plan at each step; of a constant weight, which most are, asked only twice."""
    first, last = schedule.weight_at(component, int(steps[0])), schedule.weight_at(component, int(steps[-1]))
    if first == last:  # ramps are monotonic
        return np.full(len(steps), nan if first is None else first)
    return schedule.weights_at(component, steps)


def _explained(window: Window, rows: Rows, now: Floats, before: Floats, signed: Mask) -> Floats:
    """[n]: T; NaN where the components do not make up the total, or one of them is signed, not finite or unknown."""
    known = window.components
    sums = np.nan_to_num(known.contributions[rows], nan=0.0).sum(axis=1)
    number = window.number(TOTAL)
    size = np.abs(sums) if number is None else np.abs(window.values[rows, number])
    is_explained = (known.rest[rows] <= EXPLAINED * size) & np.isfinite(sums) & np.isfinite(size)
    is_unknown = (signed | ((before != 0) & np.isnan(known.usual[rows])) | np.isinf(known.losses[rows])).any(axis=1)
    total = now.sum(axis=1)
    return np.where(is_explained & ~is_unknown & (total > 0), total, nan)


def _complete(schedule: Schedule, names: tuple[str, ...], stage: Stage, usual: Floats, after: Floats) -> Mask:
    unseen = [name for name in schedule.components if name not in names and schedule.aim_at(name, stage.start)]
    return np.zeros(len(usual), np.bool_) if unseen else ~(np.isnan(usual) & (after != 0)).any(axis=1)


def _excess(schedule: Schedule, names: tuple[str, ...], shares: Floats, sizes: Floats) -> Floats:
    excess = np.zeros_like(shares)
    for k, name in enumerate(names):
        for series, column in ((share(name), shares[:, k]), (contribution(name), sizes[:, k])):
            contract = schedule.contracts.get(series)
            if contract is not None and contract.high is not None and contract.high > 0:
                excess[:, k] = np.maximum(excess[:, k], column / contract.high)
    return excess
