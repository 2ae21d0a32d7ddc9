"""The next declared stage will do something to the total that nobody can have meant.

Formula   u_k: usual raw loss, also of components whose weight is still 0; w+: the weights that the next stage leads to.
          T+ = sum of w+_k * u_k, jump J = T+ / T, share_k = |w+_k u_k| / sum of |w+_j u_j|   (outlook.py)
          warning   J > `jump_shown`, or a new component whose share is below `share_dead`, or one above what is
                    declared of its share or contribution
          critical  J > `jump` (a ramp over at least log J / log 1.02 steps only warns), or a new auxiliary component
                    whose share is above `share`, or `excess` times what is declared of it
          New: its weight grows more than 10 times. Auxiliary: its weight is not the largest of that stage.
          A step counts if the prediction also holds should all that fell during the last `look_back` samples fall as
          much again, or as much as there are steps until the stage. Younger rows count in the last tenth of the
          stage (500 steps at most).
Defaults  1.5 and 2; shares 0.5 and 1e-4; excess 5; 40 of 50 samples, 3 of 3 near the stage. Looks back 50 samples,
          so it speaks after about 90. Open until the stage starts or the prediction is below 1.3 and 0.4.
Source    the report: 2.2 + 0.01 * 700, J = 4.2 and share 0.76, known 9,850 steps before the stage. Reasoned, not
          measured.
False     a hand-over to another leading loss has no share limit; a raw loss that still falls is given time; a component
alarms    that is not evaluated, or negative, foretells nothing; a weight that a person has set is not the plan's.
Remedy    set_weight at the target share with the stage's weights, w' = X / (1 - X) * others / u_k: it holds from now
          on; or words: a ramp of N = ceil(log J / log 1.02) steps.
"""

from dataclasses import dataclass
from functools import partial
from math import ceil, inf, isfinite, log

import numpy as np

from lossguard.protocol import magnitudes
from lossguard.protocol.magnitudes import TARGET_SHARE, ramp_steps
from lossguard.protocol.messages import RampSpec
from lossguard.protocol.names import contribution, loss

from . import advice
from .base import Finding, Hits, Hold, Info, Memory, Rows, Rule, Severity, ascending, parameter
from .moment import Moment
from .outlook import Outlook, outlook
from .remedy import Remedy
from .schedule import Schedule, Stage
from .window import Floats, Mask, Window

NAME = "look_ahead"
INFO = Info(
    "R2",
    NAME,
    "The next stage will blow the total up",
    "contribution/<component> of the next stage",
    "T+ = sum of w+_k * usual raw loss; T+ / T > 2, or a new auxiliary component above half of T+",
    "the report: J = 4.2 and share 0.76, known 9,850 steps before the stage; reasoned, not measured",
    "a raw loss that still falls is given time, a new leading loss has no share limit, a long ramp only warns",
)
FAR, NEAR = Hold(40, 50), Hold(3, 3)
NEAR_STEPS, NEAR_PART = 500, 0.1  # the report: the last 10 % of the stage or 500 steps
# of a stage: after them the alert about its coming is resolved, and after those an alert about the next is a new one
SETTLE_ROWS, RENEW_ROWS = 25, 125


@dataclass(frozen=True)
class Parameters:
    """Jumps are of the total; shares are of what the total will be."""

    jump: float = parameter(
        magnitudes.JUMP, "a total that becomes so many times as large is critical", 1.01, 1e6, "times"
    )
    jump_shown: float = parameter(
        magnitudes.JUMP_SHOWN, "a total that becomes so many times as large is shown", 1.01, 1e6, "times"
    )
    share: float = parameter(magnitudes.SHARE, "the most that a new auxiliary component may hold", 0.01, 1.0)
    share_dead: float = parameter(magnitudes.SHARE_DEAD, "a new component that holds less does nothing", 0.0, 0.1)
    excess: float = parameter(5.0, "so many times its declared share or contribution is critical", 1.0, 1e6, "times")
    open_part: float = parameter(0.8, "an alert stays open above this part of its limits", 0.1, 1.0)
    look_back: float = parameter(50.0, "how far back a fall is looked for", 5.0, 1000.0, "samples", whole=True)
    target_share: float = parameter(TARGET_SHARE, "the share that the remedy aims at", 1e-6, 0.5)

    def __post_init__(self) -> None:
        ascending(self, "jump_shown", "jump")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge, one_per_run=True)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """One alert a run, about the component that will add most."""
    if not window.components.names or window.schedule.stage_after(int(window.steps.min())) is None:
        return []
    hits: list[Hits] = []
    for rows, stage, lasted in _parts(window, memory):
        ahead = outlook(window, rows, stage, int(parameters.look_back), memory)
        hits += _hits(window, ahead, lasted, parameters)
    return hits


