"""Runs beside each other: the whole answer of GET /api/compare.

Rules of this file: the first run is the one that the others are compared with. What is computed is in the pure files
beside this one; here their parts are put together. Its cost depends on the number of runs and series, not of steps.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from lossguard.protocol import names

from ...store.buckets import Buckets
from ...store.points import SeriesExtent
from . import places
from .config import differences, facts_of
from .curves import curve_of, in_cells
from .decide import decide
from .material import STEP_TIME, Material, Source, looked_at, within
from .measured import Final, Measured, broken_of, final_of, largest_of, memory_kind, results_in
from .parting import CELLS, is_comparable, parting
from .places import Band, Places, Stay
from .saying import number
from .smoothness import smoothness
from .verdict import verdict

UNITS: Mapping[str, str] = {places.STEP: "step", places.STAGE: "step", places.TIME: "s"}
NOTES: Mapping[str, str] = {
    places.STEP: "Steps stand where they are.",
    places.STAGE: "By stage: stages of one name begin at one place; a stage is as wide as its longest stay.",
    places.TIME: "By time: the sum of step times. Pauses, restarts and what was rolled back are not in it.",
}
SAME_FIELDS = ("step", "first", "min", "max", "last", "count")
SAME_MEAN = 1e-12  # of it: a mean depends in its last bits on where the stored chunks ended

Within = Callable[[int, int], Mapping[str, Buckets]]  # (the first step, the last one) -> buckets by series


def compare(source: Source, runs: Sequence[Material], axis: str) -> dict[str, Any]:
    """The Comparison of docs/protocol.md. Raises NoStages, NoTimes, StorageError."""
    stays = {run.told.id: places.stays(run.told.plan, run.first_step, run.last_step) for run in runs}
    placed, bands = _placed(runs, axis, stays)
    series = _series(runs)
    # of several pairs, most share the first run's range: it is read once for them
    first_within = cache(partial(within, source, runs[0], series))
    found = [_Pairs(source, first_within, runs[0], other, placed, bands, axis).partings(series) for other in runs[1:]]
    measured = {run.told.id: _measured(source, run, runs, stays[run.told.id]) for run in runs}
    first = measured[runs[0].told.id]
    rows = verdict(list(measured.values()), _common_end(runs))
    facts = {run.told.id: facts_of(run.told.declaration, run.told.rank_count) for run in runs}
    return {
        "axis": {
            "kind": axis,
            "unit": UNITS[axis],
            "note": NOTES[axis],
            "places": {run: each.to_dict() for run, each in placed.items()},
            "bands": [band.__dict__ for band in bands],
        },
        "runs": [_told(run, placed[run.told.id]) for run in runs],
        "parting": [
            {"series": name, "kind": _kind(name), "label": _label(name), "missing": _missing(name, runs),
             "pairs": [pairs[name] for pairs in found]}
            for name in series
        ],
        "verdict": [row.to_dict() for row in rows],
        "decisions": [decide(rows, first, measured[run.told.id]).to_dict() for run in runs[1:]],
        "config": differences(facts).to_dict(),
    }  # fmt: skip


# -- the axis ----------------------------------------------------------------------------------------------------------


def _placed(
    runs: Sequence[Material], axis: str, stays: Mapping[str, Sequence[Stay]]
) -> tuple[dict[str, Places], list[Band]]:
    if axis == places.STAGE:
        by_name = {run.told.name: stays[run.told.id] for run in runs}
        placed, bands = places.by_stage(by_name)
        return {run.told.id: placed[run.told.name] for run in runs}, bands
    if axis == places.TIME:
        timed = {
            run.told.id: places.by_time(run.told.name, run.whole.get(STEP_TIME), run.first_step, run.last_step)
            for run in runs
        }
        return timed, []
    return {run.told.id: places.by_step(run.first_step, run.last_step) for run in runs}, _common_bands(runs, stays)


def _common_bands(runs: Sequence[Material], stays: Mapping[str, Sequence[Stay]]) -> list[Band]:
    """By step: the stages, where all runs enter the same ones at the same steps, as far as each of them goes."""
    longest = max((stays[run.told.id] for run in runs), key=len)
    begun = [(stay.name, stay.begin) for stay in longest]
    for run in runs:
        own = [(stay.name, stay.begin) for stay in stays[run.told.id]]
        if own != begun[: len(own)] or not own:
            return []
    return [Band(stay.name, float(stay.begin), float(stay.end)) for stay in longest]


# -- where they part ---------------------------------------------------------------------------------------------------


class _Pairs:
    """The first run and another one, over what they share of the axis."""

    def __init__(
        self,
        source: Source,
        first_within: Within,
        one: Material,
        other: Material,
        placed: Mapping[str, Places],
        bands: Sequence[Band],
        axis: str,
    ) -> None:
        self._source, self._first_within = source, first_within
        self._one, self._other, self._bands, self._axis = one, other, bands, axis
        self._places = placed[one.told.id], placed[other.told.id]
        starts, ends = zip(*(each.ends for each in self._places), strict=True)
        self._low, self._high = max(starts), min(ends)

    def partings(self, series: Sequence[str]) -> dict[str, dict[str, Any]]:
        """By series: the Pair of docs/protocol.md."""
        reads: tuple[Within, Within] = (self._first_within, partial(within, self._source, self._other, series))
        first, second = (self._buckets(read, at) for read, at in zip(reads, self._places, strict=True))
        return {name: self._pair(name, first.get(name), second.get(name)) for name in series}

    @property
    def _runs(self) -> tuple[Material, Material]:
        return self._one, self._other

    def _buckets(self, read: Within, at: Places) -> Mapping[str, Buckets]:
        return {} if self._high < self._low else read(at.step_from(self._low), at.step_to(self._high))

    def _pair(self, name: str, one: Buckets | None, other: Buckets | None) -> dict[str, Any]:
        answer: dict[str, Any] = {"run": self._other.told.id, "at": None, "same_until": None}
        if one is None or other is None or not len(one.step) or not len(other.step):
            return {**answer, "compared": False, "text": "Not in both, where they overlap."}
        steps = self._places[0].step_to(self._high) - self._places[0].step_from(self._low) + 1
        cells = max(1, min(CELLS, steps))
        sides = zip((one, other), self._places, strict=True)
        left, right = (in_cells(curve_of(each, at), self._low, self._high, cells) for each, at in sides)
        same = _same_until(one, other) if self._axis == places.STEP else None
        is_single = bool((one.count <= 1).all() and (other.count <= 1).all())
        found = parting(left, right)
        if found is None:
            compared = is_comparable(left, right)
            said = "They do not part beyond noise." if compared else "Too few points in common to tell."
            return {**answer, "compared": compared, "same_until": same, "text": _with_same(said, same, is_single)}
        x = self._low + found.cell * (self._high - self._low) / cells
        at_steps = [each.step_from(x) for each in self._places]
        values = {"one": found.one, "other": found.other}
        return {
            **answer,
            "compared": True,
            "at": x,
            "steps": dict(zip((run.told.id for run in self._runs), at_steps, strict=True)),
            "resolution": max(1, -(-steps // cells)),
            "values": values,
            "sigmas": found.sigmas,
            "not_finite": found.is_broken,
            "same_until": same,
            "text": _with_same(f"Part {self._where(x, at_steps)}: {self._values(values)}.", same, is_single),
        }

    def _where(self, x: float, at_steps: Sequence[int]) -> str:
        if self._axis == places.TIME:
            return f"after {number(x)} s"
        band = next((band for band in reversed(self._bands) if band.low <= x and band.name), None)
        if self._axis == places.STEP or band is None:
            return f"at step {at_steps[0]:,}"
        return f"{round(x - band.low):,} steps into stage {band.name!r}"

    def _values(self, values: Mapping[str, float]) -> str:
        one, other = values["one"], values["other"]
        return f"{number(other)} in {self._other.told.name}, {number(one)} in {self._one.told.name}"


def _with_same(said: str, same: int | None, is_single: bool) -> str:
    """`is_single`: every bucket holds one value, so that all of them were compared."""
    if same is None:
        return said
    how = "The same to the last bit" if is_single else "The same ends, extremes and means in every bucket"
    return f"{said} {how} up to step {same:,}."


def _same_until(one: Buckets, other: Buckets) -> int | None:
    """The last step up to which all that both hold is the same; None where they never do. A bucket of several values
    holds its ends, its extremes and their mean, not each of them."""
    size = min(len(one.step), len(other.step))
    alike = np.ones(size, np.bool_)
    for name in SAME_FIELDS:
        mine, others = (np.ascontiguousarray(getattr(each, name)[:size]) for each in (one, other))
        alike &= mine.view(np.int64) == others.view(np.int64)
    alike &= np.isclose(one.mean[:size], other.mean[:size], rtol=SAME_MEAN, atol=0.0, equal_nan=True)
    until = size if alike.all() else int(np.argmin(alike))
    if until == 0:
        return None
    return int(one.step[until]) - 1 if until < len(one.step) else int(one.step[-1])


# -- what is measured --------------------------------------------------------------------------------------------------


def _measured(source: Source, run: Material, runs: Sequence[Material], stays: Sequence[Stay]) -> Measured:
    end = _common_end(runs)
    windows, share = looked_at(source, run, names.TOTAL) if run.has(names.TOTAL) else ([], 1.0)
    # of several that break at one step the component is named, and not the total that it broke
    by_cause = sorted(run.losses, key=(names.TOTAL,).count)
    judged = {name: run.whole[name] for name in by_cause if name in run.whole}
    gradients = {name: run.whole[name] for name in (names.GRAD_NORM_TOTAL,) if name in run.whole}
    memory = {name: buckets for name, buckets in run.whole.items() if memory_kind(name) is not None}
    planned = {stay.begin for stay in stays} | {each.step for each in run.happened.interventions}
    return Measured(
        run=run.told.id,
        name=run.told.name,
        last_step=run.last_step,
        results={name: final for name in _results(runs) if (final := _final(run, name, end)) is not None},
        total=_final(run, names.TOTAL, end),
        broken=broken_of(judged),
        overflown=broken_of(gradients),
        smooth=smoothness(windows, planned),
        looked_at=share,
        step_s=_step_s(run),
        memory=largest_of(memory),
        alerts=run.happened.alerts,
        incidents=run.happened.incidents,
        interventions=tuple(each.text for each in run.happened.interventions),
    )


def _final(run: Material, name: str, last_step: int) -> Final | None:
    buckets = run.whole.get(name)
    return None if buckets is None else final_of(buckets, last_step)


def _step_s(run: Material) -> Final | None:
    """The median over the whole run: the last steps alone may be those of another load."""
    buckets = run.whole.get(STEP_TIME)
    if buckets is None or not np.isfinite(buckets.mean).any():
        return None
    known = final_of(buckets)
    value = float(np.median(buckets.mean[np.isfinite(buckets.mean)]))
    error = None if known is None else known.error
    return Final(value, error, len(buckets.step), run.last_step)


def _results(runs: Sequence[Material]) -> list[str]:
    """The results that at least two runs have; of which one has only its own nothing can be said."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in results_in(run.extents):
            counts[name] = counts.get(name, 0) + 1
    return [name for name, count in counts.items() if count > 1]


