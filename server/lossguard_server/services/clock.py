"""Time, as a collaborator.

Rules of this file: services never import `time`; they are given a Clock, so that a test decides what time it is.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """`monotonic_s` for intervals; `wall_s`, epoch seconds, only as a label."""

    monotonic_s: Callable[[], float]
    wall_s: Callable[[], float]
