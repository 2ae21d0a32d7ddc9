"""Explosions of the gradient norm that come more and more often, each of them survived.

Formula   an outlier is r > z(1e-3) and above 10 times its level while the loss does not improve; three of them within
          20 samples.
Defaults  as above. Critical. Warm-up 30 samples.
Source    the signature of OLMo and GLM before a collapse; a public DeepSpeech run shows it 15,500 steps before its NaN.
False     none on 754,149 healthy samples: single outliers, which healthy runs have, never count.
alarms
Remedy    the weight of an auxiliary component that drives it; otherwise words: clip at twice the level, two thirds of
          the learning rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL

from . import gradient
from .base import Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from .moment import Moment
from .rise import share_parameter
from .window import Window

NAME = "grad_cluster"
INFO = Info(
    "R9",
    NAME,
    "Gradient explosions come in a cluster",
    "grad_norm/total, before clipping",
    "Three samples of the last 20 with r > z(1e-3) and above 10 x level while the loss does not improve.",
    "The signature of OLMo and GLM before a collapse; a public DeepSpeech run shows it 15,500 steps before its NaN.",
    "Single explosions, which healthy runs have, never count; no false alarm on 754,149 healthy samples.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """What an outlier is, and how many make a cluster."""

    factor: float = parameter(10.0, "an outlier is above so many times the level", 1.01, 1e9, "times")
    rate: float = parameter(1e-3, "share of healthy samples that may be as far out", 1e-9, 0.1)
    need: float = parameter(3, "so many outliers make a cluster", 1, 60, "samples", whole=True)
    of: float = parameter(20, "... among the last so many", 1, 60, "samples", whole=True)
    gate: float = gradient.gate_parameter()
    ungated: float = parameter(100.0, "above so many times the level a falling loss is no excuse", 1.01, 1e12, "times")
    dominant_share: float = share_parameter()

    def __post_init__(self) -> None:
        ascending(self, "need", "of")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About grad_norm/total, critical."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None:
        return []
    hits = gradient.outliers(window, number, parameters.factor, parameters.rate, parameters.gate, parameters.ungated)
    if not hits.any():
        return []

    def explain(row: int) -> Finding:
        return _explain(Moment(window, row), parameters)

    hold = Hold(int(parameters.need), int(parameters.of))
    return [Hits(GRAD_NORM_TOTAL, np.flatnonzero(hits), Severity.CRITICAL, hold, explain)]


def _explain(moment: Moment, parameters: Parameters) -> Finding:
    number = moment.index[GRAD_NORM_TOTAL]
    level = moment.window.natural_level(moment.row, number)
    recent = moment.history(GRAD_NORM_TOTAL)[-int(parameters.of) :]
    far = [(int(step), value) for step, value in recent if value > parameters.factor * level]
    listed = ", ".join(f"{value:.3g} at {step}" for step, value in far[-6:])
    text = f"{listed}; an explosion is above {parameters.factor:g} times the level of {level:.3g}."
    said = f"{len(far)} gradient explosions within {len(recent)} samples, the last at step {moment.step}."
    component = gradient.driver(moment, parameters.dominant_share)
    otherwise = "Clip the norm at twice its level, or take two thirds of the learning rate, before one of them stays."
    return gradient.finding(moment, said, text, component, {"explosions": len(far)}, otherwise, go_back=False)