def _parts(window: Window, memory: Memory) -> list[tuple[Rows, Stage, Rows]]:
    """Whole rows, stage by stage, with the stage that comes next and how many rows the row's own has had before."""
    rows = np.flatnonzero(window.whole)
    stages = window.stages[rows]
    parts = []
    for part in np.split(rows, np.flatnonzero(np.diff(stages)) + 1):
        if not len(part) or (coming := window.schedule.stage_after(int(window.steps[part[0]]))) is None:
            continue
        stage = int(window.stages[part[0]])
        lasted = memory["rows"] if memory.get("stage") == stage else 0
        memory["stage"], memory["rows"] = stage, lasted + len(part)
        parts.append((part, coming, np.arange(len(part)) + lasted))
    return parts


def _hits(window: Window, ahead: Outlook, lasted: Rows, parameters: Parameters) -> list[Hits]:
    with np.errstate(all="ignore"):
        shown, kept = _shown(ahead, ahead.jump, ahead.shares, parameters), _kept(ahead, parameters)
        if not (shown | kept).any():
            return []
        near = _near(window, ahead)
        jump, shares = ahead.fallen()
        young = near & np.isnan(jump)  # there is no time to wait for more
        jump, shares = np.where(young, ahead.jump, jump), np.where(young[:, None], ahead.shares, shares)
        critical = _critical(window, ahead, ahead.jump, ahead.shares, parameters)
        critical &= _critical(window, ahead, jump, shares, parameters)
        shown &= _shown(ahead, jump, shares, parameters)
        is_first = window.stages[ahead.rows[0]] <= 0  # no alert can have been open about the coming of that one
        settled = lasted >= np.where(near, SETTLE_ROWS, 0 if is_first else RENEW_ROWS)
    kept, critical = kept & settled, critical & settled
    shown &= settled & ~critical
    cause = _causes(ahead, parameters)
    found = []
    for k in np.unique(cause[kept | critical | shown]).tolist():
        for mask, severity, hold, sustains in (
            (critical & near, Severity.CRITICAL, NEAR, False),
            (critical & ~near, Severity.CRITICAL, FAR, False),
            (shown & near, Severity.WARNING, NEAR, False),
            (shown & ~near, Severity.WARNING, FAR, False),
            (kept & ~critical & ~shown, Severity.WARNING, FAR, True),
        ):
            rows = ahead.rows[mask & (cause == k)]
            if len(rows):
                explain = partial(_explain, window, ahead, parameters)
                found.append(Hits(contribution(ahead.names[k]), rows, severity, hold, explain, sustains))
    return found


def _critical(window: Window, ahead: Outlook, jump: Floats, shares: Floats, parameters: Parameters) -> Mask:
    """[n]"""
    is_known = np.isfinite(ahead.total)
    leaps = (jump > parameters.jump) & ~_is_ramped(window, ahead)
    minor = ahead.introduced & ahead.auxiliary & ahead.complete[:, None]
    takes_over = (minor & (shares > parameters.share)).any(axis=1)
    breaks = (ahead.complete[:, None] & (ahead.excess > parameters.excess) & np.isfinite(shares)).any(axis=1)
    return np.asarray(is_known & (leaps | takes_over | breaks))


def _shown(ahead: Outlook, jump: Floats, shares: Floats, parameters: Parameters) -> Mask:
    is_known = np.isfinite(ahead.total)
    minor = ahead.introduced & ahead.auxiliary & ahead.complete[:, None]
    takes_over = minor & (shares > parameters.share)
    breaks = ahead.complete[:, None] & (ahead.excess > 1.0) & np.isfinite(shares)
    return np.asarray(
        is_known
        & (
            (jump > min(parameters.jump_shown, parameters.jump))
            | (takes_over | breaks | _dead(ahead, shares, parameters)).any(axis=1)
        )
    )


