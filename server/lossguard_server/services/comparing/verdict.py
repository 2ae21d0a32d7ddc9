"""The table of a comparison: a row a question, a cell a run, and who wins it.

Rules of this file:
- Pure. A row names its winners: those that cannot be told from the best one; all of them: equal within noise. It says
  why, with the numbers.
- Two values are the same when they differ by less than SIGMAS of their joint standard error, or by less than the row's
  own floor: a difference that nobody would act on is no win.
- A value that is not finite loses against any that is; one that is missing takes no part.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lossguard.protocol import names as series_names

from .measured import MEMORY_KINDS, Broken, Final, Measured, is_higher_better
from .saying import listed, number, percent, times

SIGMAS = 3.0
RESULT_FLOOR = 0.01  # of the better one's value
SPEED_FLOOR = 0.05  # a shared machine is that uneven
MEMORY_FLOOR = 0.02
ROUGHNESS_FLOOR = 0.1
MEMORY_TITLES: Mapping[str, str] = {
    "peak_gib": "peak memory of a device",
    "allocated_gib": "memory of a device, the most allocated",
    "rss_gib": "memory of the process, the most",
}


@dataclass(frozen=True)
class Cell:
    """One run's answer: `value` None: it has none; `error`: its standard error, 0 where it is exact."""

    run: str
    value: float | None
    text: str
    detail: str = ""
    error: float = 0.0


@dataclass(frozen=True)
class Row:
    """One question. `winners`: ids; empty where nothing can be said. `is_equal`: nobody wins."""

    key: str
    title: str
    unit: str
    better: str  # "higher" or "lower"
    cells: tuple[Cell, ...]
    winners: tuple[str, ...]
    why: str

    @property
    def is_equal(self) -> bool:
        return len(self.winners) > 1 and len(self.winners) == sum(cell.value is not None for cell in self.cells)

    def cell(self, run: str) -> Cell:
        return next(cell for cell in self.cells if cell.run == run)

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        return {
            "key": self.key,
            "title": self.title,
            "unit": self.unit,
            "better": self.better,
            "cells": [
                {"run": cell.run, "value": cell.value, "text": cell.text, "detail": cell.detail} for cell in self.cells
            ],
            "winners": list(self.winners),
            "equal": self.is_equal,
            "why": self.why,
        }


Same = Callable[[Cell, Cell], bool]


def verdict(runs: Sequence[Measured], common_end: int) -> list[Row]:
    """Every row that at least one run has a value for. `common_end`: the last step that all of them have."""
    rows = [*_results(runs, common_end), _broken(runs), _spikes(runs), _roughness(runs), _speed(runs)]
    rows += [_memory(runs), _alerts(runs), _interventions(runs)]
    return [row for row in rows if any(cell.value is not None for cell in row.cells)]


def wins(row: Row, one: str, other: str) -> int | None:
    """1: `one` is better than `other`, -1: worse, 0: equal within noise; None: it cannot be told."""
    pair = [row.cell(one), row.cell(other)]
    if any(cell.value is None for cell in pair):
        return None
    best = _leaders(pair, row.better, _SAME_BY_KEY.get(row.key.partition(":")[0], _within(0.0)))
    return 0 if len(best) == 2 else 1 if best == (one,) else -1


# -- the rows ----------------------------------------------------------------------------------------------------------


def _results(runs: Sequence[Measured], common_end: int) -> list[Row]:
    found = list(dict.fromkeys(name for run in runs for name in run.results))
    at = _at(runs, common_end)
    if found:
        return [
            _row(
                f"result:{name}", f"final {name}{at}", "", "higher" if is_higher_better(name) else "lower",
                [_final_cell(run, run.results.get(name)) for run in runs], runs,
            )
            for name in found
        ]  # fmt: skip
    title = f"final {series_names.TOTAL}{at}"
    row = _row("result:total", title, "", "lower", [_final_cell(run, run.total) for run in runs], runs)
    said = "No accuracy is logged. Totals tell which run is better only where they are made of the same losses."
    return [Row(**{**row.__dict__, "why": f"{row.why} {said}".strip()})]


