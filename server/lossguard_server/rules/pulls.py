"""How the components pull at the shared activation: the probes of a window, made ready for the rules about them.

    gamma_k = |w_k| ||g_k|| / sum of |w_j| ||g_j||         as logged: grad_share/<component>
    |g| / sum = sqrt(sum over j, k of gamma_j gamma_k cos_jk)   the length of their sum, in the same unit
    cos(g_k, g) = sum over j of gamma_j cos_kj / that

Rules of this file: a probe is a row that carries a share; values as they came, NaN where they are not known.
"""

from dataclasses import dataclass
from functools import cached_property
from math import nan

import numpy as np

from lossguard.protocol import names

from .base import Memory, Rows
from .prefixes import numbered
from .window import Floats, Mask, Window

SHARES, COSINES = names.grad_share(""), "grad_cos/"


@dataclass(frozen=True)
class Pulls:
    """[P] probes of [K] components that have a gradient share."""

    rows: Rows
    names: tuple[str, ...]
    shares: Floats  # [P, K] gamma
    cosines: Floats  # [P, K, K]; the diagonal is 1
    weights: Floats  # [P, K] in force
    losses: Floats  # [P, K] raw
    parts: Floats  # [P, K] of the total
    auxiliary: Mask  # [P, K]

    @property
    def length(self) -> Floats:
        """[P]: of the sum of the pulls, as a part of the sum of their lengths; NaN where a cosine is not known."""
        return np.asarray(np.sqrt(np.maximum((self.shares * self._along).sum(axis=1), 0.0)))

    @property
    def agreement(self) -> Floats:
        """[P, K]: the cosine of each pull with their sum."""
        return np.asarray(self._along / self.length[:, None])

    @cached_property
    def _along(self) -> Floats:
        """[P, K]: the sum of all pulls, along each."""
        # no einsum: over two components its last bits depend on the number of probes
        return np.asarray((self.shares[:, None, :] * self.cosines).sum(axis=2))


def pulls(window: Window, memory: Memory) -> Pulls | None:
    """The window's probes; None where there are none."""
    numbers = numbered(window, memory, SHARES)
    if not numbers:
        return None
    columns = list(numbers.values())
    rows = np.flatnonzero(window.fresh[:, columns].any(axis=1))
    if not len(rows):
        return None
    return Pulls(
        rows,
        tuple(numbers),
        window.values[rows][:, columns],
        _cosines(window, rows, list(numbers), numbered(window, memory, COSINES)),
        *_known(window, rows, list(numbers)),
    )


def _cosines(window: Window, rows: Rows, components: list[str], numbers: dict[str, int]) -> Floats:
    count = len(components)
    cosines = np.full((len(rows), count, count), nan)
    cosines[:, np.arange(count), np.arange(count)] = 1.0
    for i, a in enumerate(components):
        for j, b in enumerate(components):
            if (number := numbers.get(f"{a}|{b}")) is not None:
                cosines[:, i, j] = cosines[:, j, i] = window.values[rows, number]
    return cosines


def _known(window: Window, rows: Rows, components: list[str]) -> tuple[Floats, Floats, Floats, Mask]:
    """Weights, raw losses, parts of the total [P, K] each, and whether the component is auxiliary."""
    known = window.components
    shape = (len(rows), len(components))
    found = [np.full(shape, nan) for _ in range(3)]
    auxiliary = np.zeros(shape, np.bool_)
    minor = window.auxiliary
    for i, name in enumerate(components):
        if name in known.names:
            k = known.names.index(name)
            for column, values in zip(found, (known.weights, known.losses, known.shares), strict=True):
                column[:, i] = values[rows, k]
            auxiliary[:, i] = minor[rows, k]
    return found[0], found[1], found[2], auxiliary
