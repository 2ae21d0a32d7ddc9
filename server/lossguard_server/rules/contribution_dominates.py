"""A component holds another share of the total than it was meant to.

Formula   contribution c_k = w_k * L_k; share = |c_k| / (sum of |c_j| + what the total holds beside them).
          Declared: `share(component, low, high)`, outside for 3 rows; nothing else is said of that component.
          Took over: the share of an auxiliary component is above `share` and
            it grew   |c_k| > `growth` times what it was at the last healthy point (0 before its stage: any growth), or
            it began so: the run is younger than `young_samples`, and the weight is at most `minor_weight` of the
            largest or the share above `whole`.
          Swelled: the share of any component is above `share` and ten times its usual one, and it grew; 5 rows.
          Shifted: total variation 0.5 * sum |share_j - usual_j| above `shift` for 5 rows while no weight moved.
          Alone: a young run of equal weights in which the others together are below 1e-6: float32 does not see them.
          Auxiliary: the weight that the stage leads to is not the largest of the stage.
Defaults  share 0.5 for 3 rows of 3, growth 10, minor weight 0.1; open until the share is below 0.4. No warm-up. A
          component that its stage brings in above `whole` (0.9) fires at the stage's first row.
          Critical when it grew, or is above what is declared; a warning otherwise.
Source    two healthy CycleGAN runs (14,111 samples, weights declared equal): largest share ever 0.74, total variation
          at most 0.51. Of seven PINN runs with a share above 0.996 in the median, six ended dead. The report: 0.01 *
          700 on top of 2.2.
False     a single loss and equal weights have no auxiliary component; a leading loss that fades below an auxiliary one
alarms    (PPO's entropy, a converged reconstruction) is no growth, and slower than the usual shares follow.
Remedy    set_weight at the target share (0.005): w' = X / (1 - X) * others / L_k.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lossguard.protocol.magnitudes import ALONE, AUXILIARY, SHARE, TARGET_SHARE
from lossguard.protocol.names import contribution

from . import dominance_words as words
from . import shares
from .base import AT_ONCE, Hits, Hold, Info, Memory, Rows, Rule, Severity, ascending, parameter
from .schedule import Schedule
from .shares import Usual
from .window import Floats, Mask, Window

NAME = "contribution_dominates"
INFO = Info(
    "R1",
    NAME,
    "Contribution out of proportion",
    "`contribution/<component>`",
    "share = |w L| / sum: an auxiliary one above 0.5 that grew 10 times; outside what is declared; a shift by 0.6",
    "14,111 samples of healthy CycleGANs, 11 PINN runs, the denovo report",
    "equal weights and single losses have no auxiliary component; fading of the others is no growth",
)
HOLD, LASTING = Hold(3, 3), Hold(5, 5)
AT_AIM = 0.99  # of the weight that the stage leads to: below it a ramp is still going on


@dataclass(frozen=True)
class Parameters:
    """Shares are of the whole; `minor_weight` is relative to the stage's largest weight."""

    share: float = parameter(SHARE, "the share above which an auxiliary component has taken over", low=0.01, high=1)
    share_open: float = parameter(0.4, "the share below which that is over", low=0.01, high=1)
    whole: float = parameter(0.9, "the share at which it fires at a stage's first row", low=0.01, high=1)
    growth: float = parameter(10.0, "how much the contribution has grown", low=1, high=1e6, unit="times")
    minor_weight: float = parameter(0.1, "the weight of a component that is surely minor", low=0, high=1)
    young_samples: float = parameter(5, "rows in which a run has no past", low=1, high=1000, unit="rows", whole=True)
    shift: float = parameter(0.6, "the total variation of the shares that is a warning", low=0.05, high=1)
    target_share: float = parameter(TARGET_SHARE, "the share that a remedy aims at", low=1e-6, high=0.5)

    def __post_init__(self) -> None:
        ascending(self, "share_open", "share")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Rows in which a component holds what it was not meant to."""
    known = window.components
    if not known.names:
        return []
    usual = shares.follow(window, memory)
    declared = shares.declared(window)
    free: Mask = np.isnan(declared[1])
    hits = [] if free.all() else _outside_declared(window, declared, parameters)
    large = (known.shares > parameters.share_open) & window.whole[:, None] & free
    if large.any():
        grown = _grown(window, parameters)
        hits += _swelled(window, usual, large, grown, parameters)
        hits += _took_over(window, large, grown, parameters)
        hits += _alone(window, large, parameters)
    return [*_shifted(window, usual, free, parameters), *hits]  # what is said last has the word


def _grown(window: Window, parameters: Parameters) -> Mask:
    """[T, K]: much larger than at the last healthy point; False while there is none."""
    sizes = np.abs(window.components.contributions)
    is_old = window.references.samples >= parameters.young_samples
    with np.errstate(invalid="ignore"):
        return np.asarray(is_old[:, None] & (sizes > parameters.growth * window.references.contributions))


def _took_over(window: Window, large: Mask, grown: Mask, parameters: Parameters) -> list[Hits]:
    """Auxiliary components; of each row the largest."""
    candidates = large & window.auxiliary
    if not candidates.any():
        return []
    held = np.where(candidates, window.components.shares, -1.0)
    largest = held == held.max(axis=1, keepdims=True)
    is_young = (window.references.samples < parameters.young_samples)[:, None]
    began = is_young & ((window.ranks <= parameters.minor_weight) | (held > parameters.whole))
    over = candidates & largest & (held > parameters.share)
    critical, warning = over & grown, over & ~grown & began
    sustained = candidates & largest & ~critical & ~warning
    hits = []
    for k in np.flatnonzero((candidates & largest).any(axis=0)).tolist():
        at_once = _introduced(window, k, np.flatnonzero(critical[:, k] & (held[:, k] > parameters.whole)))
        explain = partial(words.took_over, window, parameters.share, parameters.target_share, k)
        series = contribution(window.components.names[k])
        template = Hits(series, np.flatnonzero(critical[:, k] & ~at_once), Severity.CRITICAL, HOLD, explain)
        hits += [
            replace(template, rows=np.flatnonzero(sustained[:, k]), severity=Severity.WARNING, sustains=True),
            replace(template, rows=np.flatnonzero(warning[:, k]), severity=Severity.WARNING),
            template,
            replace(template, rows=np.flatnonzero(at_once), hold=AT_ONCE),
        ]
    return [each for each in hits if len(each.rows)]


def _introduced(window: Window, k: int, rows: Rows) -> Mask:
    """[T]: of these rows those whose stage has brought component k in."""
    found = np.zeros(len(window.steps), np.bool_)
    schedule, name = window.schedule, window.components.names[k]
    was_nothing = window.references.contributions[rows, k] == 0
    for row in rows[was_nothing].tolist():
        found[row] = _is_brought_in(schedule, name, int(window.steps[row]))
    return found


def _is_brought_in(schedule: Schedule, component: str, step: int) -> bool:
    stage = schedule.stage_at(step)
    return stage is not None and stage.index > 0 and schedule.weight_at(component, stage.start - 1) == 0


def _swelled(window: Window, usual: Usual, large: Mask, grown: Mask, parameters: Parameters) -> list[Hits]:
    """Components of any rank that were small."""
    with np.errstate(invalid="ignore"):
        rose = window.components.shares > parameters.growth * usual.shares
        found = large & grown & rose & (window.components.shares > parameters.share)
    return [
        Hits(
            contribution(window.components.names[k]),
            np.flatnonzero(found[:, k]),
            Severity.CRITICAL,
            LASTING,
            partial(words.swelled, window, usual, parameters.target_share, k),
        )
        for k in np.flatnonzero(found.any(axis=0)).tolist()
    ]


def _shifted(window: Window, usual: Usual, free: Mask, parameters: Parameters) -> list[Hits]:
    """The shares as a whole; told of the one that gained the most."""
    gains = window.components.shares - usual.shares
    variation = 0.5 * np.where(free, np.abs(gains), 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(usual.complete & (variation > parameters.shift))
    if not len(rows) or not free.any():
        return []
    leader = np.where(free, gains[rows], -1.0).argmax(axis=1)
    return [
        Hits(
            contribution(window.components.names[k]),
            rows[leader == k],
            Severity.WARNING,
            LASTING,
            partial(words.shifted, window, usual, variation, parameters, k),
        )
        for k in np.unique(leader).tolist()
    ]


def _alone(window: Window, large: Mask, parameters: Parameters) -> list[Hits]:
    """One of several equal weights that is all there is, from the beginning."""
    known = window.components
    sizes = np.abs(known.contributions)
    others = np.where(np.isfinite(sizes), sizes, 0.0).sum(axis=1, keepdims=True) - np.nan_to_num(sizes)
    leads = window.ranks >= AUXILIARY
    found = large & leads & (others > 0) & (known.shares >= 1 - ALONE)
    found &= (leads & (sizes > 0)).sum(axis=1, keepdims=True) > 1
    is_young = window.references.samples < parameters.young_samples
    hits = []
    for k in np.flatnonzero(found.any(axis=0)).tolist():
        series, explain = contribution(known.names[k]), partial(words.alone, window, k)
        for mask, sustains in ((found[:, k] & is_young, False), (found[:, k] & ~is_young, True)):
            if mask.any():
                hits.append(Hits(series, np.flatnonzero(mask), Severity.WARNING, HOLD, explain, sustains))
    return hits


def _outside_declared(window: Window, declared: Floats, parameters: Parameters) -> list[Hits]:
    """Components whose share is declared. Below is judged only once the weight is where the stage leads to."""
    known = window.components
    told = window.whole[:, None] & np.isfinite(known.contributions)
    with np.errstate(invalid="ignore"):
        above, below = told & (known.shares > declared[1]), told & (known.shares < declared[0]) & (known.weights != 0)
    hits = []
    for k in np.flatnonzero((above | below).any(axis=0)).tolist():
        below_rows = _at_aim(window, k, np.flatnonzero(below[:, k]))
        low, high = float(declared[0, k]), float(declared[1, k])
        explain = partial(words.outside_declared, window, low, high, k)
        series = contribution(known.names[k])
        for rows, severity in ((below_rows, Severity.WARNING), (np.flatnonzero(above[:, k]), Severity.CRITICAL)):
            if not len(rows):
                continue
            at_once = _introduced(window, k, rows[known.shares[rows, k] > parameters.whole])[rows]
            hits.append(Hits(series, rows[~at_once], severity, HOLD, explain))
            hits.append(Hits(series, rows[at_once], severity, AT_ONCE, explain))
    return [each for each in hits if len(each.rows)]


def _at_aim(window: Window, k: int, rows: Rows) -> Rows:
    """Of these rows those at which no ramp of component k is going on."""
    name, weights = window.components.names[k], window.components.weights
    aims = [window.schedule.aim_at(name, step) for step in window.steps[rows].tolist()]
    done = [aim is None or abs(weight) >= AT_AIM * abs(aim) for aim, weight in zip(aims, weights[rows, k], strict=True)]
    return rows[np.array(done, np.bool_)]
