"""The last healthy point of a run: what blame and growth are reckoned from.

Rules of this file: it stands still while the total is off its level and while weights move, for at most 1,000 samples:
blame compares with before the trouble, not with its middle. A row is never its own healthy point.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .window import Components, Counts, Floats, Mask, Reference, References

CALM = 3.0  # spreads
SETTLED_SAMPLES = 20
FROZEN_SAMPLES_MAX = 1000


class Healthy:
    """Follows the rows that carry a total."""

    def __init__(self) -> None:
        self._reference: Reference | None = None
        self._samples = 0
        self._moved_sample = -SETTLED_SAMPLES - 1  # when the weights last moved

    @staticmethod
    def is_off(deviation: Floats, live: Mask) -> Mask:
        """[T]: the total is far above its level, or not finite. A comparison with NaN is False."""
        return np.asarray((deviation > CALM) | ~live)

    def follow(self, steps: Counts, whole: Mask, moved: Mask, off: Mask, components: Components) -> References:
        """Take rows; what each of them is compared with. Arrays are [T]; `off` is asked where `whole`."""
        rows = np.flatnonzero(whole) if components.names else np.zeros(0, np.intp)
        samples = self._samples + 1 + np.arange(len(rows))
        last_moved = np.maximum.accumulate(np.where(moved[rows], samples, self._moved_sample)) if len(rows) else samples
        # a move is noticed in its own row
        settled = (samples - last_moved > SETTLED_SAMPLES) & ~off[rows]
        taken = self._taken(samples, settled)
        newest = np.maximum.accumulate(np.where(taken, np.arange(len(rows)), -1)) if len(rows) else taken.astype(int)
        references = self._shown(len(steps), rows, newest, samples, components)
        if len(rows):
            self._samples, self._moved_sample = int(samples[-1]), int(last_moved[-1])
            if newest[-1] >= 0:
                t, sample = int(rows[newest[-1]]), int(samples[newest[-1]])
                self._reference = reference_at(components, t, int(steps[t]), sample)
        return references

    def _taken(self, samples: Counts, settled: Mask) -> Mask:
        """[n]: the row becomes the healthy point: it is settled, or the last one is 1,000 samples old, or is none."""
        taken = settled.copy()
        last = self._reference.samples if self._reference is not None else None
        if len(samples) and (last is None or samples[-1] - last > FROZEN_SAMPLES_MAX):
            for i, sample in enumerate(samples.tolist()):
                taken[i] = settled[i] or last is None or sample - last > FROZEN_SAMPLES_MAX
                last = sample if taken[i] else last
        return taken

    def _shown(self, count: int, rows: Any, newest: Any, samples: Counts, components: Components) -> References:
        """For each row of the window the healthy point before it."""
        before = self._reference
        at = np.full(count + 1, -1, dtype=np.intp)
        of = np.full(count + 1, -1 if before is None else before.samples, dtype=np.int64)
        chosen = newest >= 0
        at[rows[chosen] + 1], of[rows[chosen] + 1] = rows[newest[chosen]], samples[newest[chosen]]
        known = np.maximum.accumulate(np.where(at >= 0, np.arange(count + 1), 0))
        at, of = at[known][:count], of[known][:count]
        sizes = np.abs(components.weights * _robust(components))
        earlier = _sizes_of(before, components.names)
        contributions = np.where((at >= 0)[:, None], sizes[at], earlier) if len(components.names) else sizes
        return References(before, at, of, np.nan_to_num(contributions, nan=0.0, posinf=0.0))

    def dump(self) -> dict[str, Any]:
        kept = self._reference
        return {
            "samples": self._samples,
            "moved_sample": self._moved_sample,
            "reference": None
            if kept is None
            else [kept.step, kept.samples, list(kept.names), kept.weights, kept.losses],
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Healthy":
        healthy = cls()
        healthy._samples, healthy._moved_sample = data["samples"], data["moved_sample"]
        if data["reference"] is not None:
            step, samples, names, weights, losses = data["reference"]
            healthy._reference = Reference(step, samples, tuple(names), np.array(weights), np.array(losses))
        return healthy


def reference_at(components: Components, row: int, step: int, samples: int) -> Reference:
    """A row as the healthy point of those behind it."""
    return Reference(step, samples, components.names, components.weights[row].copy(), _robust(components)[row])


def _robust(components: Components) -> Floats:
    """[T, K]: the usual raw losses; of a component that comes for the first time what it is."""
    return np.where(np.isnan(components.usual), components.losses, components.usual)


def _sizes_of(reference: Reference | None, names: tuple[str, ...]) -> Floats:
    """[K]: |weight * loss| of each component at the reference; NaN for what was not known."""
    pairs = [None if reference is None else reference.of(name) for name in names]
    return np.array([np.nan if pair is None else abs(pair[0] * pair[1]) for pair in pairs])
