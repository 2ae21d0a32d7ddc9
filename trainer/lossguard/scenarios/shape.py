"""How large a scenario's transformer over rows is.

Rules of this file: numbers only; which they are, its model says.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """`rows`: the longest window or sequence."""

    rows: int
    width: int
    heads: int
    layers: int
