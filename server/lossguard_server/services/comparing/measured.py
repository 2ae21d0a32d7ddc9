"""What is measured of one run for the verdict: how it ended, what broke, how smooth, how fast, how large.

Rules of this file: pure, of buckets. A bucket keeps the extremes and counts every value that is not finite, so a run of
any length says the same as its points would of these; medians are of buckets' means.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from lossguard.protocol import names

from ...store.buckets import Buckets
from .curves import Floats
from .smoothness import Smoothness

MAD_TO_SIGMA = 1.4826
MEDIAN_SE = 1.2533  # sqrt(pi / 2)
TAIL_SHARE, TAIL_LEAST, TAIL_MOST = 0.1, 3, 64  # of a series' buckets: what "final" is the median of
NOISE_TAILS = 4  # the noise of the end is told from so many times as much
HIGHER = frozenset({
    "acc", "accuracy", "auc", "auroc", "bleu", "dice", "f1", "iou", "map", "precision", "r2", "recall", "reward",
    "rouge", "score", "top1", "top5",
})  # fmt: skip
LOWER = frozenset({"cer", "err", "error", "loss", "mae", "mse", "perplexity", "ppl", "rmse", "wer"})
EVALUATED = frozenset({"dev", "eval", "test", "val", "valid", "validation"})
RESULTS_MAX = 4


@dataclass(frozen=True)
class Final:
    """Where a series ended: the median of the means of its last `of` buckets; NaN where most of them are not finite.
    `error`: the standard error of that median, None where there is too little to say it from; `points`: how many values
    these buckets hold, `of` where each holds one; 0: not known."""

    value: float
    error: float | None
    of: int
    step: int
    points: int = 0


@dataclass(frozen=True)
class Broken:
    """Values that are not finite, and the first of them."""

    nan: int = 0
    pos_inf: int = 0
    neg_inf: int = 0
    first_step: int | None = None
    first_series: str | None = None

    @property
    def count(self) -> int:
        return self.nan + self.pos_inf + self.neg_inf


@dataclass(frozen=True)
class Measured:
    """One run, as the verdict compares it. `results`: by series; `broken`: of its losses; `overflown`: of its gradient
    norm, apart from them: a float16 GradScaler probes infinity on purpose; `looked_at`: the share of its steps whose
    increments `smooth` is of; `step_s`: of a step; `memory`: (series, the largest in GiB)."""

    run: str
    name: str
    last_step: int
    results: Mapping[str, Final] = field(default_factory=dict)
    total: Final | None = None
    broken: Broken = Broken()
    overflown: Broken = Broken()
    smooth: Smoothness | None = None
    looked_at: float = 1.0
    step_s: Final | None = None
    memory: Mapping[str, float] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)  # severity -> how many there were
    incidents: int = 0
    interventions: tuple[str, ...] = ()


def final_of(buckets: Buckets, last_step: int | None = None) -> Final | None:
    """Where the series ended, or was at `last_step`; None without a point."""
    kept = slice(0, len(buckets.step) if last_step is None else int(buckets.step.searchsorted(last_step, "right")))
    broken = (buckets.nan + buckets.pos_inf + buckets.neg_inf)[kept]
    means = np.where(2 * broken >= buckets.count[kept], np.nan, buckets.mean[kept])
    if not len(means):
        return None
    size = min(max(TAIL_LEAST, int(TAIL_SHARE * len(means))), TAIL_MOST, len(means))
    tail = means[-size:]
    known = tail[~np.isnan(tail)]
    value = float(np.median(known)) if 2 * len(known) > size else float("nan")
    points = int(buckets.count[kept][-size:].sum())
    return Final(value, _error(means[-NOISE_TAILS * size :], size), size, int(buckets.step[kept][-1]), points)


def broken_of(series: Mapping[str, Buckets]) -> Broken:
    """What of these is not finite; the first by step, of several at one step the first named."""
    counts = np.zeros(3, np.int64)
    first: tuple[int, str] | None = None
    for name, buckets in series.items():
        found = np.array([buckets.nan, buckets.pos_inf, buckets.neg_inf])
        counts += found.sum(axis=1)
        where = np.flatnonzero(found.sum(axis=0))
        if len(where) and (first is None or int(buckets.step[where[0]]) < first[0]):
            first = int(buckets.step[where[0]]), name
    nan, pos_inf, neg_inf = counts.tolist()
    return Broken(nan, pos_inf, neg_inf, *(first if first is not None else (None, None)))


def largest_of(series: Mapping[str, Buckets]) -> dict[str, float]:
    """The largest finite value of each kind of memory, over its devices; the kind stands for the series."""
    found: dict[str, float] = {}
    for name, buckets in series.items():
        known = buckets.max[np.isfinite(buckets.max)]
        if len(known):
            kind = memory_kind(name) or name
            found[kind] = max(found.get(kind, 0.0), float(known.max()))
    return found


MEMORY_KINDS = ("peak_gib", "allocated_gib", "rss_gib")  # the one that all have is compared, in this order


def memory_kind(name: str) -> str | None:
    """Of `memory/cuda:0/peak_gib` the last part; None of what is no memory in use."""
    kind = name.rpartition("/")[2]
    is_memory = names.kind_of(name) == "memory" or name == names.system("rss_gib")
    return kind if is_memory and kind in MEMORY_KINDS else None


def results_in(series: Iterable[str]) -> list[str]:
    """The series that say how good a model is, the best word first: accuracies of evaluation, other accuracies,
    losses of evaluation; at most RESULTS_MAX of the first kind that there is."""
    ranked = [(rank, name) for name in series if (rank := _rank(name)) is not None]
    best = min((rank for rank, _ in ranked), default=None)
    return sorted(name for rank, name in ranked if rank == best)[:RESULTS_MAX]


def is_higher_better(name: str) -> bool:
    """Of a result."""
    return bool(_words(name) & HIGHER)


def _rank(name: str) -> int | None:
    is_evaluated = bool(_words(name) & EVALUATED)
    if names.kind_of(name) == "loss" and is_evaluated:
        return 2
    if names.kind_of(name) != "scalar":
        return None
    if is_higher_better(name):
        return 0 if is_evaluated else 1
    return 2 if is_evaluated and _words(name) & LOWER else None


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _error(means: Floats, size: int) -> float | None:
    """The standard error of the median of the last `size`, by increments: a trend is no noise."""
    steps = np.diff(means[~np.isnan(means)])
    if len(steps) < 3:
        return None
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2)
    return float(MEDIAN_SE * sigma / np.sqrt(size))
