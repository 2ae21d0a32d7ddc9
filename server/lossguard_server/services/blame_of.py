"""Who moved the total between two steps of a run that a person chose.

Rules of this file:
- Only both ends are read, five rows each, however long the run is; rows are those of the total, or of the components
  where there is no total.
- A weight is the one in force: as last reported (so an operator's counts), else as declared, else 1, which is said.
  A raw loss that a row does not carry is the last one before it.
- What is shown of the run counts. One that goes back while it is read is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names as series_names
from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Declaration

from ..errors import RunChanged
from ..errors.blaming import NothingToBlame
from ..rules.blame import END_SAMPLES, Blame, Share, decompose, end_samples, over_span
from ..rules.schedule import Schedule
from ..store.points import Branch, SeriesExtent

WIDER = 8  # times, when a look did not reach far enough
FIRST_LOOK_STEPS = 16
WHOLE_LOOK_STEPS = 4_096  # rows of one end that lie further apart are looked up one by one
TRIES = 3
UNCHANGED = "The weighted sum of the components is the same at both ends."

Floats = npt.NDArray[np.float64]
Points = dict[str, tuple[Steps, Columns]]


class Source(Protocol):
    """What is asked of store.points.Points."""

    def extents(self, run_id: str) -> list[SeriesExtent]: ...

    def raw(self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None) -> Points: ...

    def branch(self, run_id: str) -> Branch: ...


def blame_of(
    source: Source, run_id: str, declaration: Declaration, first_step: int | None, last_step: int | None
) -> dict[str, Any]:
    """{from_step, to_step, samples, delta_total, parts, text, total, components, assumed} over [first_step, last_step]
    (None: from the beginning, to the end); the first five as in an alert's blame.

    `samples`: so many of each end; `total`: {from, to, delta, unexplained} of loss/total, None where there is none;
    `components`: [{component, weight: [from, to], loss: [from, to]}]; `assumed`: components whose weight 1 nobody said.
    Raises NothingToBlame, RunChanged, StorageError.
    """
    for _ in range(TRIES):
        shown = source.branch(run_id)
        found = _Ends(source, run_id, Schedule(declaration), first_step, last_step).blame()
        if shown.is_same_up_to(found["to_step"], source.branch(run_id)):
            return found
    raise RunChanged(hint="Ask again.")


@dataclass(frozen=True)
class _Values:
    """Of one series at some steps: `known` says where it has a value."""

    values: Floats
    known: npt.NDArray[np.bool_]


class _Ends:
    """One look at a run."""

    def __init__(
        self, source: Source, run_id: str, schedule: Schedule, first_step: int | None, last_step: int | None
    ) -> None:
        self._source, self._run_id, self._schedule = source, run_id, schedule
        self._extents = {extent.name: extent for extent in source.extents(run_id)}
        self._components = self._find_components()
        self._anchors = [series_names.TOTAL] if series_names.TOTAL in self._extents else self._losses()
        if not self._components:
            raise NothingToBlame("The run has no component with a raw loss.")
        low = min(self._extents[name].first_step for name in self._anchors)
        high = max(self._extents[name].last_step for name in self._anchors)
        self._low = low if first_step is None else max(low, first_step)
        self._high = high if last_step is None else min(high, last_step)

    def blame(self) -> dict[str, Any]:
        steps = self._rows()
        few = end_samples(len(steps))
        if not few:
            number = f"one row, at step {steps[0]}," if len(steps) else "no row"
            raise NothingToBlame(f"It has {number} with {' or '.join(self._anchors[:3])}.")
        shares, assumed = self._shares(steps)
        blame = decompose(int(steps[0]), int(steps[-1]), shares)
        if blame is None:
            blame = Blame(int(steps[0]), int(steps[-1]), 0.0, (), UNCHANGED)
        return {
            **blame.to_dict(),
            "samples": few,
            "total": self._total(steps, blame.delta_total),
            "components": [_both(share) for share in shares],
            "assumed": assumed,
        }

    # -- which rows and components ------------------------------------------------------------------------------------

    def _find_components(self) -> list[str]:
        weighted = [name.removeprefix("weight/") for name in self._extents if name.startswith("weight/")]
        every = dict.fromkeys([*self._schedule.components, *weighted])
        known = [name for name in every if self._has_loss(name)]
        # a run that declares nothing logs a sum
        return known or [name[5:] for name in self._extents if name.startswith("loss/") and self._has_loss(name[5:])]

    def _has_loss(self, component: str) -> bool:
        name = series_names.loss(component)
        return name in self._extents and name != series_names.TOTAL

    def _losses(self) -> list[str]:
        return [series_names.loss(component) for component in self._components]

    def _rows(self) -> Steps:
        """The first and the last few rows; all of them where there are fewer than ten."""
        if self._low > self._high:
            return np.empty(0, np.int64)
        return np.union1d(self._look(self._low, 1)[:END_SAMPLES], self._look(self._high, -1)[-END_SAMPLES:])

    def _look(self, start: int, way: int) -> Steps:
        """Steps of rows from `start` on (way 1) or up to it (-1): five or more, or all that there are."""
        reach = FIRST_LOOK_STEPS
        while True:
            low, high = (start, start + reach) if way > 0 else (start - reach, start)
            low, high = max(low, self._low), min(high, self._high)
            found = self._source.raw(self._run_id, self._anchors, low, high)
            steps = np.unique(np.concatenate([steps for steps, _ in found.values()]))
            if len(steps) >= END_SAMPLES or (low == self._low and high == self._high):
                return steps
            reach *= WIDER

    # -- values at rows -----------------------------------------------------------------------------------------------

    def _shares(self, steps: Steps) -> tuple[list[Share], list[str]]:
        weight_names = [series_names.weight(component) for component in self._components]
        asked = [name for name in [*self._losses(), *weight_names] if name in self._extents]
        found = self._as_of(asked, steps)
        weights, assumed = [], []
        for component, name in zip(self._components, weight_names, strict=True):
            declared = self._schedule.weights_at(component, steps)
            reported = found.get(name)
            weight = declared if reported is None else np.where(reported.known, reported.values, declared)
            is_said = ~np.isnan(declared) if reported is None else reported.known | ~np.isnan(declared)
            assumed += [] if is_said.all() else [component]
            weights.append(np.where(is_said, weight, 1.0))
        losses = [found[name] for name in self._losses()]
        known = np.array([each.known for each in losses])
        return over_span(
            self._components, np.array(weights), np.array([each.values for each in losses]), known
        ), assumed

    def _as_of(self, names: Sequence[str], steps: Steps) -> dict[str, _Values]:
        """The last value of each series up to each of the steps."""
        few = end_samples(len(steps))
        return _joined([self._as_of_end(names, each) for each in (steps[:-few], steps[-few:])])

    def _as_of_end(self, names: Sequence[str], steps: Steps) -> dict[str, _Values]:
        if int(steps[-1]) - int(steps[0]) > WHOLE_LOOK_STEPS:
            return _joined([self._as_of_end(names, steps[i : i + 1]) for i in range(len(steps))])
        points = self._source.raw(self._run_id, names, int(steps[0]), int(steps[-1]))
        late = [name for name in names if not len(points[name][0]) or points[name][0][0] > steps[0]]
        return {name: _at(points[name], before, steps) for name, before in self._before(names, late, int(steps[0]))}

    def _before(self, names: Sequence[str], late: Sequence[str], step: int) -> list[tuple[str, tuple[Steps, Columns]]]:
        """The last point of each `late` series before the step, as far back as there is one."""
        nothing = (np.empty(0, np.int64), np.empty(0))
        found: Points = dict.fromkeys(names, nothing)
        wanted, reach, high = (
            [name for name in late if self._extents[name].first_step < step],
            FIRST_LOOK_STEPS,
            step - 1,
        )
        while wanted:
            points = self._source.raw(self._run_id, wanted, max(step - reach, 0), high)
            for name, (steps, values) in points.items():
                if len(steps):
                    found[name] = steps[-1:], values[-1:]
            # one that lay before the cut of a rollback only has nothing, however far one looks
            reached = step - reach
            wanted = [n for n in wanted if not len(found[n][0]) and reached > self._extents[n].first_step]
            high, reach = reached - 1, reach * WIDER
        return list(found.items())

    def _total(self, steps: Steps, explained: float) -> dict[str, float] | None:
        if series_names.TOTAL not in self._extents:
            return None
        at = self._as_of([series_names.TOTAL], steps)[series_names.TOTAL].values[None]
        (share,) = over_span([series_names.TOTAL], np.ones_like(at), at)
        delta = share.loss1 - share.loss0
        unexplained = delta - explained if isfinite(delta) and isfinite(explained) else float("nan")
        return {"from": share.loss0, "to": share.loss1, "delta": delta, "unexplained": unexplained}


def _joined(parts: Sequence[dict[str, _Values]]) -> dict[str, _Values]:
    """The same series at the steps of each part."""
    return {
        name: _Values(
            np.concatenate([part[name].values for part in parts]), np.concatenate([part[name].known for part in parts])
        )
        for name in parts[0]
    }


def _at(points: tuple[Steps, Columns], before: tuple[Steps, Columns], steps: Steps) -> _Values:
    """As-of join: `before` lies before `points`."""
    known_steps, values = (np.concatenate(both) for both in zip(before, points, strict=True))
    at = known_steps.searchsorted(steps, side="right") - 1
    known = at >= 0
    return _Values(np.where(known, values[at], np.nan) if len(values) else np.full(len(steps), np.nan), known)


def _both(share: Share) -> dict[str, Any]:
    weight, loss = [share.weight0, share.weight1], [share.loss0, share.loss1]
    return {"component": share.component, "weight": weight, "loss": loss}
