"""Steps take longer than they did, and go on doing so.

Formula   step times in blocks of 21 samples, the median m of each; in logs, base += 0.1 (m - base) below it, 0.01
          above, which is about the 20th percentile of the medians
          warning   m > `factor` * base for at least 60 s, 50 steps and 2 blocks on end
          critical  m > `factor_critical` * base for as long
          cause     the loader, where waiting for it grew by at least half of what the step grew by
Defaults  1.2 and 2, 60 s, 50 steps. The first block (compilation, caches) does not count, the next three set the base;
          so again in every stage, whose components may cost more. Open while m > 1.1 * base.
Source    NVRx calls a GPU a straggler at a score of 0.75, that is 1.33 times; reasoned, not measured.
False     a median of 21 does not see evaluations and checkpoints (at most 10 of 21 steps); seconds are counted from the
alarms    step times themselves, so no clock is read. A step that never ends has no row: the data's age tells of it.
Remedy    words: the loader, or the machine.
"""

from dataclasses import dataclass
from functools import partial
from math import exp, log
from typing import Any

import numpy as np

from .base import AT_ONCE, Finding, Hits, Info, Memory, Rows, Rule, Severity, ascending, parameter
from .moment import Moment
from .window import Floats, Window

NAME = "throughput"
STEP_TIME, DATA_WAIT = "step_time_s", "data_wait_s"
INFO = Info(
    "R18",
    NAME,
    "Steps take longer than they did",
    "step_time_s, data_wait_s",
    "median of 21 step times > 1.2 times its base for 60 s and 50 steps; critical above 2 times",
    "NVRx: a straggler at 1.33 times; reasoned, not measured",
    "a median does not see evaluations and checkpoints; a new stage sets a new base",
    warm_up=84,
)
BLOCK, SKIPPED_BLOCKS, BASE_BLOCKS, SLOW_BLOCKS = 21, 1, 3, 2
LEAST_S, MOST_S = 1e-12, 1e12  # no clock measures others, and their quotients are no floats
DOWN, UP = 0.1, 0.01
QUIET, KEPT, SHOWN, CRITICAL = range(4)


@dataclass(frozen=True)
class Parameters:
    """Of the time of a step against its base."""

    factor: float = parameter(1.2, "a step that takes so many times its base is shown", 1.01, 100.0, "times")
    factor_critical: float = parameter(2.0, "... and so many times is critical", 1.01, 1000.0, "times")
    factor_open: float = parameter(1.1, "an alert stays open above it", 1.0, 100.0, "times")
    seconds: float = parameter(60.0, "for at least so long", 0.0, 86400.0, "s")
    steps: float = parameter(50.0, "... and so many steps", 0.0, 1e6, "steps", whole=True)

    def __post_init__(self) -> None:
        ascending(self, "factor_open", "factor", "factor_critical")


@dataclass(frozen=True)
class _Said:
    """What a full block says; it holds until the next one is full."""

    verdict: int
    median_s: float
    base_s: float
    wait_s: float
    base_wait_s: float
    slow_s: float
    slow_steps: int


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """About step_time_s."""
    number = window.number(STEP_TIME)
    if number is None:
        return []
    times = window.values[:, number]
    rows = np.flatnonzero(window.live[:, number] & (times > LEAST_S) & (times < MOST_S))
    if not len(rows):
        return []
    stages = window.stages[rows]
    hits: list[Hits] = []
    for part in np.split(rows, np.flatnonzero(np.diff(stages)) + 1):
        stage = int(window.stages[part[0]])
        if memory.get("stage") != stage:
            memory.clear()
            memory.update(_fresh(stage, int(window.steps[part[0]]) - 1))
        for some, said in _blocks(window, number, part, parameters, memory):
            if said is not None and said.verdict != QUIET:
                severity = Severity.CRITICAL if said.verdict == CRITICAL else Severity.WARNING
                explain = partial(_explain, window, said, parameters)
                hits.append(Hits(STEP_TIME, some, severity, AT_ONCE, explain, sustains=said.verdict == KEPT))
    return hits


def _fresh(stage: int, before: int) -> Memory:
    """What is known of a stage before its first row; `before`: the step before it."""
    nothing: Memory = {"times": np.zeros(0), "waits": np.zeros(0), "blocks": 0, "firsts": [], "said": None}
    tally = {"slow": [0, 0.0, 0], "very": [0, 0.0, 0]}  # blocks, seconds, steps on end
    return {"stage": stage, "last_step": before, "base": None, "base_wait_s": 0.0, **nothing, **tally}


