"""A made run: what it declares, its rows, and what is wrong with it, if anything.

Rules of this file: a story is data; who made it says what is true of it, who judges it says what was seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lossguard.protocol.messages import Declaration

from .corpus import Floats

CauseKind = Literal["component", "matrix", "count", "data", "lr", "precision", "system"]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cause:
    """What broke first, in the words of an incident: a component of the loss, a matrix, a count, or something else."""

    kind: CauseKind
    name: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows that carry the same series."""

    steps: npt.NDArray[np.int64]
    columns: Mapping[str, Floats]


@dataclass(frozen=True)
class Story:
    """A run to judge. `causes`: any of them is a right answer; none: it must stay quiet."""

    name: str
    declaration: Declaration
    blocks: tuple[Block, ...]
    causes: tuple[Cause, ...] = ()
    onset: int = 0  # the first step at which it can be seen
    end: int | None = None  # the step at which the run is lost
    may_speak: frozenset[str] = field(default_factory=frozenset)  # rules that a quiet story allows


def blocks(
    steps: npt.NDArray[np.int64], columns: Mapping[str, Floats], seen: Mapping[str, Mask] | None = None
) -> tuple[Block, ...]:
    """Rows cut wherever the set of series changes. `seen`: at which rows a series is logged; without: at all."""
    seen = seen or {}
    partial = list(seen)
    if not partial:
        return (Block(steps, columns),)
    marks = np.array([seen[name] for name in partial])
    cuts = np.flatnonzero((marks[:, 1:] != marks[:, :-1]).any(axis=0)) + 1
    return tuple(_cut(steps, columns, seen, cuts))


def _cut(
    steps: npt.NDArray[np.int64], columns: Mapping[str, Floats], seen: Mapping[str, Mask], cuts: npt.NDArray[np.intp]
) -> Iterator[Block]:
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(steps)], strict=True):
        here = {name: values[start:end] for name, values in columns.items() if name not in seen or seen[name][start]}
        yield Block(steps[start:end], here)


def summed(weights: Mapping[str, Floats], losses: Mapping[str, Floats]) -> dict[str, Floats]:
    """The series of a loss that is a weighted sum: total, raw losses and weights."""
    with np.errstate(all="ignore"):
        total = np.zeros(len(next(iter(losses.values()))))
        for name, loss in losses.items():
            total = total + np.where(weights[name] == 0, 0.0, weights[name] * loss)
    columns = {"loss/total": total}
    columns |= {f"loss/{name}": loss for name, loss in losses.items()}
    return columns | {f"weight/{name}": weight for name, weight in weights.items()}
