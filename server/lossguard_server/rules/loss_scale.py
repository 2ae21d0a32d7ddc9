"""The loss scale falls: gradients overflow in half precision, more often than a scaler's search explains.

Formula   a halving is a fall of loss_scale by a factor of 2 (several at once count as several)
          warning   `shown` halvings within 20 steps, after the first 200 samples
          critical  `halvings` within 50 steps; a scale of at most `least_scale` that was higher; more than
                    `skipped_part` of the last 200 updates skipped, after the first 50 samples
          What falls in the first 50 samples is the scaler's search, and counts for nothing of this. It begins anew
          where the scale jumps up by more than a doubling: a resumed run searches again.
Defaults  2 in 20, 4 in 50, 16, 5 %. torch's scaler begins at 65,536, halves at an overflow, doubles after 2,000 steps.
Source    GLM-130B: the scale fell drastically 30 steps before the loss exploded. Overflows in the first iterations are
          normal (the scale calibrates down).
False     the first 50 samples (200 for a warning) are the search; a scale that is always small (disabled, bfloat16) has
alarms    not fallen; one overflow in 2,000 steps is the scaler at work.
Remedy    a rollback where the script allows one; words: a lower learning rate, bfloat16, the component that overflows.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from lossguard.protocol.names import LOSS_SCALE, SKIPPED

from . import advice
from .base import AT_ONCE, Finding, Hits, Info, Memory, Rows, Rule, Severity, parameter
from .moment import Moment
from .window import Counts, Floats, Mask, Window

NAME = "loss_scale"
INFO = Info(
    "R16",
    NAME,
    "The loss scale falls",
    "loss_scale, skipped",
    "4 halvings in 50 steps, a scale of 16 or less that was higher, or more than 5 % of 200 updates skipped",
    "GLM-130B: the scale fell 30 steps before the loss exploded",
    "the scaler's first search and that of a resumed run do not count, nor does a scale that was always small",
    warm_up=50,
)
SHORT_STEPS, LONG_STEPS = 20, 50
SEARCH_SAMPLES, YOUNG_SAMPLES = 50, 200
SKIPS_OF = 200  # updates
RESTART = 2.5  # times: more than a doubling


@dataclass(frozen=True)
class Parameters:
    """Of a GradScaler's scale, and of the updates that it leaves out."""

    shown: float = parameter(2.0, "so many halvings within 20 steps are shown", 1.0, 20.0, whole=True)
    halvings: float = parameter(4.0, "so many halvings within 50 steps are critical", 1.0, 50.0, whole=True)
    least_scale: float = parameter(16.0, "a scale that has fallen to this has no room left", 0.0, 65536.0)
    skipped_part: float = parameter(0.05, "so many of the last 200 updates may be skipped", 0.001, 1.0)


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


@dataclass(frozen=True)
class _Scales:
    """[n] rows with a scale."""

    rows: Rows
    values: Floats
    age: Counts  # samples since the search began
    short: Counts  # halvings within 20 steps
    long: Counts  # ... within 50
    highest: Floats  # since the search was over; 0 before


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """About loss_scale; about skipped, where too many are."""
    number = window.number(LOSS_SCALE)
    if number is None or not (rows := np.flatnonzero(window.live[:, number])).size:
        return []
    scales = _followed(window, number, rows, memory)
    old = scales.age > SEARCH_SAMPLES
    low = (scales.values <= parameters.least_scale) & (scales.highest > 2 * parameters.least_scale)
    critical = old & ((scales.long >= parameters.halvings) | low)
    shown = ~critical & (scales.age > YOUNG_SAMPLES) & (scales.short >= parameters.shown)
    hits = []
    for mask, severity in ((critical, Severity.CRITICAL), (shown, Severity.WARNING)):
        if mask.any():
            explain = partial(_explain, window, scales, parameters)
            hits.append(Hits(LOSS_SCALE, rows[mask], severity, AT_ONCE, explain))
    return hits + _skips(window, scales, old, parameters, memory)


def _followed(window: Window, number: int, rows: Rows, memory: Memory) -> _Scales:
    values, steps = window.values[rows, number], window.steps[rows]
    before = np.concatenate([[memory.get("scale", values[0])], values[:-1]])
    last_step = np.concatenate([[memory.get("step", steps[0])], steps[:-1]])
    with np.errstate(all="ignore"):
        falls = np.nan_to_num(np.log2(before / values), nan=0.0, posinf=0.0, neginf=0.0)
        restarts = values > RESTART * before
    age, highest = _since(values, restarts, memory)
    counts = (steps - last_step <= LONG_STEPS) & (age > SEARCH_SAMPLES)
    halvings = np.where(counts, np.maximum(np.round(falls), 0), 0).astype(np.int64)
    events, sums = _events(steps, halvings, memory)
    memory["scale"], memory["step"] = float(values[-1]), int(steps[-1])
    memory["age"], memory["highest"] = int(age[-1]), float(highest[-1])
    within = [_within(events, sums, steps, span) for span in (SHORT_STEPS, LONG_STEPS)]
    return _Scales(rows, values, age, within[0], within[1], highest)


