"""Rows of a run in order of arrival, as arrays over its series.

Rules of this file: values only; what is known of the rows is the memory's.
"""

from dataclasses import dataclass

from .window import Counts, Floats, Mask


@dataclass(frozen=True)
class Page:
    """Rows in order of arrival: `values` and `fresh` [T, S] by series number."""

    steps: Counts
    values: Floats
    fresh: Mask

    def part(self, first: int, last: int) -> "Page":
        """Rows `first` up to but without `last`."""
        return Page(self.steps[first:last], self.values[first:last], self.fresh[first:last])
