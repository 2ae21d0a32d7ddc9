"""A run's memory: takes one row at a time, shows it as a window, and learns it after the rules have judged.

Rules of this file:
- `see` then `learn`, once for each row; nothing is learned before it is judged.
- The gradient norms of a step that was skipped are of an update that was not taken: they are shown, and excused.
- The weights in force are the `weight/<component>` series; a declared weight stands in where there is none.
- When weights move, the total is expected to move with them: its level is set to what the weights say, as long as that
  is at most twice the old level. A schedule that does more than double the total is a finding, not a baseline.
- The reference (the last healthy point) stands still while the total is off its level and while weights move, for at
  most 1,000 samples: blame compares with before the trouble, not with its middle.
"""

from collections.abc import Mapping
from math import exp, inf, isfinite, log, nan

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names
from lossguard.protocol.messages import Declaration

from .baseline import Baselines, Floats
from .remedy import Remedy
from .schedule import Schedule
from .window import GRADIENT_ORDER, Components, Reference, Window

FLOOR, GRAD_FLOOR, EASED_FLOOR = 0.01, 0.05, 0.10
EASED_SAMPLES = 20  # after the schedule moved the total, its spread is taken to be at least 10 %
ACCEPTED_FACTOR = 2.0
EXPLAINED = 0.05  # contributions that miss the total by more than this cannot predict it
CALM = 3.0  # spreads
SETTLED_SAMPLES = 20
FROZEN_SAMPLES_MAX = 1000
MOVED = 1e-3  # relative: below it a weight that drifts all the time (a cosine) does not count as moving

GRADIENT_KINDS = ("grad_norm", "param_grad_norm")

Numbers = npt.NDArray[np.intp]


