"""What happens to a step's numbers when they have reached the host.

Rules of this file: in the training thread, at a boundary; on a GPU one or two steps after the step. Private names are
taken off; what became non-finite is told once, until it is finite again; a trip is told each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import NOT_CALLED
from .buffer import Note, Row
from .instrument import BAD
from .protocol import names
from .step_losses import MICRO

Values = npt.NDArray[np.float64]

NAMES_MAX = 1_000  # of an event: at 512 bytes each, half the message limit
LAYOUTS_MAX = 1_000


@dataclass(frozen=True)
class Trip:
    """A step that the guard found not to be finite."""

    step: int
    skipped: bool
    series: tuple[str, ...]
    micro_batch: int | None
    micro_batches: int

    def to_data(self, mode: str) -> dict[str, Any]:
        """The data of the `trip` event."""
        return {
            "mode": mode if self.skipped else "observe",
            "action": "skipped" if self.skipped else "observed",
            "series": list(self.series[:NAMES_MAX]),
            "micro_batch": self.micro_batch,
            "micro_batches": self.micro_batches,
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """One sentence."""
        what = ", ".join(self.series[:3]) + (f" and {len(self.series) - 3} more" if len(self.series) > 3 else "")
        where = "" if self.micro_batch is None else f" (micro-batch {self.micro_batch + 1} of {self.micro_batches})"
        end = "the update was skipped, weights and state are clean" if self.skipped else "the guard only observes"
        return f"{what} not finite at step {self.step}{where}: {end}."


@dataclass(frozen=True)
class _Layout:
    public: tuple[str, ...]
    shown: npt.NDArray[np.int64]
    activations: npt.NDArray[np.int64]  # places in `public`
    bad: int | None
    skipped: int | None
    micro: list[int]
    has_scale: bool

    @classmethod
    def of(cls, series: tuple[str, ...]) -> "_Layout":
        at = {name: i for i, name in enumerate(series)}
        shown = [i for i, name in enumerate(series) if not name.startswith(".")]
        micro = [i for i, name in enumerate(series) if name.startswith(MICRO)]
        public = tuple(series[i] for i in shown)
        active = [k for k, name in enumerate(public) if name.startswith("activation/")]
        return cls(
            public,
            np.array(shown),
            np.array(active, dtype=np.int64),
            at.get(BAD),
            at.get(names.SKIPPED),
            micro,
            names.LOSS_SCALE in at,
        )


class Arrivals:
    """Turns arrived vectors into rows and notes."""

    def __init__(
        self,
        add_row: Callable[[Row], None],
        add_note: Callable[[Note], None],
        clock: Callable[[], float],
        on_trip: Callable[[Trip], None],
    ) -> None:
        self._add_row, self._add_note, self._clock, self._on_trip = add_row, add_note, clock, on_trip
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._bad_before: set[str] = set()

    def __call__(self, step: int, series: tuple[str, ...], values: Values) -> None:
        """One step's values [len(series)]."""
        layout = self._layout(series)
        public, shown = layout.public, values if len(layout.public) == len(series) else values[layout.shown]
        if len(layout.activations) and (gone := layout.activations[shown[layout.activations] == NOT_CALLED]).size:
            kept = np.delete(np.arange(len(public)), gone)  # a module that was not called has no point
            public, shown = tuple(public[k] for k in kept), shown[kept]
        now_s = self._clock()
        self._add_row(Row(step, public, shown, now_s))
        skipped = layout.skipped is not None and values[layout.skipped] > 0
        finite = np.isfinite(shown)
        bad = () if finite.all() else tuple(public[i] for i in np.flatnonzero(~finite))
        if skipped and layout.has_scale and bad and all(_is_of_gradients(name) for name in bad):
            return  # a GradScaler probes infinity on purpose
        if set(bad) - self._bad_before:
            self._add_note(Note("nonfinite", step, now_s, {"series": sorted(bad)[:NAMES_MAX]}))
        self._bad_before = set(bad)
        if layout.bad is not None and values[layout.bad] > 0:
            micro = [k for k, i in enumerate(layout.micro) if not np.isfinite(values[i])]
            self._on_trip(
                Trip(step, bool(skipped), bad or ("buffers",), micro[0] if micro else None, len(layout.micro) or 1)
            )

    def _layout(self, series: tuple[str, ...]) -> _Layout:
        if series not in self._layouts:
            if len(self._layouts) >= LAYOUTS_MAX:  # names made up each step would grow this for ever
                self._layouts.clear()
            self._layouts[series] = _Layout.of(series)
        return self._layouts[series]


def _is_of_gradients(name: str) -> bool:
    return name.startswith(("grad_norm/", "param_grad_norm/", "grad_share/", "grad_cos/")) or name == "clip_coef"