def _at(runs: Sequence[Measured], common_end: int) -> str:
    ends = {run.last_step for run in runs}
    return "" if len(ends) == 1 else f", at step {common_end:,}, the last that all have"


def _final_cell(run: Measured, final: Final | None) -> Cell:
    if final is None:
        return Cell(run.run, None, "none")
    noise = "noise not known" if final.error is None else f"± {number(final.error, 2)}"
    # a long run is read in buckets: the median is of their means, and not of that many values
    of = f"means of {final.points:,} values" if final.points > final.of else "values"
    detail = f"median of the last {final.of} {of} by step {final.step:,}, {noise}"
    return Cell(run.run, final.value, number(final.value), detail, final.error or 0.0)


def _broken(runs: Sequence[Measured]) -> Row:
    cells = []
    for run in runs:
        said = [_kinds(run.broken)] if run.broken.count else []
        said += [f"not counted: of the gradient norm {_kinds(run.overflown)}"] if run.overflown.count else []
        cells.append(Cell(run.run, float(run.broken.count), f"{run.broken.count:,}", "; ".join(said)))
    row = _row("not_finite", "values of losses not finite", "", "lower", cells, runs)
    if any(run.overflown.count for run in runs):
        note = "Gradient norms are not counted: a float16 GradScaler probes infinity on purpose."
        return Row(**{**row.__dict__, "why": f"{row.why} {note}".strip()})
    return row


def _kinds(found: Broken) -> str:
    kinds = [(found.nan, "NaN"), (found.pos_inf, "+Inf"), (found.neg_inf, "-Inf")]
    said = ", ".join(f"{count:,} {kind}" for count, kind in kinds if count)
    return f"{said}, the first: {found.first_series} at step {found.first_step:,}"


def _spikes(runs: Sequence[Measured]) -> Row:
    cells = []
    for run in runs:
        found = run.smooth
        if found is None:
            cells.append(Cell(run.run, None, "too few points"))
            continue
        part = "" if run.looked_at >= 1 else f", looked at {percent(run.looked_at)} of its steps"
        first = "" if found.first_spike is None else f"; the first at step {found.first_spike:,}"
        said = f"{times(found.spikes, 'leap')} in {times(found.increments, 'step')}{part}{first}"
        # of a rare thing counted k times; and of one never seen
        error = math.sqrt(found.spikes + 1) / found.increments
        cells.append(Cell(run.run, found.score, percent(found.score), said, error))
    return _row("spikes", "spike score of the total: steps that leap by more than 6 sigma", "%", "lower", cells, runs)


def _roughness(runs: Sequence[Measured]) -> Row:
    cells = []
    for run in runs:
        found = run.smooth
        if found is None:
            cells.append(Cell(run.run, None, "too few points"))
            continue
        # of a MAD of Gaussian noise: 1.17 / sqrt(n) of it; neighbouring increments share a point, so twice that
        error = 2.34 * found.roughness / math.sqrt(found.increments)
        cells.append(Cell(run.run, found.roughness, percent(found.roughness), "half of all steps move more", error))
    return _row("roughness", "change of the total from step to step (log, MAD)", "%", "lower", cells, runs)


def _speed(runs: Sequence[Measured]) -> Row:
    cells = []
    for run in runs:
        found = run.step_s
        if found is None or not found.value > 0:
            cells.append(Cell(run.run, None, "no step times"))
            continue
        rate = 1 / found.value
        detail = f"median step {number(found.value)} s"
        cells.append(Cell(run.run, rate, number(rate), detail, rate * (found.error or 0.0) / found.value))
    return _row("speed", "steps a second", "steps/s", "higher", cells, runs)


