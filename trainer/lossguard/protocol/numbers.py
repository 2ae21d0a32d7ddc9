"""How numbers cross JSON, where NaN and the infinities have no spelling of their own.

Rules of this file:
- A non-finite float becomes exactly one of three words; nothing else is ever decoded from a word.
- Decoding happens only where a number is expected (`number_from_json`). A run that is *named* "NaN" stays a name.
- Nobody else in the project serialises floats to JSON: pydantic would write `null`, the standard library a bare `NaN`.
"""

import contextlib
import json
import math
from typing import Any

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number_to_json(value: float) -> float | str:
    """A float as JSON carries it: itself when finite, else its word."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def number_from_json(value: object) -> float:
    """The float that `number_to_json` wrote; raises ValueError for anything else."""
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer beyond float64 is no number of ours
            return float(value)
    raise ValueError(f"expected a number or one of {', '.join(WORDS)}, got {value!r}")


def jsonable(value: Any) -> Any:
    """A copy of `value` in which every non-finite float is a word; containers are walked, the rest is left alone."""
    if isinstance(value, float):
        return number_to_json(value)
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def dumps(value: Any) -> bytes:
    """JSON bytes that every parser reads, non-finite numbers included."""
    return json.dumps(jsonable(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