def _blocks(
    window: Window, number: int, rows: Rows, parameters: Parameters, memory: Memory
) -> list[tuple[Rows, _Said | None]]:
    """The rows, cut where a block is full, with what is said of them: by the block that was full before, or there."""
    times = np.concatenate([memory["times"], window.values[rows, number]])
    waits = np.concatenate([memory["waits"], _waits(window, rows)])
    kept, full = len(memory["times"]), len(times) // BLOCK
    medians = np.median(times[: full * BLOCK].reshape(full, BLOCK), axis=1)
    median_waits = np.median(waits[: full * BLOCK].reshape(full, BLOCK), axis=1)
    parts, start = [], 0
    for block in range(full):
        last = (block + 1) * BLOCK - 1 - kept
        parts.append((rows[start:last], _said(memory)))
        _take(float(medians[block]), float(median_waits[block]), int(window.steps[rows[last]]), parameters, memory)
        start = last
    parts.append((rows[start:], _said(memory)))
    memory["times"], memory["waits"] = times[full * BLOCK :].copy(), waits[full * BLOCK :].copy()
    return [(some, said) for some, said in parts if len(some)]


def _waits(window: Window, rows: Rows) -> Floats:
    number = window.number(DATA_WAIT)
    if number is None:
        return np.zeros(len(rows))
    return np.asarray(np.nan_to_num(window.values[rows, number], nan=0.0, posinf=0.0, neginf=0.0))


def _said(memory: Memory) -> _Said | None:
    return None if memory["said"] is None else _Said(**memory["said"])


def _take(median_s: float, wait_s: float, step: int, parameters: Parameters, memory: Memory) -> None:
    """A block is full."""
    steps = max(step - memory["last_step"], 1)
    memory["last_step"], memory["blocks"] = step, memory["blocks"] + 1
    if memory["blocks"] <= SKIPPED_BLOCKS:
        return
    if memory["base"] is None:
        memory["firsts"].append([median_s, wait_s])
        if len(memory["firsts"]) == BASE_BLOCKS:
            memory["base"], memory["base_wait_s"] = np.median(np.array(memory["firsts"]), axis=0).tolist()
        return
    base_s = float(memory["base"])
    slow = _tally(memory["slow"], median_s > parameters.factor * base_s, median_s * steps, steps)
    very = _tally(memory["very"], median_s > parameters.factor_critical * base_s, median_s * steps, steps)
    verdict = CRITICAL if _lasts(very, parameters) else SHOWN if _lasts(slow, parameters) else QUIET
    if verdict == QUIET and median_s > parameters.factor_open * base_s:
        verdict = KEPT
    said: dict[str, Any] = {"verdict": verdict, "median_s": median_s, "base_s": base_s, "wait_s": wait_s}
    memory["said"] = {**said, "base_wait_s": memory["base_wait_s"], "slow_s": slow[1], "slow_steps": slow[2]}
    away = log(median_s / base_s)
    memory["base"] = base_s * exp((DOWN if away < 0 else UP) * away)
    if away < log(parameters.factor_open):
        memory["base_wait_s"] += DOWN * (wait_s - memory["base_wait_s"])


def _tally(tally: list[Any], is_slow: bool, seconds: float, steps: int) -> list[Any]:
    """Blocks, seconds and steps on end, with this block."""
    tally[:] = [tally[0] + 1, tally[1] + seconds, tally[2] + steps] if is_slow else [0, 0.0, 0]
    return tally


def _lasts(tally: list[Any], parameters: Parameters) -> bool:
    blocks, seconds, steps = tally
    return bool(blocks >= SLOW_BLOCKS and seconds >= parameters.seconds and steps >= parameters.steps)


def _explain(window: Window, said: _Said, parameters: Parameters, row: int) -> Finding:
    step, factor = Moment(window, row).step, said.median_s / said.base_s
    longer_s, waiting_s = said.median_s - said.base_s, said.wait_s - said.base_wait_s
    message = (
        f"A step takes {said.median_s:.3g} s at step {step}, {factor:.2g} times the {said.base_s:.3g} s of before."
    )
    by_loader = longer_s > 0 and waiting_s >= longer_s / 2
    if by_loader:
        message += f" It waits {said.wait_s:.3g} s of that for the loader, which was {said.base_wait_s:.3g} s."
    cause = (
        "The loader cannot keep up: its workers, the disk or the network."
        if by_loader
        else "The loader is not the cause: a slower or throttled GPU, another process on it, or more work a step."
    )
    text = (
        f"median of {BLOCK} steps {said.median_s:.4g} s / base {said.base_s:.4g} s = {factor:.2f}, limits "
        f"{parameters.factor} and {parameters.factor_critical}, for {said.slow_s:.0f} s and {said.slow_steps} steps. "
        f"{cause}"
    )
    numbers = {"step_time_s": said.median_s, "base_s": said.base_s, "factor": factor, "data_wait_s": said.wait_s}
    return Finding(message, text, None, numbers | {"cause": "data" if by_loader else "machine"})
