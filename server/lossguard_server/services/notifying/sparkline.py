"""A curve as one line of text.

Rules of this file: what is no number is a mark of its own, never a height; a curve longer than the line shows the
highest of each piece, because a spike is what is looked for.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

HEIGHTS = "▁▂▃▄▅▆▇█"
NAN, ABOVE, BELOW = "×", "↑", "↓"
WIDTH = 32  # a telephone's line


def sparkline(pairs: Iterable[Sequence[Any]], width: int = WIDTH) -> str:
    """The values of [[step, value], ...]; a value may be a number or one of JSON's words for one."""
    values = [value for value in map(_number, pairs) if value is not None]
    pieces = [_worst(values[at : at + size]) for at, size in _cuts(len(values), width)]
    finite = [value for value in pieces if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_mark(value, low, high) for value in pieces)


def _number(pair: Sequence[Any]) -> float | None:
    try:
        return float(pair[1])  # "NaN", "Infinity" and "-Infinity" are numbers to it, too
    except (TypeError, ValueError, IndexError):
        return None


def _cuts(count: int, width: int) -> list[tuple[int, int]]:
    edges = [piece * count // min(count, width) for piece in range(min(count, width) + 1)] if count else [0]
    return [(low, high - low) for low, high in pairwise(edges)]


def _worst(piece: Sequence[float]) -> float:
    strange = [value for value in piece if not math.isfinite(value)]
    return strange[0] if strange else max(piece)


def _mark(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return NAN
    if math.isinf(value):
        return ABOVE if value > 0 else BELOW
    span = high / 2 - low / 2  # halved, because the distance between two floats may be none
    if not span:
        return HEIGHTS[len(HEIGHTS) // 2 - 1]
    share = (value / 2 - low / 2) / span
    return HEIGHTS[min(int(share * len(HEIGHTS)), len(HEIGHTS) - 1)]