def _memory(runs: Sequence[Measured]) -> Row:
    kind = next((kind for kind in MEMORY_KINDS if all(kind in run.memory for run in runs)), None)
    kind = kind or next((kind for kind in MEMORY_KINDS if any(kind in run.memory for run in runs)), MEMORY_KINDS[0])
    cells = [
        Cell(run.run, run.memory.get(kind), f"{number(run.memory[kind])} GiB" if kind in run.memory else "not logged")
        for run in runs
    ]
    return _row("memory", MEMORY_TITLES[kind], "GiB", "lower", cells, runs)


def _alerts(runs: Sequence[Measured]) -> Row:
    cells = []
    for run in runs:
        critical, warning = run.alerts.get("critical", 0), run.alerts.get("warning", 0)
        said = f"{critical} critical, {warning} warning"
        cells.append(Cell(run.run, float(critical), said, times(run.incidents, "incident")))
    return _row("alerts", "alerts, the critical ones count", "", "lower", cells, runs)


def _interventions(runs: Sequence[Measured]) -> Row:
    cells = [
        Cell(run.run, float(len(run.interventions)), str(len(run.interventions)), listed(run.interventions))
        for run in runs
    ]
    row = _row("interventions", "interventions", "", "lower", cells, runs)
    if any(run.interventions for run in runs):
        note = "What was done to a run while it went on is in its numbers."
        return Row(**{**row.__dict__, "why": f"{row.why} {note}"})
    return row


# -- who wins ----------------------------------------------------------------------------------------------------------


def _within(floor: float) -> Same:
    """Equal within noise, or within a part of the one nearer to 0."""

    def same(one: Cell, other: Cell) -> bool:
        a, b = one.value, other.value
        if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
            return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))
        return abs(a - b) <= max(SIGMAS * math.hypot(one.error, other.error), floor * min(abs(a), abs(b)))

    return same


_SAME_BY_KEY: Mapping[str, Same] = {
    "result": _within(RESULT_FLOOR),
    "speed": _within(SPEED_FLOOR),
    "memory": _within(MEMORY_FLOOR),
    "roughness": _within(ROUGHNESS_FLOOR),
}


def _row(key: str, title: str, unit: str, better: str, cells: Sequence[Cell], runs: Sequence[Measured]) -> Row:
    same = _SAME_BY_KEY.get(key.partition(":")[0], _within(0.0))
    known = [cell for cell in cells if cell.value is not None]
    winners = _leaders(known, better, same) if len(known) > 1 else ()
    return Row(key, title, unit, better, tuple(cells), winners, _why(known, winners, better, runs))


def _leaders(cells: Sequence[Cell], better: str, same: Same) -> tuple[str, ...]:
    best = max(cells, key=lambda cell: _goodness(cell, better))
    return tuple(cell.run for cell in cells if cell is best or same(cell, best))


def _goodness(cell: Cell, better: str) -> float:
    """Not finite is worst, whichever way is better."""
    value = cell.value
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if better == "higher" else -value


def _why(known: Sequence[Cell], winners: Sequence[str], better: str, runs: Sequence[Measured]) -> str:
    names = {run.run: run.name for run in runs}
    if len(known) < 2:
        return f"Only {names[known[0].run]} has it." if known else ""
    by_run = {cell.run: cell for cell in known}
    best = max(known, key=lambda cell: _goodness(cell, better))
    if len(winners) == len(known):
        values = {cell.text for cell in known}
        return "The same." if len(values) == 1 else "Equal within noise."
    losers = [cell for cell in known if cell.run not in winners]
    nearest = max(losers, key=lambda cell: _goodness(cell, better))
    leading = listed([names[run] for run in winners])
    return f"{leading}: {by_run[best.run].text} against {nearest.text} of {names[nearest.run]}{_apart(best, nearest)}."


def _apart(best: Cell, other: Cell) -> str:
    """By how many of their joint errors."""
    error = math.hypot(best.error, other.error)
    if best.value is None or other.value is None or not math.isfinite(best.value - other.value) or not error > 0:
        return ""
    return f", {number(abs(best.value - other.value) / error, 2)} standard errors apart"
