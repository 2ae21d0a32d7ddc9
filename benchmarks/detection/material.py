"""Curves to inject failures into: levels and residuals of real healthy runs, never Gaussian noise.

Rules of this file:
- A curve is the level of one healthy run (a running median of its log, stretched to the length that is wanted) times
  residuals of a run, drawn in blocks of 25 samples, so their tails and their short memory are real.
- Loss and gradient norm of a curve come from one run, with the same blocks: where one jumps the other may too.
- "Clean" means that the oracle saw no lasting event; a source must be calmer than that, or its own troubles would be
  taken for what was injected: its loss level never rises by a quarter, its gradient level stays within a factor of 10,
  and no three samples in a row are three times their level. Of a critic only the last is asked: its level does wander.
- Every curve is scaled to end at 1; the story that uses it scales it to its own numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .corpus import Floats, Run

BLOCK = 25  # samples
SMOOTH = 51  # samples of the running median
SKIPPED = 0.05  # of a run, at its beginning: the first fall is not what a stage switch meets
LEAST = 400  # samples of a source
RISE, SPAN, BURST = np.log(1.25), np.log(10.0), np.log(3.0)


@dataclass(frozen=True)
class Source:
    """One healthy run, in logs: [n] each. `grad_level` and `grad_rest` are empty where it logs no gradient norm."""

    level: Floats
    rest: Floats
    grad_level: Floats
    grad_rest: Floats


@dataclass(frozen=True)
class Drawn:
    """A curve of n samples that ends at 1, and the gradient norm of the same run."""

    loss: Floats
    grad: Floats


class Material:
    """Sources to draw from; the same seed draws the same curves."""

    def __init__(self, runs: Iterable[Run]) -> None:
        healthy = [run for run in runs if run.is_healthy and len(run) >= LEAST and (run.loss > 0).all()]
        own = [_source(run) for run in healthy if run.grad_norm is not None]
        self._with_grad = [source for source in own if _is_level(source) and _is_calm(source)]
        self._rl = [source for source in (_source(run) for run in healthy if run.is_rl) if _is_calm(source)]

    def draw(self, rng: np.random.Generator, n: int) -> Drawn:
        """A curve of a supervised run, with its gradient norm."""
        return _drawn(self._with_grad[rng.integers(len(self._with_grad))], rng, n)

    def draw_rl(self, rng: np.random.Generator, n: int) -> Floats:
        """Residual factors of a healthy critic loss: heavy tails about a level of 1."""
        source = self._rl[rng.integers(len(self._rl))]
        return np.asarray(np.exp(source.rest[_blocks(rng, len(source.rest), n)]))


def _is_level(source: Source) -> bool:
    rise = source.level - np.minimum.accumulate(source.level)
    return bool(rise.max() <= RISE and np.ptp(source.grad_level) <= SPAN)


def _is_calm(source: Source) -> bool:
    high = [rest > BURST for rest in (source.rest, source.grad_rest)]
    return not any((each[2:] & each[1:-1] & each[:-2]).any() for each in high)


def _source(run: Run) -> Source:
    start = int(SKIPPED * len(run))
    level, rest = _split(run.loss[start:])
    grad_level, grad_rest = (np.zeros(0), np.zeros(0)) if run.grad_norm is None else _split(run.grad_norm[start:])
    return Source(level, rest, grad_level, grad_rest)


def _split(values: Floats) -> tuple[Floats, Floats]:
    """(level, residual) of the log of a series."""
    y = np.log(np.maximum(np.abs(values), 1e-30))
    padded = np.pad(y, SMOOTH // 2, mode="edge")
    level = np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTH), axis=1)
    return level, y - level


def _blocks(rng: np.random.Generator, length: int, n: int) -> np.ndarray:
    """[n] sample numbers of a source, in blocks drawn with replacement."""
    starts = rng.integers(0, length - BLOCK, size=n // BLOCK + 1)
    return (starts[:, None] + np.arange(BLOCK)).ravel()[:n]


def _drawn(source: Source, rng: np.random.Generator, n: int) -> Drawn:
    at = _blocks(rng, len(source.rest), n)
    place = np.linspace(0, len(source.level) - 1, n)
    own = np.arange(len(source.level))
    loss = np.interp(place, own, source.level) + source.rest[at]
    grad = np.interp(place, own, source.grad_level) + source.grad_rest[at]
    last = slice(-min(100, n), None)
    return Drawn(np.exp(loss - np.median(loss[last])), np.exp(grad - np.median(grad[last])))
