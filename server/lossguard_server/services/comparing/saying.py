"""How a comparison says numbers and names.

Rules of this file: pure. A number that is not finite is said as such, an absent one as a dash.
"""

import math
from collections.abc import Sequence

ABSENT = "-"


def number(value: float | None, digits: int = 4) -> str:
    """`0.0123`, `1.6e-05`, `NaN`, `+Inf`; a dash for none."""
    if value is None:
        return ABSENT
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """Of a share; a dash for none."""
    return ABSENT if value is None else f"{number(100 * value, 3)} %"


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a, b and c`; of more than `most` the rest is counted."""
    told = [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}" if told else ""


def times(count: int, one: str, several: str = "") -> str:
    """`1 step`, `3 steps`."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
