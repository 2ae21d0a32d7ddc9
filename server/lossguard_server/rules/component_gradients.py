"""One component pulls alone, pulls nothing for what it costs, or pulls against all others.

Formula   gamma_k = |w_k| ||g_k|| / sum of |w_j| ||g_j|| at the shared activation, when it is probed (pulls.py)
          dominates  an auxiliary component with gamma > `dominant`, 3 probes in a row: warning; critical while the
                     gradient norm grows (its CUSUM above `growth_sum`, 10 times its level, the loss not improving)
          vanishes   gamma < `vanished` while its contribution is above `paid` of the total, 3 probes in a row: warning;
                     exactly 0 counts only after it has pulled: it may not depend on the activation
          conflicts  cos(g_k, sum of g) < -`conflict`, 8 probes of 10: warning, about the pair that is most opposed
Defaults  0.9; 1e-3 and 0.01 (above half of the total it is saturation's matter); 0.3.
          Auxiliary: its weight is not the largest of the stage.
Source    proposals of the report, not measured; PCGrad and GradNorm use the same quantities to steer.
False     a leading loss may pull alone; opposing losses in balance (reconstruction and KL) have equal shares and a sum
alarms    that is noise, whose cosine with each is positive on average; so conflict takes most of ten probes.
Remedy    a lower weight for one that dominates; words otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log

import numpy as np

from lossguard.protocol import names
from lossguard.protocol.names import GRAD_NORM_TOTAL

from . import advice
from .base import Finding, Hits, Hold, Info, Memory, Rule, Severity, parameter
from .moment import Moment
from .pulls import Pulls, pulls
from .window import Mask, Window

NAME = "component_gradients"
INFO = Info(
    "R10",
    NAME,
    "A component's gradient dominates, vanishes or opposes",
    "grad_share/<component>, grad_cos/<a>|<b>",
    "gamma > 0.9 of an auxiliary component; gamma < 1e-3 above 1 % of the total; cos(g_k, sum of g) < -0.3",
    "proposals of the report, not measured",
    "a leading loss may pull alone, losses in balance have equal shares, conflict takes 8 probes of 10",
)
HOLD, CONFLICT_HOLD = Hold(3, 3), Hold(8, 10)
SATURATED_PART = 0.5  # above it a gradient that is gone is told by saturation.py, with the better words


@dataclass(frozen=True)
class Parameters:
    """Shares are of the sum of the gradients' lengths."""

    dominant: float = parameter(0.9, "the most that an auxiliary component may pull", 0.1, 1.0)
    vanished: float = parameter(1e-3, "a component that pulls less has vanished", 0.0, 0.1)
    paid: float = parameter(0.01, "... if it contributes more than this part of the total", 0.0, 1.0)
    conflict: float = parameter(0.3, "how far a component may pull against the sum, as a negative cosine", 0.0, 1.0)
    growth_sum: float = parameter(20.0, "CUSUM of the gradient norm above which it counts as growing", 1.0, 49.0)
    growth_factor: float = parameter(10.0, "... and so many times its level", 1.0, 1e6, "times")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Hits on grad_share/<component>, and on grad_cos/<a>|<b> for a conflict."""
    probed = pulls(window, memory)
    if probed is None:
        return []
    with np.errstate(all="ignore"):
        dominates = (probed.shares > parameters.dominant) & probed.auxiliary & np.isfinite(probed.shares)
        vanishes = (probed.shares < parameters.vanished) & (probed.parts > parameters.paid)
        vanishes &= (probed.parts <= SATURATED_PART) & ((probed.shares > 0) | has_pulled(probed, memory))
        opposed = probed.agreement < -parameters.conflict
    hits = []
    if dominates.any():
        hits += _dominating(window, probed, dominates, parameters)
    for k in np.flatnonzero(vanishes.any(axis=0)).tolist():
        series = names.grad_share(probed.names[k])
        explain = partial(_explain_vanished, window, probed, k, parameters)
        hits.append(Hits(series, probed.rows[vanishes[:, k]], Severity.WARNING, HOLD, explain))
    if opposed.any():
        hits += _opposing(window, probed, opposed, parameters)
    return hits


def has_pulled(probed: Pulls, memory: Memory) -> Mask:
    """[P, K]: the component has had a gradient here, up to this probe."""
    before = np.zeros(len(probed.names), np.bool_)
    known = memory.get("has_pulled", before[:0])
    before[: len(known)] = known  # components are numbered in the order of their arrival
    pulled = np.logical_or.accumulate(np.vstack([before, probed.shares > 0]), axis=0)
    memory["has_pulled"] = pulled[-1].copy()
    return np.asarray(pulled[1:])


def _dominating(window: Window, probed: Pulls, dominates: Mask, parameters: Parameters) -> list[Hits]:
    grows = _grows(window, parameters)[probed.rows]
    hits = []
    for k in np.flatnonzero(dominates.any(axis=0)).tolist():
        explain = partial(_explain_dominant, window, probed, k, parameters)
        for mask, severity in ((grows, Severity.CRITICAL), (~grows, Severity.WARNING)):
            rows = probed.rows[dominates[:, k] & mask]
            if len(rows):
                hits.append(Hits(names.grad_share(probed.names[k]), rows, severity, HOLD, explain))
    return hits


def _grows(window: Window, parameters: Parameters) -> Mask:
    """[T]: the gradient norm has been growing, and the loss does not improve."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None:
        return np.zeros(len(window.steps), np.bool_)
    with np.errstate(invalid="ignore"):
        high = window.rise(number) > log(parameters.growth_factor)
    return np.asarray(high & (window.levels.growth[:, number] > parameters.growth_sum) & ~window.improving(0.5))


