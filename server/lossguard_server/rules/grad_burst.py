"""The gradient norm multiplies from step to step: the burst that comes before a loss explodes.

Formula   g_t >= 1.8 g_(t-1), three times in a row; g_t >= 20 g_(t-3); g_t above 5 times its level and r > z(1e-3), what
          healthy samples of this run exceed once in 1,000; r_(t-1) > z(1e-2); the loss does not improve, or the norm is
          above 30 times its level.
Defaults  as above. Critical at once. Warm-up 30 samples.
Source    BLOOM-176B's norm went 0.24, 0.95, 2.4, 15.9, 145, 960: it fires two iterations before the loss moves. 10 of
          13 public runs into NaN show it.
False     the run's own tail: a run whose norm swings by factors of 50 all the time raises its own limit (nine false
alarms    alarms on 754,149 healthy samples without it and the gate, none with them). The sample before must be out of
          the ordinary too: else two rises within the noise make a burst of one outlier.
Remedy    the weight of an auxiliary component that drives it; otherwise back to before it, skipping these batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL

from . import gradient
from .base import AT_ONCE, Finding, Hits, Info, Memory, Rule, Severity, parameter
from .moment import Moment
from .rise import share_parameter
from .window import Floats, Window

NAME = "grad_burst"
RISES = 3
CALM = 3.0  # spreads: no limit of a series lies below
INFO = Info(
    "R7",
    NAME,
    "The gradient norm multiplies from step to step",
    "grad_norm/total, before clipping",
    "g[t] >= 1.8 g[t-1] three times in a row, g[t] >= 20 g[t-3], g[t] above 5 x its level, r > z(1e-3), the sample "
    "before it r > z(1e-2), and the loss does not improve.",
    "BLOOM-176B (0.24, 0.95, 2.4, 15.9, 145, 960: two iterations before the loss) and 10 of 13 public runs into NaN.",
    "A run whose norm always swings that far raises its own limit, and a falling loss closes the gate.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """Factors between samples, and of the level."""

    rise: float = parameter(1.8, "each of three samples is so many times the one before it", 1.01, 1e6, "times")
    together: float = parameter(20.0, "the three together are so many times", 1.01, 1e12, "times")
    level_factor: float = parameter(5.0, "and the norm is so many times its level", 1.01, 1e9, "times")
    rate: float = parameter(1e-3, "share of healthy samples that may be as far out", 1e-9, 0.1)
    rate_before: float = parameter(1e-2, "the same of the sample before it: one alone is no burst", 1e-9, 1.0)
    gate: float = gradient.gate_parameter()
    ungated: float = parameter(30.0, "above so many times the level a falling loss is no excuse", 1.01, 1e12, "times")
    dominant_share: float = share_parameter()


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About grad_norm/total. `memory["last"]`: the logs of the last three samples that counted."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None:
        return []
    rows = np.flatnonzero(window.live[:, number] & ~window.excused[:, number])
    if not len(rows):
        return []
    y = np.concatenate([np.array(memory.get("last", []), np.float64), window.levels.y[rows, number]])
    memory["last"] = y[-RISES:].tolist()
    bursting = _follow_one(window, number, rows, _bursts(y, parameters)[-len(rows) :], parameters, memory)
    if not bursting.any():
        return []
    hits = np.zeros(len(window.steps), np.bool_)
    hits[rows] = bursting
    hits &= gradient.outliers(
        window, number, parameters.level_factor, parameters.rate, parameters.gate, parameters.ungated
    )

    def explain(row: int) -> Finding:
        return _explain(Moment(window, row), parameters)

    return [Hits(GRAD_NORM_TOTAL, np.flatnonzero(hits), Severity.CRITICAL, AT_ONCE, explain)] if hits.any() else []


def _follow_one(
    window: Window, number: int, rows: np.ndarray, bursting: np.ndarray, parameters: Parameters, memory: Memory
) -> np.ndarray:
    """[n]: those of `bursting` whose sample before was unusual too. `memory["was_out"]`: the last one was."""
    deviation, was_out = window.levels.deviation[rows, number], memory.get("was_out", False)
    memory["was_out"] = False
    if not bursting.any() and not deviation[-1] > CALM:
        return bursting
    out = deviation > window.limit(number, parameters.rate_before)[rows]
    memory["was_out"] = bool(out[-1])
    return np.asarray(bursting & np.concatenate([[was_out], out[:-1]]))


def _bursts(y: Floats, parameters: Parameters) -> np.ndarray:
    """[n]: the last three steps of log values were all up, by enough."""
    found = np.zeros(len(y), np.bool_)
    if len(y) > RISES:
        up = np.diff(y) >= log(parameters.rise)
        found[RISES:] = up[2:] & up[1:-1] & up[:-2] & (y[RISES:] - y[:-RISES] >= log(parameters.together))
    return found


def _explain(moment: Moment, parameters: Parameters) -> Finding:
    values = [value for _, value in moment.history(GRAD_NORM_TOTAL) if np.isfinite(value)][-RISES - 1 :]
    chain = ", ".join(f"{value:.3g}" for value in values)
    level = moment.window.natural_level(moment.row, moment.index[GRAD_NORM_TOTAL])
    text = (
        f"{chain}: each at least {parameters.rise:g} times the one before, together at least {parameters.together:g} "
        f"times; the level is {level:.3g}."
    )
    said = f"The gradient norm multiplies from step to step: {chain} at step {moment.step}."
    component = gradient.driver(moment, parameters.dominant_share)
    otherwise = "The loss usually follows within a few steps: go back, skip these batches, or halve the learning rate."
    return gradient.finding(moment, said, text, component, {}, otherwise, go_back=True)
