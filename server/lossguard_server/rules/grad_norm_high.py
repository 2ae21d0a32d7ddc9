"""The gradient norm, before clipping, is far above healthy while the loss does not improve.

Formula   b = the run's own level of grad_norm/total (baseline.py). Warning above max(5, 5 b), critical above
          max(50, 10 b), 3 of 5 steps, and up to 30 b only while the loss is not improving: the total's fast level is
          above its level less half a spread.
Defaults  5 and 50 are absolute, 5 and 10 relative; whichever is larger counts. Warm-up 30 samples.
          A run of the report (healthy 0.1 to 1.0) is warned above 5.0; a model whose healthy norm is 20 above 100.
Source    the reports: "healthy 0.1 - 1.0, warning > 5.0". BLOOM-176B's norm went 0.24, 0.95, 2.4, 15.9, 145, 960 and
          its loss only moved at the last of them: the norm leads.
False     a fixed limit of 5 gives 143 false alarms per 100,000 healthy samples, hence the relative limit; 83 of 104
alarms    false alarms of a prototype came while the loss was falling (the norm grows x3 to x6 on leaving the first
          plateau), hence the gate.
Remedy    the weight of an auxiliary component that dominates; otherwise words: clip, or lower the learning rate.
"""

from dataclasses import dataclass

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL, TOTAL

from . import advice
from .base import Finding, Hold, Rule, Severity, Verdict
from .window import Window

NAME = "grad_norm_high"
HOLD = Hold(3, 5)


@dataclass(frozen=True)
class Parameters:
    """Norms as logged; `factor`s are of the run's own level; `gate` is in spreads of the total."""

    warning: float = 5.0
    warning_factor: float = 5.0
    critical: float = 50.0
    critical_factor: float = 10.0
    gate: float = 0.5
    ungated_factor: float = 30.0
    hold: Hold = HOLD
    dominant_share: float = 0.5


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(NAME, lambda window: judge(window, parameters))


def judge(window: Window, parameters: Parameters) -> list[Verdict]:
    """At most one verdict, about grad_norm/total."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None or not window.base.judged[number]:
        return []
    norm = float(window.values[number])
    if norm <= parameters.warning:
        return []
    level = float(np.exp(window.base.level[number]))
    if norm <= max(parameters.warning, parameters.warning_factor * level):
        return []
    if norm <= parameters.ungated_factor * level and _is_improving(window, parameters):
        return []
    is_critical = norm > max(parameters.critical, parameters.critical_factor * level)
    severity = Severity.CRITICAL if is_critical else Severity.WARNING
    k = window.dominant(parameters.dominant_share)
    return [Verdict(GRAD_NORM_TOTAL, severity, parameters.hold, lambda: _explain(window, norm, level, k, parameters))]


def _is_improving(window: Window, parameters: Parameters) -> bool:
    number = window.index.get(TOTAL)
    if number is None:
        return False
    base = window.base
    if base.quiet[number]:
        return True  # the total's level is not known: nothing says that the loss is not falling as it should
    return bool(base.fast[number] <= base.level[number] - parameters.gate * base.scale[number])


def _explain(window: Window, norm: float, level: float, k: int | None, parameters: Parameters) -> Finding:
    group, share = _largest_group(window)
    where = f" Most of it is in {group} ({100 * share:.0f} % of the square)." if group else ""
    text = (
        f"{norm:.4g} against a level of {level:.4g}; limits: max({parameters.warning:g}, "
        f"{parameters.warning_factor:g} * {level:.3g}), critical max({parameters.critical:g}, "
        f"{parameters.critical_factor:g} * {level:.3g})."
    )
    remedy = None if k is None else advice.lower_weight(window, k)
    if k is None:
        text += " No component dominates: clip the norm at twice its level, or lower the learning rate."
    message = f"The gradient norm is {norm:.3g}, {norm / level:.0f} times its level, measured before clipping.{where}"
    component = None if k is None else window.components.names[k]
    return Finding(
        message, text, component, {"value": norm, "level": level, "group": group, "group_share": share}, None, remedy
    )


def _largest_group(window: Window) -> tuple[str, float]:
    """(name, share of the sum of squares) of the group with the largest norm; ("", 0) without groups."""
    squares = {
        name.removeprefix("grad_norm/"): float(window.values[number]) ** 2
        for name, number in window.index.items()
        if name.startswith("grad_norm/") and name != GRAD_NORM_TOTAL and window.live[number]
    }
    if not squares:
        return "", 0.0
    group = max(squares, key=lambda name: squares[name])
    whole = sum(squares.values())
    return group, squares[group] / whole if whole > 0 else 0.0