def _kept(ahead: Outlook, parameters: Parameters) -> Mask:
    """[n]: nearly so, which keeps an alert open."""
    part = parameters.open_part
    minor = ahead.introduced & ahead.auxiliary & ahead.complete[:, None]
    over = (minor & (ahead.shares > part * parameters.share)) | (ahead.excess > part)
    leaps = ahead.jump > max(1.0, part * parameters.jump_shown)
    return np.asarray(np.isfinite(ahead.total) & (leaps | over.any(axis=1)))


def _dead(ahead: Outlook, shares: Floats, parameters: Parameters) -> Mask:
    """[n, K]: paid for, and nothing will come of it."""
    is_new = ahead.introduced & (ahead.after != 0) & ahead.complete[:, None]
    return np.asarray(is_new & (shares < parameters.share_dead))


def _is_ramped(window: Window, ahead: Outlook) -> Mask:
    """[n]: all that raises the total does so over a ramp that is long enough for it."""
    rises = _rises(ahead)
    return np.asarray(rises.any(axis=1) & (~rises | _slow(window, ahead)).all(axis=1))


def _rises(ahead: Outlook) -> Mask:
    """[n, K]: adds more to the total than before; so does a negative one that goes away."""
    return np.asarray(np.nan_to_num((ahead.after - ahead.before) * ahead.usual, nan=0.0) > 0)


def _slow(window: Window, ahead: Outlook) -> Mask:
    """[n, K]: its ramp is long enough for the jump."""
    planned = next(spec for spec in window.schedule.declaration.stages if spec.name == ahead.stage.name)
    with np.errstate(all="ignore"):
        needed = np.log(ahead.jump) / log(magnitudes.GROWTH_PER_STEP)
    weights = [planned.weights.get(name) for name in ahead.names]
    steps = np.array([weight.steps if isinstance(weight, RampSpec) else 0 for weight in weights])
    return np.asarray(steps >= needed[:, None])


def _near(window: Window, ahead: Outlook) -> Mask:
    """[n]: the stage is so close that what is known now is all that will be known."""
    steps = window.steps[ahead.rows]
    present = window.schedule.stage_at(int(steps[0]))
    length = ahead.stage.start - (window.first_step if present is None else present.start)
    return np.asarray(ahead.stage.start - steps <= min(NEAR_STEPS, ceil(NEAR_PART * length)))


def _causes(ahead: Outlook, parameters: Parameters) -> Floats:
    """[n]: the component that adds most; one that does nothing, where nothing is added."""
    growth = np.nan_to_num(ahead.growth, nan=0.0)
    with np.errstate(all="ignore"):
        dead = _dead(ahead, ahead.shares, parameters)
        quiet = ~(ahead.jump > parameters.jump_shown)
    only_dead = quiet & dead.any(axis=1) & ~(ahead.introduced & (ahead.shares > parameters.share)).any(axis=1)
    return np.asarray(np.where(only_dead, dead.argmax(axis=1), growth.argmax(axis=1)))


# -- words ------------------------------------------------------------------------------------------------------------


