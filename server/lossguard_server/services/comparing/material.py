"""What a comparison reads: of each run what was told of it, and buckets of its series.

Rules of this file: every read is bounded, however long the runs are: buckets to a width, raw points to LOOKED_POINTS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lossguard.protocol import names
from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Declaration
from lossguard.protocol.steering import Plan

from ...store.buckets import Buckets
from ...store.points import PointsAnswer, SeriesExtent
from .measured import memory_kind, results_in
from .parting import CELLS

WIDTH = 1_024
LOOKED_POINTS = 1 << 16  # increments of longer runs are looked at in windows: 64 chunks are decoded in about 20 ms
WINDOW_POINTS = 1_024
LOSSES_MAX = 64  # of a run that has more, the declared ones come first
MEMORY_MAX = 64
STEP_TIME = "step_time_s"
LOSS = names.loss("")


class Source(Protocol):
    """What is asked of store.points.Points."""

    def extents(self, run_id: str) -> list[SeriesExtent]: ...

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer: ...

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]: ...


@dataclass(frozen=True)
class Told:
    """What a run says of itself, as it was when it was asked. `name`: one that no other of the compared has."""

    id: str
    project: str
    name: str
    state: str
    declaration: Declaration
    plan: Plan
    rank_count: int


@dataclass(frozen=True)
class Intervention:
    """A command that was applied."""

    id: str
    kind: str
    step: int
    text: str


@dataclass(frozen=True)
class Happened:
    """What a run's tables say of it."""

    alerts: Mapping[str, int]
    incidents: int
    interventions: tuple[Intervention, ...]


@dataclass(frozen=True)
class Material:
    """All of a run that is compared. `whole`: buckets over all of its steps."""

    told: Told
    happened: Happened
    extents: Mapping[str, SeriesExtent]
    losses: tuple[str, ...]
    whole: Mapping[str, Buckets]
    first_step: int
    last_step: int

    def has(self, series: str) -> bool:
        return series in self.extents


def material(source: Source, told: Told, happened: Happened) -> Material:
    """Reads a run. One without a point ends at step -1."""
    extents = {extent.name: extent for extent in source.extents(told.id)}
    losses = _losses(extents, told.declaration.components)
    memory = [name for name in extents if memory_kind(name) is not None][:MEMORY_MAX]
    asked = [*losses, names.GRAD_NORM_TOTAL, STEP_TIME, *memory, *results_in(extents)]
    asked = [name for name in dict.fromkeys(asked) if name in extents]
    whole = source.query(told.id, asked, None, None, WIDTH).series if asked else {}
    paced = [extents[name] for name in (*losses, names.GRAD_NORM_TOTAL) if name in extents] or list(extents.values())
    return Material(
        told=told,
        happened=happened,
        extents=extents,
        losses=losses,
        whole=whole,
        first_step=min((extent.first_step for extent in paced), default=0),
        last_step=max((extent.last_step for extent in paced), default=-1),
    )


def looked_at(source: Source, found: Material, series: str) -> tuple[list[tuple[Steps, Columns]], float]:
    """(points of the series in windows of consecutive ones, the share of its points that they are)."""
    extent = found.extents[series]
    if extent.count <= LOOKED_POINTS:
        return [source.raw(found.told.id, [series], None, None)[series]], 1.0
    span = (extent.last_step - extent.first_step + 1) * WINDOW_POINTS / extent.count
    begins = np.linspace(extent.first_step, extent.last_step - span, LOOKED_POINTS // WINDOW_POINTS)
    windows = [
        source.raw(found.told.id, [series], int(begin), int(begin + span) - 1).get(series) for begin in begins.tolist()
    ]
    kept = [window for window in windows if window is not None and len(window[0])]
    return kept, sum(len(steps) for steps, _ in kept) / extent.count


def within(source: Source, found: Material, series: Sequence[str], first: int, last: int) -> Mapping[str, Buckets]:
    """Buckets of these series over [first, last], two a cell of a parting."""
    asked = [name for name in series if found.has(name)]
    return source.query(found.told.id, asked, first, last, 2 * CELLS).series if asked and first <= last else {}


def _losses(extents: Mapping[str, SeriesExtent], components: Sequence[str]) -> tuple[str, ...]:
    """The total first, then the declared components, then what else is called a loss."""
    declared = [name for name in (names.TOTAL, *map(names.loss, components)) if name in extents]
    others = sorted(name for name in extents if name.startswith(LOSS) and name not in declared)
    return tuple([*declared, *others][:LOSSES_MAX])
