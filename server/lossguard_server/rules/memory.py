"""A run's memory: takes rows, and shows them as a window with all that was known before each.

Rules of this file:
- What a row is compared with never depends on the row itself, nor on where windows were cut.
- The gradient norms of a step that was skipped are of an update that was not taken: they are shown, and excused.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names
from lossguard.protocol.messages import Declaration

from .baseline import Baselines
from .composition import Composition
from .following import Followed, follow
from .healthy import Healthy
from .page import Page
from .remedy import Remedy
from .restarts import Restarts
from .schedule import Schedule
from .warm_up import WARM_UP_SAMPLES
from .window import GRADIENT_ORDER, Counts, Mask, Window

FLOOR, GRAD_FLOOR = 0.01, 0.05

EVALUATION_ORDER = 10.0  # what an evaluation finds comes behind what the step found
GRADIENT_KINDS = ("grad_norm", "param_grad_norm")

Numbers = npt.NDArray[np.intp]


class Memory:
    """Everything that is known of one run."""

    def __init__(self) -> None:
        self.base = Baselines()
        self.schedule = Schedule(Declaration(seq=0))
        self._healthy, self._composition, self._restarts = Healthy(), Composition(), Restarts()
        self._names: list[str] = []
        self._index: dict[str, int] = {}
        self._last = np.zeros(0)  # the last value of each series
        self._first_step: int | None = None
        self.samples = 0  # rows with a total, so far
        self._skipped_rows = 0
        self._arrange()

    @property
    def names(self) -> tuple[str, ...]:
        """The series, by number."""
        return tuple(self._names)

    @property
    def count(self) -> int:
        """So many series are known."""
        return len(self._names)

    def knows(self, series: Sequence[str]) -> bool:
        """All of them have come before."""
        return all(name in self._index for name in series)

    def declare(self, declaration: Declaration) -> None:
        """What the run is made of; replaces what was declared before."""
        self.schedule = Schedule(declaration)
        self._arrange()

    def numbers_of(self, series: Sequence[str]) -> Numbers:
        """The numbers of series by name; new names get new numbers."""
        new = list(dict.fromkeys(name for name in series if name not in self._index))
        if new:
            floors = [GRAD_FLOOR if names.kind_of(name) == "grad_norm" else FLOOR for name in new]
            self._index |= dict(zip(new, self.base.add(floors), strict=True))
            self._names += new
            self._last = np.concatenate([self._last, np.full(len(new), nan)])
            self._arrange()
        return np.array([self._index[name] for name in series], dtype=np.intp)

    def windows(self, page: Page, remedies: Mapping[str, Remedy] | None = None) -> Iterator[Window]:
        """The rows as windows, in order, in each of which a series means the same: mostly one. A window is to be used
        before the next is asked for."""
        while len(page.steps):
            count = self._rows_alike(page)
            yield self.follow(page.part(0, count), remedies)
            page = page.part(count, len(page.steps))

    def _rows_alike(self, page: Page) -> int:
        """So many rows until a series turns negative, or a negative one has found its unit."""
        signed = self.base.signed
        negative = page.fresh & (page.values < 0) & np.isfinite(page.values) & ~signed
        count = len(page.steps)
        if not signed.any() and not negative.any():
            return count
        turning = negative[0]
        if negative[1:].any():
            count = 1 + int(negative[1:].any(axis=1).argmax())
        for number in np.flatnonzero((signed & (self.base.quiet > 0)) | turning).tolist():
            left = WARM_UP_SAMPLES if turning[number] else int(self.base.quiet[number])
            samples = np.cumsum(np.isfinite(page.values[:, number]))
            if samples[-1] >= left:
                count = min(count, 1 + int((samples >= left).argmax()))
        return count

    def follow(self, page: Page, remedies: Mapping[str, Remedy] | None = None) -> Window:
        """The rows as a window. They are learned: the next page is compared with them too."""
        if self._first_step is None:
            self._first_step = int(page.steps[0])
        skipped_rows = self._count_skipped(page)
        excused = np.zeros_like(page.fresh)
        if skipped_rows.any():
            excused[:, self._gradient_numbers] = page.fresh[:, self._gradient_numbers]
            excused &= (skipped_rows > 0)[:, None]
        with np.errstate(all="ignore"):  # 0 * inf and its like are findings here, not accidents
            terms = self._composition
            weights, losses = terms.weights_in_force(page, self.base, self._last), terms.losses(page)
            moved = terms.moves(page, weights)
            predicted = np.full(len(page.steps), nan)
            rebase = terms.rebase_at(page, self.base, weights, losses, predicted)
            stops = {t: rebase(t) for t in np.flatnonzero(moved).tolist()}
            known_before = self.base.quiet == 0
            followed = follow(self.base, page, excused, stops, self._learn_again(page))
            components = terms.of(page, followed, weights, losses)
            references = self._healthy.follow(
                page.steps, self._whole(page), moved, self._is_off(page, followed), components
            )
        samples_before = self.samples
        self._remember(page, skipped_rows)
        return Window(
            steps=page.steps,
            index=dict(self._index),
            names=tuple(self._names),
            values=page.values,
            fresh=page.fresh,
            live=followed.live,
            excused=excused,
            judged=followed.judged,
            levels=followed.levels,
            signed=followed.signed,
            unit=followed.unit,
            known_before=known_before,
            past=followed.past,
            order=self._order,
            schedule=self.schedule,
            first_step=self._first_step,
            samples_before=samples_before,
            components=components,
            skipped_rows=skipped_rows,
            moved=moved,
            predicted=predicted,
            references=references,
            remedies={} if remedies is None else remedies,  # the same dict for ever, also while it is empty
        )

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _learn_again(self, page: Page) -> dict[int, Numbers]:
        """By row: the series whose level is another from there on, because the learning rate restarted."""
        number = self._index.get(names.LR)
        if number is None:
            return {}
        rows = np.flatnonzero(page.fresh[:, number] & np.isfinite(page.values[:, number]))
        samples = self.samples + np.cumsum(self._whole(page))
        found = self._restarts.watch(page.values[rows, number], samples[rows])
        return {int(rows[at]): self._loss_numbers for at in found}

    def _count_skipped(self, page: Page) -> Counts:
        """[T]: so many rows with this one say that their update was kept out of the weights; 0: this one does not."""
        counts = np.zeros(len(page.steps), np.int64)
        number = self._index.get(names.SKIPPED)
        if number is None or not page.fresh[:, number].any():
            return counts
        rows = np.flatnonzero(page.fresh[:, number])
        is_skipped = page.values[rows, number] > 0
        position = np.arange(len(rows)) + 1
        since = position - np.maximum.accumulate(np.where(is_skipped, 0, position))
        # those before the first row that was not skipped go on from the last page
        goes_on = np.logical_and.accumulate(is_skipped)
        counts[rows] = np.where(is_skipped, since + np.where(goes_on, self._skipped_rows, 0), 0)
        return counts

    def _remember(self, page: Page, skipped_rows: Counts) -> None:
        number = self._index.get(names.SKIPPED)
        if number is not None and page.fresh[:, number].any():
            self._skipped_rows = int(skipped_rows[np.flatnonzero(page.fresh[:, number])[-1]])
        self.samples += int(self._whole(page).sum())
        has_come = page.fresh.any(axis=0)
        last = len(page.steps) - 1 - page.fresh[::-1].argmax(axis=0)
        self._last = np.where(has_come, page.values[last, np.arange(self.count)], self._last)

    def _whole(self, page: Page) -> Mask:
        number = self._index.get(names.TOTAL)
        return np.ones(len(page.steps), np.bool_) if number is None else page.fresh[:, number]

    def _is_off(self, page: Page, followed: Followed) -> Mask:
        """[T]: the total is far above its level, or not finite."""
        number = self._index.get(names.TOTAL)
        if number is None:
            return np.zeros(len(page.steps), np.bool_)
        return self._healthy.is_off(followed.levels.deviation[:, number], followed.live[:, number])

    # -- what follows from names and declaration ----------------------------------------------------------------------

    def _arrange(self) -> None:
        self._order = np.array([order_of(name) for name in self._names])
        self._composition.arrange(self.schedule, self._index)
        gradients = [number for name, number in self._index.items() if names.kind_of(name) in GRADIENT_KINDS]
        self._gradient_numbers = np.array(gradients, dtype=np.intp)
        losses = [number for name, number in self._index.items() if names.kind_of(name) == "loss"]
        self._loss_numbers = np.array(losses, dtype=np.intp)

    # -- kept over restarts -------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All of it but the declaration, as arrays and plain values."""
        return {
            "names": list(self._names),
            "base": self.base.dump(),
            "healthy": self._healthy.dump(),
            "restarts": self._restarts.dump(),
            "last": self._last,
            "weights": self._composition.weights,
            "first_step": self._first_step,
            "samples": self.samples,
            "skipped_rows": self._skipped_rows,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], declaration: Declaration) -> "Memory":
        """What `dump` gave."""
        memory = cls()
        memory._names = list(data["names"])
        memory._index = {name: number for number, name in enumerate(memory._names)}
        memory.base = Baselines.load(data["base"])
        memory._healthy, memory._restarts = Healthy.load(data["healthy"]), Restarts.load(data["restarts"])
        memory._last, memory._composition.weights = np.array(data["last"]), np.array(data["weights"])
        memory._first_step, memory.samples = data["first_step"], data["samples"]
        memory._skipped_rows = data["skipped_rows"]
        memory.declare(declaration)
        return memory


def order_of(name: str) -> float:
    """Where a series stands in the flow of computation; infinite for what may be non-finite and healthy."""
    if name.startswith(names.EVALUATED):
        return EVALUATION_ORDER + order_of(name.removeprefix(names.EVALUATED))
    kind = names.kind_of(name)
    if kind == "loss":
        return 3.0 if name == names.TOTAL else 1.0
    if kind == "grad_norm":
        return GRADIENT_ORDER + 1 if name == names.GRAD_NORM_TOTAL else GRADIENT_ORDER
    return {"matrix": 0.0, "contribution": 2.0}.get(kind, inf)