def _common_end(runs: Sequence[Material]) -> int:
    return min(run.last_step for run in runs)


# -- the words ---------------------------------------------------------------------------------------------------------


def _series(runs: Sequence[Material]) -> list[str]:
    """The total, each component, the gradient norm: those that any run has."""
    losses = list(dict.fromkeys(name for run in runs for name in run.losses))
    known: dict[str, SeriesExtent] = {name: each for run in runs for name, each in run.extents.items()}
    ordered = [names.TOTAL, *(name for name in losses if name != names.TOTAL), names.GRAD_NORM_TOTAL]
    return [name for name in ordered if name in known]


def _kind(name: str) -> str:
    return "total" if name == names.TOTAL else "gradient" if name == names.GRAD_NORM_TOTAL else "component"


def _label(name: str) -> str:
    if name == names.GRAD_NORM_TOTAL:
        return "gradient norm"
    return name.removeprefix(names.loss(""))


def _missing(name: str, runs: Sequence[Material]) -> list[str]:
    return [run.told.id for run in runs if not run.has(name)]


def _told(run: Material, at: Places) -> dict[str, Any]:
    steps = np.array([each.step for each in run.happened.interventions], np.int64)
    return {
        "id": run.told.id,
        "project": run.told.project,
        "name": run.told.name,
        "state": run.told.state,
        "first_step": run.first_step,
        "last_step": run.last_step,
        "components": list(run.told.declaration.components),
        "series": [*run.losses, *(name for name in run.whole if name not in run.losses)],
        "interventions": [
            {"id": each.id, "kind": each.kind, "step": each.step, "x": x, "text": each.text}
            for each, x in zip(run.happened.interventions, at.at(steps).tolist(), strict=True)
        ],
    }
