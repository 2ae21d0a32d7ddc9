"""What the total is made of: the components' weights in force, and what they make of the usual raw losses.

Rules of this file:
- The weights in force are the `weight/<component>` series; a declared weight stands in where there is none.
- When weights move, the total is expected to move with them: its level is set to what the weights make of the usual
  raw losses. What a schedule does to the total is foretold by look_ahead, and compared by stage_mismatch.
- Where the new weights alone make the total jump, the gradient norms are expected to jump as far; how far is not known
  well, so for some samples their spread is taken to be wide. Small moves (a weight that is learned) excuse nothing.
"""

from collections.abc import Callable, Mapping
from math import isfinite, log, nan

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names as series_names
from lossguard.protocol.messages import Declaration

from .baseline import LEVEL, Baselines, natural
from .following import Followed
from .page import Page
from .schedule import Schedule
from .window import Components, Floats, Mask

EASED_FLOOR = 0.10
EASED_SAMPLES = 20  # after the schedule moved the total, its spread is taken to be at least 10 %
JUMP = 1.2  # the new weights make the total so many times what the old ones did
GRAD_KINDS = ("grad_norm", "param_grad_norm")
EASED_GRAD_FLOOR = 0.5  # of gradient norms after a jump: ten times the level is still 4.6 spreads
EXPLAINED = 0.05  # contributions that miss the total by more than this cannot predict it
MOVED = 1e-3  # relative: below it a weight that drifts all the time (a cosine) does not count as moving