def _opposing(window: Window, probed: Pulls, opposed: Mask, parameters: Parameters) -> list[Hits]:
    """One hit a probe: the component that is most opposed, with the one that it opposes most."""
    agreement = np.where(opposed, probed.agreement, np.inf)
    rows = np.flatnonzero(opposed.any(axis=1))
    worst = agreement[rows].argmin(axis=1)
    against = (probed.shares[rows][:, None, :] * probed.cosines[rows])[np.arange(len(rows)), worst]
    other = np.nan_to_num(against, nan=np.inf).argmin(axis=1)
    hits = []
    for a, b in sorted({(min(pair), max(pair)) for pair in zip(worst.tolist(), other.tolist(), strict=True)}):
        of_pair = (np.minimum(worst, other) == a) & (np.maximum(worst, other) == b)
        series = names.grad_cos(probed.names[a], probed.names[b])
        if series not in window.index:
            series = names.grad_cos(probed.names[b], probed.names[a])
        explain: Callable[[int], Finding] = partial(_explain_conflict, window, probed, parameters)
        hits.append(Hits(series, probed.rows[rows[of_pair]], Severity.WARNING, CONFLICT_HOLD, explain))
    return hits


# -- words ------------------------------------------------------------------------------------------------------------


def _explain_dominant(window: Window, probed: Pulls, k: int, parameters: Parameters, row: int) -> Finding:
    moment, i, name = Moment(window, row), _probe(probed, row), probed.names[k]
    pull, part = float(probed.shares[i, k]), float(probed.parts[i, k])
    grows = bool(_grows(window, parameters)[row])
    message = f"{name} makes {100 * pull:.0f} % of the gradient at the shared activation"
    message += (
        ", and the gradient norm grows: it drives the growth." if grows else ", though it was meant to be a minor one."
    )
    text = (
        f"|w| ||g|| of {name} / the sum over all = {pull:.3f}, limit {parameters.dominant}; it contributes "
        f"{100 * part:.2g} % of the total."
    )
    known = moment.components.names
    remedy = advice.lower_weight(moment, known.index(name)) if name in known else None
    return Finding(message, text, name, {"grad_share": pull, "share": part}, remedy=remedy)


def _explain_vanished(window: Window, probed: Pulls, k: int, parameters: Parameters, row: int) -> Finding:
    i, name = _probe(probed, row), probed.names[k]
    pull, part = float(probed.shares[i, k]), float(probed.parts[i, k])
    message = (
        f"{name} contributes {100 * part:.2g} % of the total and makes {100 * pull:.2g} % of the gradient: it is "
        f"paid for and not learned."
    )
    text = (
        f"grad_share {pull:.3g} < {parameters.vanished:.3g} at a share of {part:.3g} > {parameters.paid:.3g}. Look for "
        f"a detached tensor, a saturated function or a mask that is empty; another weight would not help."
    )
    return Finding(message, text, name, {"grad_share": pull, "share": part})


def _explain_conflict(window: Window, probed: Pulls, parameters: Parameters, row: int) -> Finding:
    i = _probe(probed, row)
    agreement = probed.agreement[i]
    k = int(np.nanargmin(agreement))
    other = int(np.nanargmin(probed.shares[i] * probed.cosines[i, k]))
    name, cosine = probed.names[k], float(agreement[k])
    message = (
        f"{name} pulls against the sum of the gradients (cosine {cosine:.2f}), most of all against "
        f"{probed.names[other]}: what one learns the other undoes."
    )
    text = (
        f"cos(g, sum of g) = {cosine:.2f} < -{parameters.conflict}; with {probed.names[other]} "
        f"{float(probed.cosines[i, k, other]):.2f}. Give {name} more weight or none, or project the gradients (PCGrad)."
    )
    return Finding(message, text, name, {"cosine": cosine, "grad_share": float(probed.shares[i, k])})


def _probe(probed: Pulls, row: int) -> int:
    return int(np.searchsorted(probed.rows, row))