def _since(values: Floats, restarts: Mask, memory: Memory) -> tuple[Counts, Floats]:
    """[n]: samples since the search began, and the highest scale since it was over."""
    position = np.arange(len(values))
    begun = np.maximum.accumulate(np.where(restarts, position, -1))
    age = np.where(begun >= 0, position - begun + 1, memory.get("age", 0) + 1 + position)
    highest, found = np.empty(len(values)), np.where(age > SEARCH_SAMPLES, values, 0.0)
    starts = np.unique(np.concatenate([[0], np.flatnonzero(restarts), [len(values)]]))
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        first = 0.0 if restarts[start] else memory.get("highest", 0.0)
        highest[start:end] = np.maximum.accumulate(np.maximum(found[start:end], first))
    return age, highest


def _events(steps: Counts, halvings: Counts, memory: Memory) -> tuple[Counts, Counts]:
    """The steps at which the scale was halved within the last 50 and here, and how often up to each."""
    known_steps, known = memory.get("halved_at", steps[:0]), memory.get("halved", halvings[:0])
    some = halvings > 0
    at, many = np.concatenate([known_steps, steps[some]]), np.concatenate([known, halvings[some]])
    keep = at > int(steps[-1]) - LONG_STEPS
    memory["halved_at"], memory["halved"] = at[keep], many[keep]
    return at, np.cumsum(many)


def _within(events: Counts, counts: Counts, steps: Counts, span: int) -> Counts:
    """[n]: halvings in the last `span` steps."""
    sums = np.concatenate([[0], counts])
    up_to, before = np.searchsorted(events, steps, "right"), np.searchsorted(events, steps - span, "right")
    return np.asarray(sums[up_to] - sums[before])


def _skips(window: Window, scales: _Scales, old: Mask, parameters: Parameters, memory: Memory) -> list[Hits]:
    number = window.number(SKIPPED)
    if number is None:
        return []
    counts = window.live[scales.rows, number] & old
    rows = scales.rows[counts]
    known = memory.get("skips", np.zeros(0, np.int64))
    skips = np.concatenate([known, (window.values[rows, number] > 0).astype(np.int64)])
    memory["skips"] = skips[-SKIPS_OF:].copy()
    if not skips.any():
        return []
    sums = np.concatenate([np.zeros(SKIPS_OF, np.int64), np.cumsum(skips)])
    recent = (sums[SKIPS_OF:] - sums[:-SKIPS_OF])[len(known) :]
    over = (recent > parameters.skipped_part * SKIPS_OF) & (skips[len(known) :] > 0)
    kept = (recent > parameters.skipped_part * SKIPS_OF) & ~over
    explain = partial(_explain_skips, window, rows, recent, parameters)
    found = []
    for mask, sustains in ((over, False), (kept, True)):
        if mask.any():
            found.append(Hits(SKIPPED, rows[mask], Severity.CRITICAL, AT_ONCE, explain, sustains))
    return found


# -- words ------------------------------------------------------------------------------------------------------------

_ADVICE = "A lower learning rate, bfloat16, or the component whose gradients overflow are where to look."


def _explain(window: Window, scales: _Scales, parameters: Parameters, row: int) -> Finding:
    i = int(np.searchsorted(scales.rows, row))
    scale, highest = float(scales.values[i]), float(scales.highest[i])
    moment = Moment(window, row)
    if scales.long[i] >= parameters.halvings:
        what = f"was halved {scales.long[i]} times within {LONG_STEPS} steps"
    elif scales.short[i] >= parameters.shown and scale > parameters.least_scale:
        what = f"was halved {scales.short[i]} times within {SHORT_STEPS} steps"
    else:
        what = f"has fallen from {highest:.6g}"
    message = f"The loss scale {what}; it is {scale:.6g} at step {moment.step}: gradients overflow in half precision."
    text = (
        f"{scales.short[i]} halvings in {SHORT_STEPS} steps (limit {parameters.shown:.0f}), {scales.long[i]} in "
        f"{LONG_STEPS} (limit {parameters.halvings:.0f}), scale {scale:.6g} (limit {parameters.least_scale:.6g}). "
        f"{_ADVICE}"
    )
    numbers = {"scale": scale, "highest": highest, "halvings": int(scales.long[i])}
    return Finding(
        message, text, None, numbers, remedy=advice.rollback(moment.schedule, "gradients overflow again and again.")
    )


def _explain_skips(
    window: Window, rows: Rows, recent: npt.NDArray[np.int64], parameters: Parameters, row: int
) -> Finding:
    count, moment = int(recent[np.searchsorted(rows, row)]), Moment(window, row)
    message = (
        f"{count} of the last {SKIPS_OF} updates were skipped at step {moment.step}: gradients overflow, and again."
    )
    text = f"{count} / {SKIPS_OF} = {count / SKIPS_OF:.3f} > {parameters.skipped_part}. {_ADVICE}"
    remedy = advice.rollback(moment.schedule, "gradients overflow again and again.")
    return Finding(message, text, None, {"skipped": count, "of": SKIPS_OF}, remedy=remedy)
