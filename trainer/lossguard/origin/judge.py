"""Decides for an op whose result is not finite: is it a birth, or whose child is it?

Rules of this file: pure. A value is a birth where everything that went in was finite; else it is the child of what
was not. An infinity that somebody meant (a mask's -inf) is nobody's fault while it stays one; a NaN made of it is a
birth.
"""

import cmath
from collections.abc import Sequence
from typing import NamedTuple

from .birth import Taint
from .content import Content


class Source(NamedTuple):
    """An input of the op that is not finite."""

    content: Content
    taint: Taint


class Verdict(NamedTuple):
    """`heir` of a taint; without one a birth, which may be meant."""

    heir: Taint | None
    is_meant: bool = False


def judge(result: Content, sources: Sequence[Source], numbers: Sequence[complex]) -> Verdict:
    """`result` is not finite; `numbers` are the op's Python numbers."""
    if result.has_nan:
        nans = [source for source in sources if source.content.has_nan]
        if nans:
            return Verdict(_blamed(nans).taint)
        unmeant = [source for source in sources if not source.taint.is_meant]
        if unmeant:
            return Verdict(unmeant[0].taint)
        return Verdict(None, is_meant=any(map(cmath.isnan, numbers)))
    if sources:
        return Verdict(_blamed(sources).taint)
    return Verdict(None, is_meant=not all(map(cmath.isfinite, numbers)))


def _blamed(sources: Sequence[Source]) -> Source:
    return next((source for source in sources if not source.taint.is_meant), sources[0])