class Composition:
    """The terms of a run's loss, over its rows."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self._schedule = Schedule(Declaration(seq=0))
        self._total: int | None = None
        self._weight_numbers: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._loss_numbers: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._gradient_numbers: list[int] = []
        self.weights = np.zeros(0)  # in force at the last row with a finite total
        self._before = np.zeros(0)  # the same before the page

    def arrange(self, schedule: Schedule, index: Mapping[str, int]) -> None:
        """What is declared, and the numbers of the series that have come."""
        weighted = [name.removeprefix("weight/") for name in index if name.startswith("weight/")]
        every = dict.fromkeys([*schedule.components, *weighted])
        total, loss, weight = series_names.TOTAL, series_names.loss, series_names.weight
        self.names = tuple(name for name in every if loss(name) in index and loss(name) != total)
        self._schedule, self._total = schedule, index.get(total)
        self._weight_numbers = np.array([index.get(weight(name), -1) for name in self.names], dtype=np.intp)
        self._loss_numbers = np.array([index[loss(name)] for name in self.names], dtype=np.intp)
        self._gradient_numbers = [index[name] for name in index if series_names.kind_of(name) in GRAD_KINDS]

    def weights_in_force(self, page: Page, base: Baselines, last: Floats) -> Floats:
        """[T, K]; `last` [S]: the last value of each series before the page."""
        rows = np.arange(len(page.steps))
        weights = np.full((len(rows), len(self.names)), nan)
        for k, number in enumerate(self._weight_numbers.tolist()):
            # a weight that was reported as NaN is the truth and stays; one never reported is as declared
            reported = np.zeros(len(rows), np.bool_) if number < 0 else page.fresh[:, number]
            was_reported = number >= 0 and bool(base.seen[number])
            newest = np.maximum.accumulate(np.where(reported, rows, -1))
            if number >= 0:
                weights[:, k] = np.where(newest >= 0, page.values[newest, number], last[number])
            if not was_reported and newest.min(initial=0) < 0:
                unknown = newest < 0
                weights[unknown, k] = self._schedule.weights_at(self.names[k], page.steps[unknown])
        return weights

    def losses(self, page: Page) -> Floats:
        """[T, K]; NaN where the row has none."""
        return np.asarray(page.values[:, self._loss_numbers])

    def moves(self, page: Page, weights: Floats) -> Mask:
        """[T]: rows with a finite total whose weights are not those of the last such row."""
        moved = np.zeros(len(page.steps), np.bool_)
        number, self._before = self._total, self.weights
        if number is None or not self.names:
            return moved
        rows = np.flatnonzero(np.isfinite(page.values[:, number]))
        if not len(rows):
            return moved
        now = weights[rows]
        is_known = len(self.weights) == len(self.names)
        before = np.vstack([self.weights if is_known else now[0], now[:-1]])
        moved[rows] = (np.abs(now - before) > MOVED * np.maximum(np.abs(before), np.abs(now))).any(axis=1)
        moved[rows[0]] |= not is_known and len(self.weights) > 0  # a component has come
        self.weights = now[-1].copy()
        return moved

    def rebase_at(
        self, page: Page, base: Baselines, weights: Floats, losses: Floats, predicted: Floats
    ) -> Callable[[int], Callable[[], None]]:
        """Makes the stop of a row: sets the total's level to what the row's weights say, and `predicted` of the row."""
        number = -1 if self._total is None else self._total

        def at(t: int) -> Callable[[], None]:
            def rebase() -> None:
                usual = base.usual(self._loss_numbers)
                terms = weights[t] * np.where(np.isnan(usual), losses[t], usual)
                contributions = weights[t] * losses[t]
                known = ~np.isnan(contributions)
                total = float(terms[known].sum())
                rest = abs(float(page.values[t, number]) - float(contributions[known].sum()))
                is_explained = rest <= EXPLAINED * abs(float(page.values[t, number]))
                was_known = not np.isnan(usual[known & (weights[t] != 0)]).any()
                if base.quiet[number] == 0 and is_explained and was_known and isfinite(total) and total > 0:
                    predicted[t] = total
                    self._ease_gradients(base, self._jump(page.values[:t, number], weights, t, usual))
                    if not base.signed[number]:
                        base.settle(number, log(total), EASED_SAMPLES, EASED_FLOOR)

            return rebase

        return at

    def _jump(self, totals: Floats, weights: Floats, t: int, usual: Floats) -> float:
        """How many times the total of the weights before it row t's weights make of the same raw losses. `totals`: of
        the rows before it."""
        earlier = len(totals) - 1
        while earlier >= 0 and not isfinite(totals[earlier]):
            earlier -= 1
        before = weights[earlier] if earlier >= 0 else self._before
        if len(before) != len(self.names):
            return 1.0
        known = ~np.isnan(usual)
        was, now = (float((each * usual)[known].sum()) for each in (before, weights[t]))
        return now / was if was > 0 and isfinite(now) else 1.0

    def _ease_gradients(self, base: Baselines, jump: float) -> None:
        if not jump > JUMP:
            return
        for number in self._gradient_numbers:
            if base.quiet[number] == 0 and not base.signed[number]:
                base.settle(number, float(base.state[LEVEL, number]) + log(jump), EASED_SAMPLES, EASED_GRAD_FLOOR)

    def of(self, page: Page, followed: Followed, weights: Floats, losses: Floats) -> Components:
        contributions = weights * losses
        sizes = np.abs(np.where(np.isfinite(contributions), contributions, 0.0))
        number = self._total
        total = np.full(len(page.steps), nan) if number is None else page.values[:, number]
        rest = np.abs(total - np.where(np.isnan(contributions), 0.0, contributions).sum(axis=1))
        rest = np.where(np.isfinite(rest), rest, 0.0)
        whole = sizes.sum(axis=1) + rest
        shares = np.divide(
            sizes, whole[:, None], out=np.zeros_like(sizes), where=np.isfinite(whole[:, None]) & (whole[:, None] > 0)
        )
        return Components(self.names, weights, losses, self._usual(followed), contributions, rest, shares)

    def _usual(self, followed: Followed) -> Floats:
        """[T, K]: the robust raw loss known before the row; NaN before its first."""
        at = self._loss_numbers
        usual = natural(followed.levels.fast[:, at], followed.signed[at], followed.unit[at])
        return np.where(followed.come[:, at], usual, nan)