class History:
    """Everything that is known of one run."""

    def __init__(self) -> None:
        self.base = Baselines()
        self.schedule = Schedule(Declaration(seq=0))
        self.reference: Reference | None = None
        self._index: dict[str, int] = {}
        self._names: list[str] = []
        self._order, self._low, self._high = np.zeros(0), np.zeros(0), np.zeros(0)
        self._components: tuple[str, ...] = ()
        self._weight_numbers = self._loss_numbers = self._gradient_numbers = np.zeros(0, dtype=np.intp)
        self._weights = np.zeros(0)
        self._first_step: int | None = None
        self._moved_sample: int | None = None
        self._eased_samples = 0
        self._samples = 0  # rows with a total
        self._skipped_rows = 0

    def declare(self, declaration: Declaration) -> None:
        """What the run is made of; replaces what was declared before."""
        self.schedule = Schedule(declaration)
        self._arrange()

    def numbers_of(self, series: list[str]) -> Numbers:
        """The numbers of series by name; new names get new numbers."""
        new = [name for name in series if name not in self._index]
        for name in dict.fromkeys(new):
            self._index[name] = self.base.add(GRAD_FLOOR if names.kind_of(name) == "grad_norm" else FLOOR)
            self._names.append(name)
        if new:
            self._arrange()
        return np.array([self._index[name] for name in series], dtype=np.intp)

    def see(
        self,
        step: int,
        ids: Numbers,
        row: Floats,
        open_alerts: frozenset[tuple[str, str]] = frozenset(),
        remedies: Mapping[str, Remedy] | None = None,
    ) -> Window:
        """The window of one row: `ids` from numbers_of, `row` [len(ids)]."""
        if self._first_step is None:
            self._first_step = step
        with np.errstate(all="ignore"):  # 0 * inf and its like are findings here, not accidents
            self.base.see(step, ids, row)
            if skipped_rows := self._count_skipped():
                self.base.excuse(self._gradient_numbers)
            components = self._weigh(step)
            self._expect(components)
        return Window(
            step=step,
            stage=self.schedule.stage_at(step),
            steps_since_start=step - self._first_step,
            index=self._index,
            names=self._names,
            base=self.base,
            order=self._order,
            low=self._low,
            high=self._high,
            schedule=self.schedule,
            components=components,
            reference=self.reference,
            skipped_rows=skipped_rows,
            open=open_alerts,
            remedies=remedies or {},
        )

    def learn(self, window: Window) -> None:
        """Take the window's row into the memory."""
        is_whole = window.is_whole
        if window.number(names.SKIPPED) is not None:
            self._skipped_rows = window.skipped_rows
        with np.errstate(all="ignore"):
            self.base.learn(window.step)
            if is_whole and self._components:
                self._refer(window.components, window.step)

    # -- components and weights ---------------------------------------------------------------------------------------

    def _weigh(self, step: int) -> Components:
        base = self.base
        weights = np.where(self._weight_numbers < 0, nan, base.values[self._weight_numbers])
        for k in np.flatnonzero(np.isnan(weights)).tolist():
            number, declared = int(self._weight_numbers[k]), self.schedule.weight_at(self._components[k], step)
            # a weight that was reported as NaN is the truth and stays; one never reported is as declared
            if declared is not None and (number < 0 or not (base.seen[number] or base.fresh[number])):
                weights[k] = declared
        losses = np.where(base.fresh[self._loss_numbers], base.values[self._loss_numbers], nan)
        contributions = weights * losses
        rest = abs(self._fresh_total() - float(contributions[~np.isnan(contributions)].sum()))
        return Components(self._components, weights, losses, contributions, rest if isfinite(rest) else 0.0)

    def _fresh_total(self) -> float:
        number = self._index.get(names.TOTAL)
        return float(self.base.values[number]) if number is not None and self.base.fresh[number] else nan

    def _count_skipped(self) -> int:
        """So many rows with this one say that their update was kept out of the weights; 0: this one does not."""
        number = self._index.get(names.SKIPPED)
        if number is None or not self.base.fresh[number]:
            return 0
        return self._skipped_rows + 1 if self.base.values[number] > 0 else 0

    def _expect(self, components: Components) -> None:
        """Notice weights that moved; re-base the total on what they say."""
        total, number = self._fresh_total(), self._index.get(names.TOTAL)
        if number is None or not isfinite(total):
            return
        if self._eased_samples:
            self._eased_samples -= 1
            if not self._eased_samples:
                self.base.floor[number] = FLOOR
        before, self._weights = self._weights, components.weights
        if not _has_moved(before, components.weights):
            return
        self._moved_sample = self._samples
        if self.base.quiet[number] == 0 and components.rest <= EXPLAINED * abs(total):
            self._rebase(number, components)

    def _rebase(self, number: int, components: Components) -> None:
        usual = self.base.natural(self.base.fast)[self._loss_numbers]
        terms = components.weights * np.where(self.base.seen[self._loss_numbers] > 0, usual, components.losses)
        predicted = float(terms[~np.isnan(components.contributions)].sum())
        if not (isfinite(predicted) and predicted > 0) or self.base.signed[number]:
            return
        if predicted <= ACCEPTED_FACTOR * exp(self.base.level[number]):
            self.base.settle(number, log(predicted))
            self.base.floor[number], self._eased_samples = EASED_FLOOR, EASED_SAMPLES
            self.base.measure()

    # -- the last healthy point ---------------------------------------------------------------------------------------

    def _refer(self, components: Components, step: int) -> None:
        self._samples += 1
        if self.reference is not None and self._is_unsettled(self._samples - self.reference.samples):
            return
        usual = self.base.natural(self.base.fast)[self._loss_numbers]
        losses = np.where(self.base.seen[self._loss_numbers] > 0, usual, nan)
        self.reference = Reference(step, self._samples, components.names, components.weights, losses)

    def _is_unsettled(self, frozen_samples: int) -> bool:
        if frozen_samples > FROZEN_SAMPLES_MAX:
            return False
        if self._moved_sample is not None and self._samples - self._moved_sample <= SETTLED_SAMPLES:
            return True
        number = self._index.get(names.TOTAL)
        if number is None:
            return False
        off = self.base.quiet[number] == 0 and self.base.deviation[number] > CALM
        return bool(off) or not isfinite(self.base.values[number])

    # -- what follows from names and declaration ----------------------------------------------------------------------

    def _arrange(self) -> None:
        self._order = np.array([order_of(name) for name in self._names])
        contracts = [self.schedule.contracts.get(name) for name in self._names]
        self._low = np.array([nan if c is None or c.low is None else c.low for c in contracts])
        self._high = np.array([nan if c is None or c.high is None else c.high for c in contracts])
        weighted = [name.removeprefix("weight/") for name in self._names if name.startswith("weight/")]
        every = dict.fromkeys([*self.schedule.components, *weighted])
        known = [c for c in every if names.loss(c) in self._index and names.loss(c) != names.TOTAL]
        self._components = tuple(known)
        self._weight_numbers = self._numbers([names.weight(c) for c in known])
        self._loss_numbers = self._numbers([names.loss(c) for c in known])
        gradients = [name for name in self._names if names.kind_of(name) in GRADIENT_KINDS]
        self._gradient_numbers = self._numbers(gradients)

    def _numbers(self, series: list[str]) -> Numbers:
        return np.array([self._index.get(name, -1) for name in series], dtype=np.intp)


def order_of(name: str) -> float:
    """Where a series stands in the flow of computation; infinite for what may be non-finite and healthy."""
    kind = names.kind_of(name)
    if kind == "loss":
        return 3.0 if name == names.TOTAL else 1.0
    if kind == "grad_norm":
        return GRADIENT_ORDER + 1 if name == names.GRAD_NORM_TOTAL else GRADIENT_ORDER
    return {"matrix": 0.0, "contribution": 2.0}.get(kind, inf)


def _has_moved(before: Floats, now: Floats) -> bool:
    if len(before) != len(now):
        return len(before) > 0
    with np.errstate(invalid="ignore"):
        return bool((np.abs(now - before) > MOVED * np.maximum(np.abs(before), np.abs(now))).any())
