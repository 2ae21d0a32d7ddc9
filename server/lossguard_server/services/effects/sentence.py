"""The sentence that says what a command did.

Rules of this file: pure; numbers have as many digits as a person needs. "The share of precursor went from 71 % to 24 %
in 50 steps, the alert ended at step 1,230: worked."
"""

from collections.abc import Callable, Sequence
from math import isfinite

from .stretch import Stretch

Clauses = list[str]


def number(value: float) -> str:
    """ "2.35", "0.0012", "1.6e+05"."""
    return f"{value:.3g}" if isfinite(value) else "not finite"


def percent(share: float) -> str:
    """ "71 %", "0.52 %"."""
    if not isfinite(share):
        return "unknown"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"


def step_name(step: int) -> str:
    """ "1,230"."""
    return f"{step:,}"


def went(what: str, medians: Sequence[float | None], say: Callable[[float], str]) -> Clauses:
    """One clause; none where one of both is not known."""
    known = [say(each) for each in medians if each is not None]
    if len(known) < 2:
        return []
    before, after = known
    return [f"{what} stayed at {after}" if before == after else f"{what} went from {before} to {after}"]


def sentence(clauses: Clauses, stretch: Stretch, verdict: str) -> str:
    """The first clause says over how many steps, and what ended them early."""
    until = "" if stretch.cut_by is None else f" (until {stretch.cut_by.text})"
    said = [f"{clauses[0]} in {stretch.steps:,} steps{until}", *clauses[1:]]
    text = ", ".join(said)
    return f"{text[0].upper()}{text[1:]}: {verdict}."
