"""Points to as many buckets as a chart has pixels.

Rules of this file: pure. No spike and no non-finite point is lost at any width: a bucket keeps the extremes and the
first and last value as they are, and counts each kind of non-finite value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol.frames import Columns, Steps

from .folded.summaries import COUNT, FIRST, LAST, MAX, MEAN, MIN, NAN, NEG_INF, POS_INF, Entries, grouped, of_points

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Buckets:
    """Parallel arrays [b], one entry a bucket that holds points.

    `step` is the first step that holds a point. `min`, `max`, `mean` are of the finite values, NaN where there is none
    (`count` - `nan` - `pos_inf` - `neg_inf` is 0 there). `first` and `last` may be non-finite.
    """

    step: Steps
    first: Columns
    min: Columns
    max: Columns
    last: Columns
    mean: Columns
    nan: Counts
    pos_inf: Counts
    neg_inf: Counts
    count: Counts

    def to_dict(self) -> dict[str, list[Any]]:
        """Lists, keys as in docs/protocol.md; null where there is no finite value."""
        absent = self.count == self.nan + self.pos_inf + self.neg_inf
        answer: dict[str, list[Any]] = {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}
        for name in ("min", "max", "mean"):
            for index in np.flatnonzero(absent).tolist():
                answer[name][index] = None
        return answer


def bucketise(steps: Steps, values: Columns, first_step: int, last_step: int, width: int | None) -> Buckets:
    """At most `width` buckets of equal length over [first_step, last_step]; each point its own when they are fewer.

    `steps` [n] strictly increasing, within the range; `values` [n].
    """
    return bucketise_entries(of_points(steps, values), first_step, last_step, len(steps) if width is None else width)


def bucketise_entries(entries: Entries, first_step: int, last_step: int, width: int) -> Buckets:
    """As `bucketise`, of entries that lie within the range, in order; one belongs to the bucket of its first step."""
    if len(entries) > width:
        number = (entries.first_step - first_step) // _span(first_step, last_step, width)
        entries = grouped(entries, np.flatnonzero(np.append(True, number[1:] != number[:-1])))
    ints, floats = entries.ints, entries.floats
    return Buckets(
        step=entries.first_step,
        first=floats[FIRST],
        min=floats[MIN],
        max=floats[MAX],
        last=floats[LAST],
        mean=floats[MEAN],
        nan=ints[NAN],
        pos_inf=ints[POS_INF],
        neg_inf=ints[NEG_INF],
        count=ints[COUNT],
    )


def _span(first_step: int, last_step: int, width: int) -> int:
    """Steps a bucket: a whole number, so no product could overflow 64 bits, and edges do not jitter."""
    return -(-(last_step - first_step + 1) // width)