def _explain(window: Window, ahead: Outlook, parameters: Parameters, row: int) -> Finding:
    i = int(np.searchsorted(ahead.rows, row))
    moment, k = Moment(window, row), int(_causes(ahead, parameters)[i])
    name, raw, weight = ahead.names[k], float(ahead.usual[i, k]), float(ahead.after[i, k])
    total, predicted, jump = float(ahead.total[i]), float(ahead.predicted[i]), float(ahead.jump[i])
    share = float(ahead.shares[i, k])
    until = ahead.stage.start - moment.step
    low, high = _band(window, ahead, i)
    message = magnitudes.stage_text(ahead.stage.name, ahead.stage.start, total, predicted, name, share, raw, weight)
    sum_of = " + ".join(
        f"{ahead.after[i, j]:.3g} * {ahead.usual[i, j]:.4g}"
        for j in range(len(ahead.names))
        if ahead.after[i, j] != 0 and isfinite(ahead.usual[i, j])
    )
    text = (
        f"{sum_of} = {predicted:.4g}; / {total:.4g} = {jump:.3g} (between {low:.3g} and {high:.3g} at 3 spreads), "
        f"limit {parameters.jump:.3g}; share of {name} {share:.3g}, limit {parameters.share:.3g} for a new minor one."
    )
    remedy = _remedy(moment, ahead, i, k, parameters)
    numbers = {
        "stage": ahead.stage.name,
        "steps_until": until,
        "total": total,
        "predicted": predicted,
        "jump": jump,
        "jump_low": low,
        "jump_high": high,
        "shares": {n: float(s) for n, s in zip(ahead.names, ahead.shares[i], strict=True) if isfinite(s)},
        "raw": raw,
        "weight": weight,
        "ramp_steps": 0 if jump <= 1 else ramp_steps(jump),
    }
    words = [text, _ramp_words(window, ahead, i), _unlike_remedy(remedy, ahead)]
    if remedy is None and jump > parameters.jump_shown and moment.schedule.allows(advice.HOLDS_AND_RAMPS):
        remedy = advice.hold(moment.schedule, f"{ahead.stage.name!r} waits until its weights are settled.")
    return Finding(message, " ".join(word for word in words if word), name, numbers, remedy=remedy)


def _ramp_words(window: Window, ahead: Outlook, i: int) -> str:
    """The ramp of what raises the total most and is not planned to come slowly enough; empty where all is."""
    sudden = (_rises(ahead) & ~_slow(window, ahead))[i]
    if not sudden.any():
        return ""
    rise = (ahead.after[i] - ahead.before[i]) * ahead.usual[i]
    k = int(np.where(sudden, rise, -inf).argmax())
    before, after = float(ahead.before[i, k]), float(ahead.after[i, k])
    return magnitudes.ramp_text(ahead.names[k], before, after, float(ahead.jump[i]))


def _band(window: Window, ahead: Outlook, i: int) -> tuple[float, float]:
    """The jump if what changes were 3 spreads below or above its usual value."""
    ends = []
    for sign in (-3.0, 3.0):
        total = 0.0
        for k, name in enumerate(ahead.names):
            usual, after = float(ahead.usual[i, k]), float(ahead.after[i, k])
            if after == 0 or not isfinite(usual):
                continue
            scale = float(window.levels.scale[ahead.rows[i], window.index[loss(name)]])
            changes = after != float(ahead.before[i, k])
            total += after * usual * (np.exp(sign * scale) if changes else 1.0)
        ends.append(float(total / ahead.total[i]))
    return ends[0], ends[1]


def _remedy(moment: Moment, ahead: Outlook, i: int, k: int, parameters: Parameters) -> Remedy | None:
    """The weight that it should have in that stage, or that it has, if it is no new one; None for a leading loss, and
    for one that is small."""
    name, raw = ahead.names[k], float(ahead.usual[i, k])
    if name in moment.remedies:
        return moment.remedies[name]
    if not ahead.auxiliary[i, k] or not isfinite(raw) or ahead.shares[i, k] <= parameters.target_share:
        return None
    own = abs(float(ahead.after[i, k]) * raw)
    others = float(np.nansum(np.abs(ahead.after[i] * ahead.usual[i]))) - own
    weight = float(ahead.after[i, k])
    if ahead.introduced[i, k]:
        found = advice.to_share(moment.schedule, name, weight, raw, others, parameters.target_share)
    else:
        found = _kept_weight(moment.schedule, name, float(ahead.before[i, k]))
    if found is None:
        return None
    text = f"{found.text} It holds from now on, over the stages to come."
    return Remedy(found.kind, found.args, text)


def _kept_weight(schedule: Schedule, component: str, weight: float) -> Remedy | None:
    low, high = schedule.weight_bounds.get(component, (-inf, inf))
    if not schedule.allows("set_weight") or not low <= weight <= high:
        return None
    return Remedy(
        "set_weight", {"component": component, "value": weight}, f"Keep the weight of {component} at {weight:.3g}."
    )


def _unlike_remedy(remedy: Remedy | None, ahead: Outlook) -> str:
    return (
        "" if remedy is not None else f"Hold the run before stage {ahead.stage.name!r} until its weights are settled."
    )
