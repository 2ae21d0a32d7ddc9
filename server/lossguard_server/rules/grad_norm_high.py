"""The gradient norm, before clipping, is far above healthy while the loss does not improve.

Formula   b = the run's own level of grad_norm/total (baseline.py), r its deviation, z(q) what healthy samples of this
          run exceed with probability q. Warning above max(5, 5 b), 3 of 5 samples; critical at r > z(1e-3) and above
          max(5, 10 b), 2 of 3. Only while the loss is not improving: the total's fast level is above its level less
          half a spread; a warning above 30 b and a critical above 100 b need not ask.
Defaults  5 is absolute, the factors relative. Warm-up 30 samples. A run of the report (healthy 0.1 to 1.0) is warned
          above 5.0; a model whose healthy norm is 20 above 100.
Source    the reports: "healthy 0.1 - 1.0, warning > 5.0". BLOOM-176B's norm went 0.24, 0.95, 2.4, 15.9, 145, 960 and
          its loss only moved at the last of them: the norm leads.
False     a fixed limit of 5 gives 143 false alarms per 100,000 healthy samples, hence the relative limit; 83 of 104
alarms    false alarms of a prototype came while the loss was falling (the norm grows x3 to x6 on leaving the first
          plateau), hence the gate; one sample alone never counts.
Remedy    the weight of an auxiliary component that dominates, holds most of the gradient, or made the total rise;
          otherwise words: clip, or lower the learning rate; and that it is not known which component pulls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL

from . import gradient
from .base import Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from .moment import Moment
from .rise import share_parameter
from .window import Window

NAME = "grad_norm_high"
INFO = Info(
    "R6",
    NAME,
    "The gradient norm is far above healthy",
    "grad_norm/total, before clipping",
    "Warning above max(5, 5 x level), 3 of 5 samples; critical at r > z(1e-3) and above max(5, 10 x level), 2 of 3; "
    "both only while the loss does not improve.",
    "The reports (healthy 0.1 to 1.0, warning above 5) and BLOOM-176B, whose norm rose five steps before its loss.",
    "The limit follows the run's own level and tail, one sample alone never counts, a falling loss closes the gate.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """Norms as logged; factors are of the run's own level; the gate is in spreads of the total."""

    warning: float = parameter(5.0, "the least norm that is worth an alert", 0.0, 1e30)
    warning_factor: float = parameter(5.0, "a warning is above so many times the level", 1.01, 1e9, "times")
    warning_need: float = parameter(3, "so many samples make a warning", 1, 60, "samples", whole=True)
    warning_of: float = parameter(5, "... of the last so many", 1, 60, "samples", whole=True)
    warning_ungated: float = parameter(30.0, "above it a falling loss is no excuse: warning", 1.01, 1e12, "times")
    critical_factor: float = parameter(10.0, "critical is above so many times the level", 1.01, 1e9, "times")
    critical_rate: float = parameter(1e-3, "share of healthy samples that may be as far out: critical", 1e-9, 0.1)
    critical_need: float = parameter(2, "so many samples make it critical", 1, 60, "samples", whole=True)
    critical_of: float = parameter(3, "... of the last so many", 1, 60, "samples", whole=True)
    critical_ungated: float = parameter(100.0, "above it a falling loss is no excuse: critical", 1.01, 1e12, "times")
    gate: float = gradient.gate_parameter()
    dominant_share: float = share_parameter()

    def __post_init__(self) -> None:
        ascending(self, "warning_need", "warning_of")
        ascending(self, "critical_need", "critical_of")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About grad_norm/total."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None:
        return []
    up = window.rise(number)
    if not (up > log(min(parameters.warning_factor, parameters.critical_factor))).any():
        return []
    critical = gradient.outliers(
        window,
        number,
        parameters.critical_factor,
        parameters.critical_rate,
        parameters.gate,
        parameters.critical_ungated,
    )
    worth = window.values[:, number] > parameters.warning
    critical &= worth
    warning = (up > log(parameters.warning_factor)) & worth & ~critical
    if warning.any():
        warning &= gradient.stalled(window, parameters.gate, up, parameters.warning_ungated)

    def explain(row: int) -> Finding:
        return _explain(Moment(window, row), number, parameters)

    holds = [
        (warning, Severity.WARNING, Hold(int(parameters.warning_need), int(parameters.warning_of))),
        (critical, Severity.CRITICAL, Hold(int(parameters.critical_need), int(parameters.critical_of))),
    ]
    return [
        Hits(GRAD_NORM_TOTAL, np.flatnonzero(mask), severity, hold, explain)
        for mask, severity, hold in holds
        if mask.any()
    ]


def _explain(moment: Moment, number: int, parameters: Parameters) -> Finding:
    norm, level = float(moment.values[number]), moment.window.natural_level(moment.row, number)
    limit = float(moment.window.limit(number, parameters.critical_rate)[moment.row])
    text = (
        f"{norm:.4g} against a level of {level:.4g}, {float(moment.window.levels.deviation[moment.row, number]):.0f} "
        f"spreads; warning above max({parameters.warning:g}, {parameters.warning_factor:g} * {level:.3g}), critical "
        f"above {parameters.critical_factor:g} * {level:.3g} and {limit:.0f} spreads."
    )
    times = norm / level if level else inf
    said = f"The gradient norm is {norm:.3g}, {times:.0f} times its level, measured before clipping."
    component = gradient.driver(moment, parameters.dominant_share)
    otherwise = "Clip the norm at twice its level, or lower the learning rate."
    return gradient.finding(moment, said, text, component, {}, otherwise, go_back=False)
