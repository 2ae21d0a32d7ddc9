"""Something that must be a number is NaN or infinite.

Formula   a finite test of every loss, contribution, gradient norm and matrix norm. No warm-up, no hold.
Who       the first in the flow of computation is named, the others are listed:
          matrices -> raw components -> contributions -> total -> gradients by group -> gradient norm.
          What is still finite is told in the same order: NaN gradients behind a finite loss of 1e24 come from the loss.
Defaults  one alert in a run: what turns NaN at the next step has the same cause.
Source    Keras TerminateOnNaN and SageMaker ExplodingTensor look at the loss alone, so they cannot say where it began.
False     none by construction in float32 and bfloat16. A float16 GradScaler probes infinity on purpose: where the row
alarms    has a `loss_scale`, was `skipped`, and all before the gradients is finite, their norms are left out, for at
          most 30 such rows in a row: no scale mends what comes after them.
Trips     a `trip` event that names nothing of what is tested means the model's buffers (running statistics): no row
          shows them, so the event itself is the finding, about the series `buffers`.
Remedy    pause. Not weight 0: 0 * NaN is NaN, the component would go on poisoning the total. Where the row says that it
          was skipped, the weights are as before, and nobody needs to go back; else a rollback is in the words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isinf
from typing import Any

import numpy as np

from lossguard.protocol.names import EVALUATED

from . import advice
from .base import AT_ONCE, Finding, Hits, Info, Memory, Rule, Severity, parameter
from .blame import blame_broken
from .memory import order_of
from .moment import Moment
from .schedule import Schedule
from .window import GRADIENT_ORDER, Mask, Window

NAME = "nonfinite"
INFO = Info(
    "R0",
    NAME,
    "Not a number",
    "losses, contributions, gradient norms, matrix norms, and the model's buffers by trips",
    "x is NaN or infinite; the first in the flow of computation is named",
    "Keras TerminateOnNaN, SageMaker ExplodingTensor; the order is our own",
    "a GradScaler's probes are left out, and nothing else is infinite in a healthy run",
)
TEXT_CHARS = 1_000  # of the sentence that a trip brings
KEPT_OUT = "The guard kept this update out of the weights."


@dataclass(frozen=True)
class Parameters:
    """How it tells."""

    list_max: float = parameter(
        8.0, "how many series the message names before it counts the rest", low=1, high=1000, whole=True
    )


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge, one_per_run=True, judge_trip=judge_trip)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Rows with something that is not finite, by the series that comes first in each."""
    broken = window.fresh & ~window.live
    if not broken.any():
        return []
    broken &= tested(window)
    rows = np.flatnonzero(broken.any(axis=1))
    first = np.where(broken[rows], window.order, inf).argmin(axis=1)
    return [
        Hits(
            window.names[number],
            rows[first == number],
            Severity.CRITICAL,
            AT_ONCE,
            partial(_explain, window, broken, parameters),
        )
        for number in np.unique(first).tolist()
    ]


def tested(window: Window) -> Mask:
    """[T, S]: what must be finite in each row."""
    limit = np.where(window.probe, GRADIENT_ORDER, inf)
    return np.asarray(window.order < limit[:, None])


def judge_trip(step: int, data: Mapping[str, Any], schedule: Schedule) -> Finding | None:
    """About another rank, and about the buffers, where no series names what `judge` tests; else its row says it."""
    if type(rank := data.get("rank")) is int:
        return _of_rank(step, rank, schedule)
    series = data.get("series")
    names = [name for name in series if isinstance(name, str)] if isinstance(series, list | tuple) else []
    if step < 0 or not names or not all(isinf(order_of(name)) for name in names):
        return None
    said, is_skipped = data.get("text"), data.get("action") == "skipped"
    message = said[:TEXT_CHARS] if isinstance(said, str) and said else f"A buffer is not finite at step {step}."
    then = f"{KEPT_OUT} Look at the batch." if is_skipped else "Go back to a finite state."
    why = f"what the model keeps in its buffers is not finite. {then}"
    text = f"Losses and gradient norms are finite; what the forward pass wrote into a buffer is not. {then}"
    return Finding(message, text, remedy=advice.pause(schedule, why))


def _of_rank(step: int, rank: int, schedule: Schedule) -> Finding:
    why = f"rank {rank} has values that are not finite. Look at its batches, or go back to a finite state."
    text = (
        "Rank 0, which the charts show, has none: the ranks do not share their gradients, or only its own loss broke."
    )
    return Finding(f"Rank {rank} is not finite by step {step}.", text, remedy=advice.pause(schedule, why))


def _explain(window: Window, broken: Mask, parameters: Parameters, row: int) -> Finding:
    moment = Moment(window, row)
    numbers = np.flatnonzero(broken[row])
    ordered = numbers[np.argsort(window.order[numbers], kind="stable")].tolist()
    values = {window.names[number]: float(window.values[row, number]) for number in ordered}
    known = moment.components.names
    components = [name for name in known if f"loss/{name}" in values or f"contribution/{name}" in values]
    first, *others = values
    shown = int(parameters.list_max)
    listed = ", ".join(others[:shown]) + (f" and {len(others) - shown} more" if len(others) > shown else "")
    message = f"{first} is {values[first]} at step {moment.step}" + (f"; then {listed}." if others else ".")
    then = f"{KEPT_OUT} Look at the batch." if moment.is_skipped else "Go back to a finite state."
    why = f"{first} is not finite; a weight of 0 does not help, because 0 * NaN is NaN. {then}"
    from_step = moment.step if moment.reference is None else moment.reference.step
    return Finding(
        f"{message} {KEPT_OUT}" if moment.is_skipped else message,
        f"First in the flow of computation: {first} = {values[first]}. {_still_finite(moment)}",
        _component_of(first, known),
        {"nonfinite": values},
        blame_broken(from_step, moment.step, components) if components else None,
        advice.pause(moment.schedule, why),
    )


def _component_of(series: str, components: Sequence[str]) -> str | None:
    kind, _, name = series.removeprefix(EVALUATED).partition("/")
    return name if kind in ("loss", "contribution") and name in components else None


def _still_finite(moment: Moment) -> str:
    """What the row carries that is finite, in the flow of computation, with its values."""
    order = moment.window.order
    numbers = np.flatnonzero(moment.live & (order < inf))
    if not len(numbers):
        return "Nothing else is finite."
    ordered = numbers[np.argsort(order[numbers], kind="stable")].tolist()
    listed = ", ".join(f"{moment.names[number]} {moment.values[number]:.3g}" for number in ordered[:8])
    return f"Still finite: {listed}{', ...' if len(ordered) > 8 else ''}."
