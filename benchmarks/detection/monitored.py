"""lossguard itself, asked as a run would ask it: declaration, frames to rows, the real engine with its default rules.

Rules of this file:
- PAGE is what a person is told of at once: alerts as they fire, reopen or escalate with the severity critical. WATCH is
  those of any severity.
- An alert is placed at the row whose judgement told it, so at its last step, not at the first that counted against it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("trainer", "server") if str(ROOT / part) not in sys.path]

from lossguard.protocol.messages import Declaration, StageSpec  # noqa: E402
from lossguard_server.rules.alert import Alert, Transition  # noqa: E402
from lossguard_server.rules.base import Rule  # noqa: E402
from lossguard_server.rules.incident import IncidentChange  # noqa: E402
from lossguard_server.services.engine import Engine  # noqa: E402
from lossguard_server.store.rows import Layouts, Rows  # noqa: E402

from .corpus import Run, weights  # noqa: E402
from .scoring import Alerts  # noqa: E402
from .story import Block, Story  # noqa: E402

Tier = Literal["PAGE", "WATCH"]

RUN = "run"
TOLD: tuple[Transition, ...] = ("fired", "reopened", "escalated")
ROWS = 256  # of a frame


@dataclass(frozen=True)
class Heard:
    """What the engine told at a row. `row`: its number over the whole run."""

    row: int
    alert: Alert
    transition: Transition

    @property
    def is_page(self) -> bool:
        return self.alert.severity == "critical"


@dataclass(frozen=True)
class Told:
    """All that a run was told, in order."""

    alerts: list[Heard]
    incidents: list[IncidentChange]


def told(declaration: Declaration, blocks: Sequence[Block], rules: Sequence[Rule] | None = None) -> Told:
    """What the engine says of a run with these rows; without `rules` the default ones judge."""
    engine = Engine(lambda: 0.0, rules)
    engine.declare(RUN, declaration)
    found: list[Heard] = []
    incidents: list[IncidentChange] = []
    rows = sum(len(block.steps) for block in blocks)
    last_row: dict[int, int] = {}  # of a step, so far
    start = 0
    for block in blocks:
        for frame in _frames(block):
            last_row |= {step: start + i for i, step in enumerate(frame.steps.tolist())}
            start += len(frame.steps)
            changes = engine.observe(RUN, [frame])
            found += [Heard(last_row[change.alert.last_step], change.alert, change.transition) for change in changes]
            incidents += engine.news(RUN)
    found += [Heard(rows - 1, change.alert, change.transition) for change in engine.flush(RUN)]
    return Told([each for each in found if each.transition in TOLD], incidents + engine.news(RUN))


def heard(declaration: Declaration, blocks: Sequence[Block], rules: Sequence[Rule] | None = None) -> list[Heard]:
    """The alerts of `told`."""
    return told(declaration, blocks, rules).alerts


def _frames(block: Block) -> list[Rows]:
    """The block as frames of increasing steps, with the contributions that the server derives."""
    names = list(block.columns)
    layouts = Layouts(dict(enumerate(names)))
    values = np.array([block.columns[name] for name in names])
    falls = (np.flatnonzero(np.diff(block.steps) <= 0) + 1).tolist()
    edges = sorted({0, *falls, *range(0, len(block.steps), ROWS), len(block.steps)})
    return [layouts.rows(range(len(names)), block.steps[a:b], values[:, a:b]) for a, b in pairwise(edges)]


def story_of(run: Run) -> Story:
    """A run of the corpus as its script would have sent it."""
    columns = {"loss/total": run.loss}
    if run.grad_norm is not None:
        columns["grad_norm/total"] = run.grad_norm
    own = weights(run.loss, run.components)
    for name, values in run.components.items():
        columns[f"loss/{name}" if name in own else name] = values
    columns |= {f"weight/{name}": np.full(len(run), weight) for name, weight in own.items()}
    stages = [StageSpec("all", int(run.steps[0]), dict(own))] if own else []
    declaration = Declaration(seq=1, components=list(own), stages=stages)
    return Story(run.name, declaration, (Block(run.steps, columns),))


def notices(said: Told, tier: Tier) -> int:
    """How often a person is told: incidents that open or escalate. At PAGE only those that are critical. (That one
    doubles is told at most every ten minutes, and samples have no clock.)"""
    return sum(
        change.news in ("opened", "escalated") and (tier == "WATCH" or change.incident.severity == "critical")
        for change in said.incidents
    )


def alerts_of(found: Sequence[Heard], tier: Tier) -> Alerts:
    """The rows at which a tier speaks."""
    return np.unique(np.array([each.row for each in found if each.is_page or tier == "WATCH"], dtype=np.intp))
