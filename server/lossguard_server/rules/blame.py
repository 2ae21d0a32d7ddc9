"""Who moved the total: the change of a weighted sum, split exactly into losses that moved and weights that moved.

For every component, with midpoints over the two steps,

    w1*L1 - w0*L0  =  (w0+w1)/2 * (L1-L0)  +  (L0+L1)/2 * (w1-w0)
                      the loss moved          the schedule moved

which is an identity: nothing is left over. Percents are of the signed change, so a part that pulled the other way is
negative; they are whole numbers and add up to exactly 100 (largest remainder).

Over a span that a person chose each end is the median of its few samples, so that one noisy step decides nothing.

Rules of this file: exact rational arithmetic inside, so that the identity holds for any magnitudes; where a value is
not finite no sum can be split, and the components that are not finite share the blame instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite, nan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

END_SAMPLES = 5  # of each end of a span
Floats = npt.NDArray[np.float64]
Cause = Literal["loss", "schedule"]


@dataclass(frozen=True)
class Share:
    """One component at two steps: weight and raw loss before (0) and after (1)."""

    component: str
    weight0: float
    loss0: float
    weight1: float
    loss1: float

    @property
    def is_finite(self) -> bool:
        return all(isfinite(value) for value in (self.weight0, self.loss0, self.weight1, self.loss1))


@dataclass(frozen=True)
class Part:
    """`delta`: how much of the total's change this cause made; `percent` of the whole change, signed."""

    component: str
    cause: Cause
    delta: float
    percent: int


@dataclass(frozen=True)
class Blame:
    """The whole change, largest part first."""

    from_step: int
    to_step: int
    delta_total: float
    parts: tuple[Part, ...]
    text: str

    def to_dict(self) -> dict[str, Any]:
        parts = [
            {"component": p.component, "cause": p.cause, "delta": p.delta, "percent": p.percent} for p in self.parts
        ]
        return {
            "from_step": self.from_step,
            "to_step": self.to_step,
            "delta_total": self.delta_total,
            "parts": parts,
            "text": self.text,
        }


def decompose(from_step: int, to_step: int, shares: Sequence[Share]) -> Blame | None:
    """Split the change of the total between two steps; None when there is no change to split."""
    broken = [share.component for share in shares if not share.is_finite]
    if broken:
        return blame_broken(from_step, to_step, broken)
    pieces = [piece for share in shares for piece in _split(share) if piece[2]]
    delta = sum((piece[2] for piece in pieces), Fraction(0))
    if not delta:
        return None
    percents = round_to_hundred([piece[2] / delta for piece in pieces])
    parts = [
        Part(component, cause, _float(amount), percent)
        for (component, cause, amount), percent in zip(pieces, percents, strict=True)
    ]
    parts.sort(key=lambda part: -part.percent)
    return Blame(from_step, to_step, _float(delta), tuple(parts), _sentence(_float(delta), parts[0]))


def end_samples(n: int) -> int:
    """So many of the `n` samples of a span are each of its ends; 0: there are too few to compare."""
    return min(END_SAMPLES, n // 2)


def over_span(
    names: Sequence[str], weights: Floats, losses: Floats, known: npt.NDArray[np.bool_] | None = None
) -> list[Share]:
    """The components at both ends of a span, for `decompose`: `weights` and raw `losses` [K, n], in order of steps.

    n is at least 2; `known` [K, n]: there is a raw loss (None: always).
    A component not known at the start counts as brought in by the schedule: with the raw loss of the end, at the weight
    0. One not known at the end is left out.
    """
    few = end_samples(weights.shape[1])
    is_known = np.ones(losses.shape, np.bool_) if known is None else known
    shares = []
    for name, weight, loss, has in zip(names, weights, losses, is_known, strict=True):
        if not has[-few:].any():
            continue
        last_loss = _last(loss[-few:][has[-few:]])
        start = (_first(weight[:few]), _first(loss[:few][has[:few]])) if has[:few].any() else (0.0, last_loss)
        shares.append(Share(name, *start, _last(weight[-few:]), last_loss))
    return shares


def blame_broken(from_step: int, to_step: int, components: Sequence[str]) -> Blame:
    """The blame where values are not finite: the components that are not share it evenly."""
    percents = round_to_hundred([Fraction(1, len(components))] * len(components))
    parts = tuple(Part(name, "loss", nan, percent) for name, percent in zip(components, percents, strict=True))
    verb = "is" if len(components) == 1 else "are"
    return Blame(
        from_step, to_step, nan, parts, f"{', '.join(components)} {verb} not finite, so the total is not either."
    )


def round_to_hundred(fractions: Sequence[Fraction]) -> list[int]:
    """Whole percents of fractions that add up to 1; the percents add up to exactly 100 (largest remainder)."""
    percents = [fraction * 100 for fraction in fractions]
    floors = [floor(percent) for percent in percents]
    by_remainder = sorted(range(len(percents)), key=lambda i: floors[i] - percents[i])
    for i in by_remainder[: 100 - sum(floors)]:
        floors[i] += 1
    return floors


def _first(samples: Floats) -> float:
    """The median of those that are finite, so a sample of the data; where none is, the first."""
    finite = np.sort(samples[np.isfinite(samples)])
    return float(finite[(len(finite) - 1) // 2] if len(finite) else samples[0])


def _last(samples: Floats) -> float:
    """As `_first`; but what is not finite at the very end is so."""
    return _first(samples) if isfinite(samples[-1]) else float(samples[-1])


def _split(share: Share) -> tuple[tuple[str, Cause, Fraction], tuple[str, Cause, Fraction]]:
    w0, l0 = Fraction(share.weight0), Fraction(share.loss0)
    w1, l1 = Fraction(share.weight1), Fraction(share.loss1)
    moved_loss, moved_schedule = (w0 + w1) / 2 * (l1 - l0), (l0 + l1) / 2 * (w1 - w0)
    return (share.component, "loss", moved_loss), (share.component, "schedule", moved_schedule)


def _float(amount: Fraction) -> float:
    try:
        return float(amount)
    except OverflowError:
        return float("inf") if amount > 0 else float("-inf")


def _sentence(delta: float, top: Part) -> str:
    way = "rose" if delta > 0 else "fell"
    cause = "its loss moved" if top.cause == "loss" else "its weight changed"
    # where other parts pulled the other way, one part is more than the whole
    share = f"{top.percent} % of that" if top.percent <= 100 else "all of that"
    return f"The total {way} by {abs(delta):.3g}: {share} is {top.component}, because {cause}."
