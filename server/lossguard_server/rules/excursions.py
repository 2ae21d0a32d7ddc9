"""Excursions of series: when the present one began, how much is known of it, how far it went. For first_bad.

Rules of this file: columns over series, O(1) each; a value of `Excursions` is never written to. Following rows one by
one or all at once gives the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .window import Counts, Floats, Mask

_NEVER = -(1 << 60)
NOT_YET = -1  # in place of a step
_NOTHING = np.zeros(0)
_EMPTY: dict[str, tuple[Any, Any]] = {
    "hits": (0, np.int64),
    "calm": (0, np.int64),
    "since": (0, np.int64),
    "worst": (np.nan, np.float64),
    "strong_since": (NOT_YET, np.int64),
    "newest": (NOT_YET, np.int64),
    "last": (np.nan, np.float64),
    "rising": (False, np.bool_),
    "risen_since": (0, np.int64),
}


@dataclass(frozen=True)
class Excursions:
    """[S] each. Without an excursion `hits` is 0, and the five behind it are 0, 0, NaN and twice NOT_YET."""

    hits: Counts  # sightings in the present excursion; sure ones count twice
    calm: Counts  # samples since the last one
    since: Counts  # the step at which it began
    worst: Floats  # the largest deviation of it, signed; NaN where it has none
    strong_since: Counts  # the step of its first strong sighting; NOT_YET: there was none
    newest: Counts  # the step of its newest sighting
    last: Floats  # of what is set: the last sample
    rising: Mask  # the drift CUSUM is above 0
    risen_since: Counts  # the step of the first sample since it was

    def dump(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _EMPTY}

    @classmethod
    def load(cls, data: Mapping[str, Any], count: int) -> "Excursions":
        """What `dump` gave, grown to `count` series; nothing known where `data` is empty."""
        columns = {}
        for name, (empty, kind) in _EMPTY.items():
            column = np.asarray(data.get(name, _NOTHING), dtype=kind)
            if len(column) < count:
                column = np.concatenate([column, np.full(count - len(column), empty, dtype=kind)])
            columns[name] = column
        return cls(**columns)


@dataclass(frozen=True)
class Sightings:
    """What is off in the rows of a window: [T, S] each, but for `steps` [T], `last` and `gap` [S]."""

    steps: Counts
    off: Mask
    sure: Mask  # ... beyond doubt
    strong: Mask  # ... so far that no healthy series goes there
    risen: Mask  # the CUSUM is so high that what begins here began where it left 0
    counts: Mask  # the row says something of the series
    deviation: Floats
    rising: Mask  # the CUSUM is above 0
    last: Floats  # of what is set: the last sample, after the window
    gap: Counts  # so many samples that are not off end an excursion

    def follow(self, before: Excursions, rows: int) -> Excursions:
        """What is known after the first `rows` rows; `last` is not rewound to them."""
        after = before.dump() | {"last": self.last, "rising": self.rising[rows - 1].copy()}
        starts = self._starts(before, rows)
        if starts.any():
            last = rows - 1 - starts[::-1].argmax(axis=0)
            after["risen_since"] = np.where(starts.any(axis=0), self.steps[last], before.risen_since)
        if self._is_quiet and not before.hits.any():
            return Excursions(**after)
        active = np.flatnonzero(self.off.any(axis=0) | (before.hits > 0))
        for name, column in self._followed(before, active, starts, rows).items():
            after[name] = after[name].copy()
            after[name][active] = column
        return Excursions(**after)

    @cached_property
    def _is_quiet(self) -> bool:
        return not self.off.any()

    def _starts(self, before: Excursions, rows: int) -> Mask:
        """Where the CUSUM of each series left 0."""
        starts = self.rising[:rows].copy()
        starts[0] &= ~before.rising
        starts[1:] &= ~self.rising[: rows - 1]
        return starts

    def _followed(self, before: Excursions, active: npt.NDArray[np.intp], starts: Mask, rows: int) -> dict[str, Any]:
        off, gap, every = self.off[:rows, active], self.gap[active], np.arange(rows)[:, None]
        hits, calm = before.hits[active], before.calm[active]
        sample = np.cumsum(self.counts[:rows, active], axis=0)
        # where the last sighting up to each row lies, in samples; that from before the window lies before its first
        newest = np.vstack([np.where(hits > 0, -calm, _NEVER), np.where(off, sample, _NEVER)])
        newest = np.maximum.accumulate(newest, axis=0)
        begins = off & (sample - newest[:-1] > gap)
        calm_now = sample[-1] - newest[-1]
        is_on = calm_now < gap
        begun = np.where(begins, every, -1).max(axis=0)
        is_new = begun >= 0
        within = off & (every >= begun)
        now = np.where(within, 1 + self.sure[:rows, active], 0).sum(axis=0) + np.where(is_new, 0, hits)
        since = np.where(is_new, self._beginning(before, active, starts, begun), before.since[active])
        worst = _worst(np.where(within, self.deviation[:rows, active], np.nan), before.worst[active], is_new)
        strong_since = self._strong_since(within & self.strong[:rows, active], before.strong_since[active], is_new)
        return {
            "hits": np.where(is_on, now, 0),
            "calm": np.where(is_on, calm_now, 0),
            "since": np.where(is_on, since, 0),
            "worst": np.where(is_on, worst, np.nan),
            "strong_since": np.where(is_on, strong_since, NOT_YET),
            "newest": np.where(is_on, self._newest(off, before.newest[active]), NOT_YET),
        }

    def _newest(self, off: Mask, before: Counts) -> Counts:
        last = len(off) - 1 - off[::-1].argmax(axis=0)
        return np.where(off.any(axis=0), self.steps[last], before)

    def _strong_since(self, strong: Mask, before: Counts, is_new: Mask) -> Counts:
        """The step of the first row that is; `before` counts where nothing began anew."""
        here = np.where(strong.any(axis=0), self.steps[strong.argmax(axis=0)], NOT_YET)
        return np.where(~is_new & (before != NOT_YET), before, here)

    def _beginning(
        self, before: Excursions, active: npt.NDArray[np.intp], starts: Mask, begun: npt.NDArray[np.intp]
    ) -> Counts:
        """The step of each row `begun`; of a series that had risen before, that at which its CUSUM left 0."""
        rows = np.maximum.accumulate(np.where(starts[:, active], np.arange(len(starts))[:, None], -1), axis=0)
        columns = np.arange(len(active))
        left = rows[begun, columns]
        left_step = np.where(left >= 0, self.steps[left], before.risen_since[active])
        return np.where(self.risen[begun, active], left_step, self.steps[begun])


def _worst(deviation: Floats, before: Floats, is_new: Mask) -> Floats:
    """The deviation with the largest magnitude, the earliest of equals; `before` counts where nothing began anew."""
    rows = np.vstack([np.where(is_new, np.nan, before), deviation])
    size = np.where(np.isnan(rows), -1.0, np.abs(rows))
    return np.asarray(np.take_along_axis(rows, size.argmax(axis=0)[None], axis=0)[0])
