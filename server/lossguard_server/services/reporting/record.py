"""What a report is made of: one run, as plain values.

Rules of this file: values only. Maps have the shapes of docs/protocol.md section 2; numbers may be non-finite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossguard.protocol import names
from lossguard.protocol.frames import Columns, Steps

Item = Mapping[str, Any]
GRADIENTS = frozenset({"grad_norm", "param_grad_norm", "grad_share", "grad_cos"})
INK = -1  # the look of a total: no colour of the palette


@dataclass(frozen=True)
class NotFinite:
    """So many values of each kind lie in the steps from `step` up to and with `to`."""

    step: int
    to: int
    nan: int
    pos_inf: int
    neg_inf: int


@dataclass(frozen=True)
class Line:
    """One series as it is drawn: `steps` [n] ascending, `values` [n], NaN where nothing is drawn.

    `points`: how many the store holds of it; `buckets`: into how many they were gathered. `mean` [b] at `mean_steps`
    [b] is what areas are made of.
    """

    series: str
    label: str
    look: int
    steps: Steps
    values: Columns
    not_finite: tuple[NotFinite, ...] = ()
    points: int = 0
    buckets: int = 0
    mean_steps: Steps = field(default_factory=lambda: np.empty(0, np.int64))
    mean: Columns = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Contract:
    """What was declared of the line of this label; None leaves that side open."""

    label: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Chart:
    """`form`: "lines", "steps", "areas" (stacked) or "shares" (stacked to 100 %); `left_out`: series not drawn."""

    id: str
    title: str
    lines: tuple[Line, ...]
    unit: str = ""
    form: str = "lines"
    is_log: bool = False
    bounds: tuple[float, float] | None = None
    contracts: tuple[Contract, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class FirstNotFinite:
    """Where the run was not finite first; `series` may be many."""

    step: int
    series: tuple[str, ...]

    @property
    def is_gradients(self) -> bool:
        """Nothing but gradients, as far as it is told."""
        return bool(self.series) and all(names.kind_of(name) in GRADIENTS for name in self.series)


@dataclass(frozen=True)
class Record:
    """One run. Lists are oldest first.

    `of`: how many there are in the store of what is bounded here, by name ("alerts"); `charts` in reading order;
    `evidence` by incident; `rules` as GET /api/runs/{run}/rules has them; `made_s` epoch seconds.
    """

    run: Item
    made_s: float
    version: str
    seen_s: float
    stages: Sequence[Item]
    incidents: Sequence[Item]
    alerts: Sequence[Item]
    commands: Sequence[Item]
    events: Sequence[Item]
    audit: Sequence[Item]
    patch: Item
    rules: Sequence[Item]
    charts: Sequence[Chart]
    evidence: Mapping[str, Chart]
    first_not_finite: FirstNotFinite | None
    last_step: int
    series: int
    points: int
    of: Mapping[str, int] = field(default_factory=dict)
