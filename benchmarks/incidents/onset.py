"""Where an incident begins in the stored series, by a rule of thumb that no detection shares.

Which one, the kind of the truth's first bad series says: a weight shows in the total, a declared matrix or count in
itself, anything else where the total is NaN.

Rules of this file: pure. A series is its values by step.
"""

import statistics
from collections.abc import Mapping
from math import inf, isfinite

from lossguard.protocol.names import kind_of

JUMP = 2.0  # times its level: the total of denovo goes from 2.1 to 8 in one step, and its noise is a tenth
LEVEL = 20  # rows of which the median is a level
LEVEL_LEAST = 5  # rows from which there is one

Series = Mapping[int, float]
Limits = Mapping[str, float | None] | None


def begins(first_bad: str, total: Series, named: Series, limits: Limits) -> int | None:
    """The step, None where there is none. `named`: the series `first_bad`; `limits`: its declared range."""
    kind = kind_of(first_bad)
    if kind == "weight":
        return _jump(total)
    if kind in ("matrix", "count") and limits is not None:
        return _breach(named, limits)
    return next((step for step in sorted(total) if not isfinite(total[step])), None)


def _jump(total: Series) -> int | None:
    before: list[float] = []
    for step in sorted(total):
        level = statistics.median(before[-LEVEL:]) if len(before) >= LEVEL_LEAST else inf
        if not total[step] <= JUMP * level:  # so is NaN
            return step
        before.append(total[step])
    return None


def _breach(named: Series, limits: Mapping[str, float | None]) -> int | None:
    low, high = (end if (each := limits.get(name)) is None else each for name, end in (("low", -inf), ("high", inf)))
    return next((step for step in sorted(named) if not low <= named[step] <= high), None)
