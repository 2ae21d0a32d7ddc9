"""Memory runs out: of a GPU, or of the host by this process; or it leaks and will.

Formula   GPU   used = peak, else allocated, of memory/<device>/..._gib; whole = memory/<device>/total_gib
          host  used = system/rss_gib; whole = used + system/host_free_gib
          warning   used / whole > 1 - `headroom`, 3 samples on end
          critical  > 1 - `headroom_critical`, while the median of 8 samples is 1 % of the whole above that of 32 before
          leak      the medians m1..m4 of the quarters of the last 64 samples rise, the least rise at least half of the
                    largest, by more than 2 spreads within the quarters and 2 % of the whole; critical where that line
                    reaches 97 % of the whole within `ahead` times the steps it was watched
Defaults  10 % and 4 %; ahead 2. Samples come every 5 s, so a leak is told after some five minutes; asked every 8.
Source    the report (10 %, 4 %, 97 %); reasoned, not measured.
False     a GPU that is filled on purpose, and stays so, is a warning only; what saturates (caches, the allocator) rises
alarms    less in the last quarter than in the first; every stage begins anew, as its components change the graph.
Remedy    words: a smaller batch, or the list that keeps tensors (a loss that is summed with its graph).
"""

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rows, Rule, Severity, parameter
from .moment import Moment
from .prefixes import numbered
from .window import CURVE, Counts, Floats, Mask, Window

NAME = "memory_headroom"
GPU, RESIDENT, HOST_FREE = "memory/", "system/rss_gib", "system/host_free_gib"
PEAK, ALLOCATED, WHOLE = "/peak_gib", "/allocated_gib", "/total_gib"
INFO = Info(
    "R19",
    NAME,
    "Memory runs out, or leaks",
    "memory/<device>/allocated_gib or peak_gib with total_gib, system/rss_gib with host_free_gib",
    "used / whole > 0.90; critical above 0.96 while it grows, and where its line reaches 0.97",
    "the report; reasoned, not measured",
    "memory that is filled and stays so only warns; growth that slows down is a cache; a new stage begins anew",
)
HOLD = Hold(3, 3)
ASK_EVERY = 8
GROWTH_ASKS = 5  # the newest median and that of four askings before
MAD_TO_SIGMA = 1.4826
QUARTER = CURVE // 4
FULL = 0.97
GREW, LEAKED = 0.01, 0.02  # of the whole
SPREADS = 2.0


@dataclass(frozen=True)
class Parameters:
    """Parts of the whole memory."""

    headroom: float = parameter(0.10, "less left than this is shown", 0.0, 0.9)
    headroom_critical: float = parameter(0.04, "less left than this, and growing, is critical", 0.0, 0.9)
    ahead: float = parameter(2.0, "how far a leak is foretold, in times the steps it was watched", 0.1, 100.0, "times")


@dataclass(frozen=True)
class _Leak:
    """A line that goes up: from where to where in GiB, over how many steps, and in how many it is full."""

    first_gib: float
    last_gib: float
    steps: int
    steps_left: float


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """About the series of what is used."""
    hits: list[Hits] = []
    for used, other in _pools(window, memory):
        rows = np.flatnonzero(window.live[:, used] & window.live[:, other])
        if len(rows):
            hits += _judge_pool(window, used, other, rows, parameters, memory)
    return hits


def _pools(window: Window, memory: Memory) -> list[tuple[int, int]]:
    """The number of what is used, and of the whole or of what is free, of each memory that is known."""
    pools = []
    known = numbered(window, memory, GPU)
    for name, number in known.items():
        device = name.removesuffix(WHOLE)
        used = known.get(device + PEAK, known.get(device + ALLOCATED))
        if name.endswith(WHOLE) and used is not None:
            pools.append((used, number))
    resident, free = window.number(RESIDENT), window.number(HOST_FREE)
    if resident is not None and free is not None:
        pools.append((resident, free))
    return pools


def _judge_pool(
    window: Window, used: int, other: int, rows: Rows, parameters: Parameters, memory: Memory
) -> list[Hits]:
    series = window.names[used]
    gib, whole_gib = window.values[rows, used], window.values[rows, other]
    if series == RESIDENT:
        whole_gib = gib + whole_gib
    is_there = whole_gib > 0  # a device that says it has no memory says nothing of it
    if not is_there.any():
        return []
    rows, gib, whole_gib = rows[is_there], gib[is_there], whole_gib[is_there]
    with np.errstate(all="ignore"):
        parts = gib / whole_gib
    grows, leaks = _asked(window, used, rows, whole_gib, parameters, memory.setdefault(f"pool {series}", _fresh(-2)))
    leaking = np.array([leak is not None for leak in leaks])
    critical = (parts > 1 - parameters.headroom_critical) & grows & ~leaking
    shown = (parts > 1 - parameters.headroom) & ~critical & ~leaking
    explain = partial(_explain, window, series, rows, whole_gib, leaks, parameters)
    found = []
    for mask, severity, hold in (
        (leaking, Severity.CRITICAL, AT_ONCE),
        (critical, Severity.CRITICAL, HOLD),
        (shown, Severity.WARNING, HOLD),
    ):
        if mask.any():
            found.append(Hits(series, rows[mask], severity, hold, explain))
    return found


