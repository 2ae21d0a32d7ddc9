"""What share of the total each component usually holds, and what share is declared.

Formula   usual share: over blocks of 50 complete rows, u += 0.4 * (mean of the block - u), so a memory of about 100
          rows; the first block after weights moved begins anew. A row is compared with the blocks before its own.
          Complete: a row with the total in which every component of a weight other than 0 was evaluated.

Rules of this file: sums go row by row, so they are the same however the rows were cut.
"""

from dataclasses import dataclass
from math import inf, nan

import numpy as np

from lossguard.protocol.names import share

from .base import Memory
from .window import Floats, Mask, Window

BLOCK_ROWS = 50
RATE = 0.4  # 1 - 0.99^50
NAMES, SUM, ROWS, USUAL = "names", "sum", "rows", "usual"


@dataclass(frozen=True)
class Usual:
    """`shares` [T, K]: what is usual before each row, NaN while nothing is; `complete` [T]: the row can be compared."""

    shares: Floats
    complete: Mask


def declared(window: Window) -> Floats:
    """[2, K]: the lowest and highest share that is declared of each component; both NaN where none is."""
    names = window.components.names
    found = np.full((2, len(names)), nan)
    for contract in window.schedule.declaration.contracts:
        for k, name in enumerate(names):
            if contract.series == share(name) and contract.kind in ("", "range", "bound"):
                found[0, k] = -inf if contract.low is None else contract.low
                found[1, k] = inf if contract.high is None else contract.high
    return found


def follow(window: Window, memory: Memory) -> Usual:
    """The usual shares before each row; the rows are learned."""
    known = window.components
    k = len(known.names)
    if memory.get(NAMES) != list(known.names):
        memory |= {NAMES: list(known.names), SUM: np.zeros(k), ROWS: 0, USUAL: np.full(k, nan)}
    complete = window.whole & (np.isfinite(known.contributions) | (known.weights == 0)).all(axis=1)
    usual = np.full(known.shares.shape, nan)
    moved = np.flatnonzero(window.moved)
    # while weights move at every row nothing is usual: only stretches in which they rest are worth a look
    edges = np.concatenate([[0], moved, [len(complete)]])
    for number, (first, last) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        if number:
            memory |= {SUM: np.zeros(k), ROWS: 0, USUAL: np.full(k, nan)}
        if last - first > 1 or number in (0, len(edges) - 2):  # the first may go on from before, the last behind
            _rest(known.shares, complete, first, last, usual, memory)
    return Usual(usual, complete)


def _rest(held: Floats, complete: Mask, first: int, last: int, usual: Floats, memory: Memory) -> None:
    """Rows in which no weight moves."""
    rows = first + np.flatnonzero(complete[first:last])
    at = 0
    usual[first:last] = memory[USUAL]
    while at < len(rows):
        taken = rows[at : at + BLOCK_ROWS - memory[ROWS]]
        memory[SUM] = np.cumsum(np.vstack([memory[SUM], held[taken]]), axis=0)[-1]
        memory[ROWS] += len(taken)
        at += len(taken)
        if memory[ROWS] == BLOCK_ROWS:
            mean, before = memory[SUM] / BLOCK_ROWS, memory[USUAL]
            memory[USUAL] = np.where(np.isnan(before), mean, before + RATE * (mean - before))
            memory |= {SUM: np.zeros(len(mean)), ROWS: 0}
            usual[taken[-1] + 1 : last] = memory[USUAL]
