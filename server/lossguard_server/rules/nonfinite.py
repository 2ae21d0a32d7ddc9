"""Something that must be a number is NaN or infinite.

Formula   a finite test of every loss, contribution, gradient norm and matrix norm. No warm-up, no hold.
Who       the first in the flow of computation is named, the others are listed:
          matrices -> raw components -> contributions -> total -> gradients by group -> gradient norm.
Defaults  one alert in a run: what turns NaN at the next step has the same cause.
Source    Keras TerminateOnNaN and SageMaker ExplodingTensor look at the loss alone, so they cannot say where it began.
False     none by construction in float32 and bfloat16. A float16 GradScaler probes infinity on purpose: where the row
alarms    has a `loss_scale`, was `skipped`, and all before the gradients is finite, their norms are left out, for at
          most 30 such rows in a row: no scale mends what comes after them.
Trips     a `trip` event that names nothing of what is tested means the model's buffers (running statistics): no row
          shows them, so the event itself is the finding, about the series `buffers`.
Remedy    pause. Not weight 0: 0 * NaN is NaN, the component would go on poisoning the total. Where the row says that it
          was skipped, the weights are as before, and nobody needs to go back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import numpy as np

from . import advice
from .base import AT_ONCE, Finding, Rule, Severity, Verdict
from .blame import blame_broken
from .history import order_of
from .schedule import Schedule
from .window import BUFFERS, GRADIENT_ORDER, Window

NAME = "nonfinite"
TEXT_CHARS = 1_000  # of the sentence that a trip brings
KEPT_OUT = "The guard kept this update out of the weights."


@dataclass(frozen=True)
class Parameters:
    """`list_max`: how many series the message names before it counts the rest."""

    list_max: int = 8


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(NAME, lambda window: judge(window, parameters), one_per_run=True, judge_trip=judge_trip)


def judge(window: Window, parameters: Parameters) -> list[Verdict]:
    """One verdict about the first series of this row that is not finite, or none."""
    bad = (window.fresh & ~window.live) & (window.order < (GRADIENT_ORDER if window.is_probe else inf))
    if not bad.any():
        return []
    numbers = np.flatnonzero(bad)
    ordered = numbers[np.argsort(window.order[numbers], kind="stable")].tolist()
    series = [window.names[number] for number in ordered]
    return [Verdict(series[0], Severity.CRITICAL, AT_ONCE, lambda: _explain(window, series, parameters))]


def judge_trip(step: int, data: Mapping[str, Any], schedule: Schedule) -> list[Verdict]:
    """One verdict about the buffers where the trip names no series that `judge` tests; else its row says it."""
    series = data.get("series")
    names = [name for name in series if isinstance(name, str)] if isinstance(series, list | tuple) else []
    if step < 0 or not names or not all(isinf(order_of(name)) for name in names):
        return []
    return [Verdict(BUFFERS, Severity.CRITICAL, AT_ONCE, lambda: _explain_trip(step, data, schedule))]


def _explain_trip(step: int, data: Mapping[str, Any], schedule: Schedule) -> Finding:
    said, is_skipped = data.get("text"), data.get("action") == "skipped"
    message = said[:TEXT_CHARS] if isinstance(said, str) and said else f"A buffer is not finite at step {step}."
    then = f"{KEPT_OUT} Look at the batch." if is_skipped else "Go back to a finite state."
    why = f"what the model keeps in its buffers is not finite. {then}"
    text = f"Losses and gradient norms are finite; what the forward pass wrote into a buffer is not. {then}"
    return Finding(message, text, remedy=advice.pause(schedule, why))


def _explain(window: Window, series: list[str], parameters: Parameters) -> Finding:
    components = [
        name for name in window.components.names if f"loss/{name}" in series or f"contribution/{name}" in series
    ]
    values = {name: float(window.values[window.index[name]]) for name in series}
    first, others = series[0], series[1:]
    listed = ", ".join(others[: parameters.list_max])
    more = f" and {len(others) - parameters.list_max} more" if len(others) > parameters.list_max else ""
    message = f"{first} is {values[first]} at step {window.step}" + (f"; then {listed}{more}." if others else ".")
    if window.is_skipped:
        message = f"{message} {KEPT_OUT}"
    then = f"{KEPT_OUT} Look at the batch." if window.is_skipped else "Go back to a finite state."
    why = f"{first} is not finite; a weight of 0 does not help, because 0 * NaN is NaN. {then}"
    from_step = window.step if window.reference is None else window.reference.step
    return Finding(
        message,
        f"First in the flow of computation: {first} = {values[first]}. {_still_finite(window)}",
        _component_of(first, components),
        {"nonfinite": values},
        blame_broken(from_step, window.step, components) if components else None,
        advice.pause(window.schedule, why),
    )


def _component_of(series: str, components: list[str]) -> str | None:
    name = series.partition("/")[2]
    return name if series in (f"loss/{name}", f"contribution/{name}") and name in components else None


def _still_finite(window: Window) -> str:
    checked = window.live & (window.order < inf)
    before = [window.names[number] for number in np.flatnonzero(checked).tolist()]
    return (
        f"Still finite: {', '.join(before[:8])}{', ...' if len(before) > 8 else ''}."
        if before
        else "Nothing else is finite."
    )
