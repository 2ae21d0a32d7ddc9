"""The total loss left its level upwards, and stays there.

Formula   y = log(total), level m and spread s from baseline.py, r = (y - m) / max(s, 1 %); z(q) is what healthy samples
          of *this* run exceed with probability q (its own measured tail). A row counts where
              r > max(z(1e-3), 5) and y - m > ln 1.5, 2 of 3,   or   r > max(z(1e-2), 3) and y - m > ln 4, 3 in a row.
          Where the loss rises steadily, m is the level and what it lags (trend.py).
Stages    where weights moved, the level is what the weights make of the usual raw losses (memory.py), however far that
          is: a planned jump is quiet here, and stage_mismatch compares it with its prediction.
Defaults  as above. Warm-up 30 samples.
Source    measured on public logs (docs/rules.md): Lightning's 3x mean, OLMo's 6 sigma and a +20 % rule give 4, 126 and
          190 false alarms per 100,000 healthy samples. The second condition is for young runs, whose first spike has
          made their spread wide: fewer spreads, but more samples.
False     two of three samples must agree, so one bad batch is silent however high it is; a run with a heavy tail (RL)
alarms    raises its own z; steady growth is taken out of the deviation.
Remedy    the weight of the auxiliary component that did it; its old weight where the schedule raised the leading one;
          otherwise a pause.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from lossguard.protocol.names import TOTAL

from . import rise, trend
from .base import Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from .moment import Moment
from .window import Window

NAME = "loss_jump"
INFO = Info(
    "R4",
    NAME,
    "The total loss jumped",
    "loss/total",
    "r > max(z(1e-3), 5) and total > 1.5 x level, 2 of 3 samples, or r > max(z(1e-2), 3) and total > 4 x level, 3 in a "
    "row; of a loss that rises steadily, the level is where that has taken it.",
    "Measured on 3,119 public runs: Lightning's 3 x mean, OLMo's 6 sigma and +20 % give 4, 126 and 190 false alarms "
    "per 100,000 healthy samples.",
    "One sample alone never counts, a run with a heavy tail raises its own limit, and where weights move the level is "
    "what they make of the usual raw losses.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """Factors are of the level; rates are how often healthy samples may be as far out."""

    factor: float = parameter(1.5, "how far above its level the total must be", 1.01, 1e6, "times")
    factor_far: float = parameter(4.0, "how far, where fewer spreads are enough", 1.01, 1e6, "times")
    rate: float = parameter(1e-3, "share of healthy samples that may be as far out", 1e-9, 0.1)
    rate_far: float = parameter(1e-2, "the same, beyond `factor_far`", 1e-9, 0.1)
    deviations_min: float = parameter(5.0, "how far out it must be at least", 1.0, 1e3, "spreads")
    deviations_far: float = parameter(3.0, "the same, beyond `factor_far`", 1.0, 1e3, "spreads")
    need: float = parameter(2, "so many samples must count against it", 1, 60, "samples", whole=True)
    of: float = parameter(3, "... of the last so many", 1, 60, "samples", whole=True)
    need_far: float = parameter(3, "so many in a row, beyond `factor_far`", 1, 60, "samples", whole=True)
    dominant_share: float = rise.share_parameter()

    def __post_init__(self) -> None:
        ascending(self, "need", "of")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About loss/total, critical."""
    number = window.number(TOTAL)
    if number is None:
        return []
    habit = trend.habit(window, number, memory)
    up = window.rise(number)
    high = np.flatnonzero((up > log(parameters.factor)) & (window.levels.level[:, number] >= rise.NOTHING))
    if not len(high):
        return []
    lag = habit.lags(high)
    above = up[high] - lag
    deviation = window.levels.deviation[high, number] - lag / window.levels.scale[high, number]
    out = deviation > window.limit(number, parameters.rate, parameters.deviations_min)[high]
    out &= above > log(parameters.factor)
    far = deviation > window.limit(number, parameters.rate_far, parameters.deviations_far)[high]
    far &= (above > log(parameters.factor_far)) & ~out

    def explain(row: int) -> Finding:
        return _explain(Moment(window, row), number, habit.lag(row), parameters)

    found = [
        (high[out], Hold(int(parameters.need), int(parameters.of))),
        (high[far], Hold(int(parameters.need_far), int(parameters.need_far))),
    ]
    return [Hits(TOTAL, rows, Severity.CRITICAL, hold, explain) for rows, hold in found if len(rows)]


def _explain(moment: Moment, number: int, lag: float, parameters: Parameters) -> Finding:
    total = rise.total_of(moment)
    level, up, deviation = rise.standing(moment, number)
    blame = rise.blame_of(moment, total, level)
    limit = moment.window.limit(number, parameters.rate, parameters.deviations_min)[moment.row]
    text = (
        f"log({total:.4g}) - log({level:.4g}) = {up:.2f}, {deviation:.0f} spreads of "
        f"{float(moment.window.levels.scale[moment.row, number]):.3f}; limits: {log(parameters.factor):.2f} and "
        f"{float(limit):.0f} spreads."
    )
    if lag > 0:
        text += f" Its steady growth explains {lag:.2f} of it."
    numbers = {"level": level, "value": total, "deviations": deviation, "factor": total / level if level else 0.0}
    component = rise.culprit(moment, blame, parameters.dominant_share)
    why = "no schedule explains the jump; look at the batch and the learning rate before it goes on."
    remedy = rise.remedy(moment, None, blame, parameters.dominant_share, why)
    message = f"The total loss went {rise.words(moment, blame, total, level)}"
    return Finding(message, text, component, numbers, blame, remedy)
