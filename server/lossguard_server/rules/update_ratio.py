"""Updates too large or too small for their weights, and a learning rate that leaps.

Formula   ratio   update_ratio/<group> = ||dw|| / ||w||, as logged: above `high`, or below `low` times the part of its
                  highest that the learning rate is, which does not rise; 20 samples in a row; warning
          leap    lr > `leap` times the highest that it was before; warning, at once
Defaults  1e-5 and 0.1; 10. The first 100 samples of a ratio and the first 10 of the learning rate do not count.
Source    SageMaker's [1e-8, 10] never fires; 1e-3 is the usual ratio; trainpulse calls 10 times in a step a leap.
False     a warm-up begins with tiny updates and a decay ends with them: too small goes by the learning rate, and is
alarms    not said without one; a warm restart goes back to a rate that was there before; a drop is planned.
Remedy    words: the learning rate of that group.
"""

from dataclasses import dataclass
from functools import partial
from math import nan

import numpy as np

from lossguard.protocol.names import LR

from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rows, Rule, Severity, ascending, parameter
from .moment import Moment
from .prefixes import numbered
from .window import Floats, Window

NAME = "update_ratio"
PREFIX = "update_ratio/"
INFO = Info(
    "R20",
    NAME,
    "Updates too large or too small, or a leap of the learning rate",
    "update_ratio/<group>, lr",
    "||dw|| / ||w|| outside [1e-5, 0.1] for 20 samples; lr above 10 times its highest before",
    "SageMaker's [1e-8, 10] never fires; trainpulse calls 10 times a leap",
    "what is too small goes by the learning rate; a restart goes back to a rate that was there before",
    warm_up=100,
)
HOLD = Hold(20, 20)
YOUNG_SAMPLES, YOUNG_LR_SAMPLES = 100, 10


@dataclass(frozen=True)
class Parameters:
    """Of an update relative to its weights, and of the learning rate."""

    low: float = parameter(1e-5, "the least ratio", 0.0, 1.0)
    high: float = parameter(0.1, "the largest ratio", 1e-6, 1e6)
    leap: float = parameter(10.0, "how far the learning rate may go above its highest", 1.1, 1e9, "times")

    def __post_init__(self) -> None:
        ascending(self, "low", "high")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """About update_ratio/<group>, and about lr."""
    hits, part = _leaps(window, parameters, memory)
    ages: dict[str, int] = memory.setdefault("ages", {})
    for group, number in numbered(window, memory, PREFIX).items():
        rows = np.flatnonzero(window.live[:, number])
        if not len(rows):
            continue
        age = ages.get(group, 0)
        ages[group] = min(age + len(rows), YOUNG_SAMPLES)
        ratios = window.values[rows, number]
        out = (ratios > parameters.high) | (ratios < parameters.low * part[rows])
        out[: max(0, YOUNG_SAMPLES - age)] = False
        if out.any():
            explain = partial(_explain_ratio, group, parameters, window)
            hits.append(Hits(PREFIX + group, rows[out], Severity.WARNING, HOLD, explain))
    return hits


def _leaps(window: Window, parameters: Parameters, memory: Memory) -> tuple[list[Hits], Floats]:
    """What leaps, and [T]: the part of its highest that the learning rate is; 0 while it rises or is not known."""
    part = np.zeros(len(window.steps))
    number = window.number(LR)
    if number is None:
        return [], part
    rows = np.flatnonzero(window.live[:, number])
    rates = window.values[rows, number]
    before = np.concatenate([[memory.get("lr", nan)], rates])
    highest = np.fmax.accumulate(np.concatenate([[memory.get("highest", nan)], rates]))
    age = memory.get("age", 0)
    before_it = memory.get("part", 0.0)
    if len(rows):
        with np.errstate(all="ignore"):
            parts = np.where((rates > before[:-1]) | ~(highest[1:] > 0), 0.0, rates / highest[1:])
        memory["lr"], memory["highest"] = float(rates[-1]), float(highest[-1])
        memory["age"], memory["part"] = min(age + len(rows), YOUNG_LR_SAMPLES), float(parts[-1])
        carried = np.searchsorted(rows, np.arange(len(window.steps)), side="right") - 1
        part = np.where(carried >= 0, parts[carried], before_it)
    else:
        part[:] = before_it
    leaps = (rates > parameters.leap * highest[:-1]) & (highest[:-1] > 0)
    leaps[: max(0, YOUNG_LR_SAMPLES - age)] = False
    if not leaps.any():
        return [], part
    explain = partial(_explain_leap, window, rows, highest[:-1], parameters)
    return [Hits(LR, rows[leaps], Severity.WARNING, AT_ONCE, explain)], part


def _explain_ratio(group: str, parameters: Parameters, window: Window, row: int) -> Finding:
    moment = Moment(window, row)
    ratio = moment.value(PREFIX + group) or 0.0
    large = ratio > parameters.high
    message = (
        f"Updates of {group} are {'too large' if large else 'too small'} for their weights: {ratio:.2g} of them at "
        f"step {moment.step}."
    )
    text = (
        f"||dw|| / ||w|| = {ratio:.3g}, {HOLD.need} samples outside [{parameters.low:.3g}, {parameters.high:.3g}]. "
        f"{'A lower' if large else 'A higher'} learning rate for this group would bring it back; 1e-3 is usual."
    )
    return Finding(message, text, None, {"ratio": ratio})


def _explain_leap(window: Window, rows: Rows, highest: Floats, parameters: Parameters, row: int) -> Finding:
    moment = Moment(window, row)
    rate, before = moment.value(LR) or 0.0, float(highest[np.searchsorted(rows, row)])
    message = (
        f"The learning rate leapt to {rate:.3g} at step {moment.step}, {rate / before:.3g} times the highest before "
        f"({before:.3g})."
    )
    text = (
        f"{rate:.4g} / {before:.4g} = {rate / before:.3g} > {parameters.leap}. A schedule that counts epochs as steps?"
    )
    return Finding(message, text, None, {"lr": rate, "highest": before})