def _fresh(stage: int) -> Memory:
    return {"stage": stage, "count": 0, "medians": [], "grows": False, "leak": None}


def _asked(
    window: Window, used: int, rows: Rows, whole_gib: Floats, parameters: Parameters, state: Memory
) -> tuple[Mask, list[_Leak | None]]:
    """[n] each: whether it grows, and the leak; what was found at one asking holds until the next."""
    grows, leaks = np.zeros(len(rows), np.bool_), list[_Leak | None]()
    stages = window.stages[rows].tolist()
    samples = None
    for i, row in enumerate(rows.tolist()):
        if stages[i] != state["stage"]:
            state.update(_fresh(stages[i]))
        state["count"] += 1
        if state["count"] % ASK_EVERY == 0:
            samples = samples or window.samples(used)
            end = int(np.searchsorted(samples.row, row, side="right"))
            steps, values = samples.steps[:end][-CURVE:], samples.values[:end][-CURVE:]
            _ask(steps, values, float(whole_gib[i]), parameters, state)
        grows[i] = state["grows"]
        leaks.append(None if state["leak"] is None else _Leak(**state["leak"]))
    return grows, leaks


def _ask(steps: Counts, values: Floats, whole_gib: float, parameters: Parameters, state: Memory) -> None:
    medians: list[float] = state["medians"]
    medians.append(float(np.median(values[-ASK_EVERY:])))
    del medians[:-GROWTH_ASKS]
    state["grows"] = len(medians) > 1 and medians[-1] - medians[0] > GREW * whole_gib
    leak = leak_of(steps, values, whole_gib, parameters.ahead) if state["count"] >= CURVE else None
    state["leak"] = None if leak is None else asdict(leak)


def leak_of(steps: Counts, values: Floats, whole_gib: float, ahead: float) -> _Leak | None:
    """A line through 64 samples that goes up steadily, and fills the whole within `ahead` times its steps."""
    if len(values) < CURVE or not np.isfinite(values).all():
        return None
    quarters = values.reshape(4, QUARTER)
    medians = np.median(quarters, axis=1)
    rises = np.diff(medians)
    spread = float(np.median(np.abs(quarters - medians[:, None]))) * MAD_TO_SIGMA
    growth = float(medians[-1] - medians[0])
    if rises.min() <= 0 or rises.min() < rises.max() / 2 or growth < max(SPREADS * spread, LEAKED * whole_gib):
        return None
    middles = np.median(steps.reshape(4, QUARTER), axis=1)
    watched = int(steps[-1] - steps[0])
    # in this order, because growth / steps may be 0
    steps_left = (FULL * whole_gib - float(medians[-1])) * max(float(middles[-1] - middles[0]), 1.0) / growth
    return _Leak(float(medians[0]), float(medians[-1]), watched, steps_left) if steps_left < ahead * watched else None


def _explain(
    window: Window,
    series: str,
    rows: Rows,
    whole_gib: Floats,
    leaks: list[_Leak | None],
    parameters: Parameters,
    row: int,
) -> Finding:
    i, moment = int(np.searchsorted(rows, row)), Moment(window, row)
    used_gib, all_gib, leak = moment.value(series) or 0.0, float(whole_gib[i]), leaks[i]
    of = "the host's memory" if series == RESIDENT else f"the memory of {series.removeprefix(GPU).rpartition('/')[0]}"
    numbers = {"used_gib": used_gib, "whole_gib": all_gib, "part": used_gib / all_gib}
    if leak is None:
        message = (
            f"{100 * used_gib / all_gib:.0f} % of {of} is used at step {moment.step}: {used_gib:.3g} of "
            f"{all_gib:.3g} GiB."
        )
        text = (
            f"{used_gib:.4g} / {all_gib:.4g} = {used_gib / all_gib:.3f}, limits {1 - parameters.headroom:.2f} and, "
            f"while it grows, {1 - parameters.headroom_critical:.2f}. A smaller batch, or fewer workers on the host."
        )
        return Finding(message, text, None, numbers)
    left = round(max(leak.steps_left, 0.0))
    message = (
        f"{of[0].upper()}{of[1:]} leaks: from {leak.first_gib:.3g} to {leak.last_gib:.3g} GiB in {leak.steps} steps. "
        f"It is full in about {left} steps."
    )
    text = (
        f"Four medians of {QUARTER} samples rise evenly; the line reaches {FULL} * {all_gib:.4g} GiB after {left}. "
        f"Look for what keeps tensors over steps: a loss that is summed with its graph, a list, a cache."
    )
    return Finding(message, text, None, {**numbers, "steps_left": left})
