"""GET /api/compare: runs beside each other.

Rules of this file: what runs say of themselves is taken here, in the event loop's thread, which owns it; the points are
read, and all is computed, on the threads for long reads, one comparison or report at a time.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel
from sqlmodel import Session
from starlette.responses import Response

from ..errors import BadComparison
from ..services.clock import Clock
from ..services.comparing.compare import compare
from ..services.comparing.material import Happened, Intervention, Source, Told, material
from ..services.live import LiveRun
from ..services.registry import Registry
from ..services.views import state_of
from ..store import commands, comparing
from .answers import Json
from .http import REFUSALS
from .models import Num
from .reads import Reads

PATH = "/api/compare"
RUNS_MIN, RUNS_MAX = 2, 8
SHORT_ID = 8
NO_INTERVENTIONS = frozenset({"instrument"})  # it changes what is recorded, not what is trained
INTERVENTIONS_MAX = 500

Runs = Annotated[list[str], Query(alias="run", max_length=64)]
AxisName = Literal["step", "stage", "time"]


class PlacesOnAxis(BaseModel):
    """A step stands at x + (step - begin) * slope of the last piece that begins at or before it."""

    step: list[int]
    x: list[Num]
    slope: list[Num]
    last_step: int


class AxisBand(BaseModel):
    """A stage on the common axis."""

    name: str
    low: Num
    high: Num


class Axis(BaseModel):
    """What the runs are laid on; `places` by run."""

    kind: AxisName
    unit: str
    note: str
    places: dict[str, PlacesOnAxis]
    bands: list[AxisBand]


class Intervened(BaseModel):
    """A command that was applied to a run."""

    id: str
    kind: str
    step: int
    x: Num
    text: str


class ComparedRun(BaseModel):
    """One of the runs. `series`: what of it is compared; `name`: another than those of the other runs."""

    id: str
    project: str
    name: str
    state: str
    first_step: int
    last_step: int
    components: list[str]
    series: list[str]
    interventions: list[Intervened]


class PartedAt(BaseModel):
    """The first run and `run`: `at` on the axis, null where they do not part; `compared` false: it cannot be told."""

    run: str
    compared: bool
    at: Num | None
    same_until: int | None
    text: str
    steps: dict[str, int] | None = None
    resolution: int | None = None
    values: dict[str, Num] | None = None
    sigmas: Num | None = None
    not_finite: bool | None = None


class PartedSeries(BaseModel):
    """Where the runs part, by one series. `missing`: runs that do not have it."""

    series: str
    kind: Literal["total", "component", "gradient"]
    label: str
    missing: list[str]
    pairs: list[PartedAt]


class VerdictCell(BaseModel):
    """One run's answer; `value` null: it has none."""

    run: str
    value: Num | None
    text: str
    detail: str


class VerdictRow(BaseModel):
    """One question. `winners`: those that cannot be told from the best; `equal`: nobody wins."""

    key: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    cells: list[VerdictCell]
    winners: list[str]
    equal: bool
    why: str


class TreeNode(BaseModel):
    """A question of the decision tree."""

    key: str
    question: str
    answer: Literal["yes", "no", "unknown"]
    why: str
    leads: str


class TreeAnswer(BaseModel):
    """What the tree says of `run` against `against`, the first run. `cautions`: what it does not ask."""

    run: str
    against: str
    advice: Literal["reduce", "adopt", "hybrid"]
    text: str
    nodes: list[TreeNode]
    cautions: list[str]


class DifferentPath(BaseModel):
    """`values` by run; a run that lacks the path is left out."""

    path: str
    values: dict[str, Any]


class ConfigDifferences(BaseModel):
    """What differs between the declarations; `same`: how many paths do not."""

    rows: list[DifferentPath]
    left_out: int
    same: int


class Comparison(BaseModel):
    """Two to eight runs beside each other; the first is the one that the others are compared with."""

    axis: Axis
    runs: list[ComparedRun]
    parting: list[PartedSeries]
    verdict: list[VerdictRow]
    decisions: list[TreeAnswer]
    config: ConfigDifferences


class ComparingApi:
    """The handler."""

    def __init__(
        self,
        registry: Registry,
        points: Source,
        reading: Callable[[], AbstractContextManager[Session]],
        reads: Reads,
        clock: Clock,
    ) -> None:
        self._registry, self._points, self._reading, self._reads = registry, points, reading, reads
        self._clock = clock

    async def compare(self, run: Runs, axis: AxisName = "step") -> Response:
        """Where the runs part, which is better in what, what differs between them, and which to take."""
        if not RUNS_MIN <= len(run) <= RUNS_MAX or len(set(run)) < len(run):
            raise BadComparison(f"{len(run)} were asked for, {len(set(run))} of them different.")
        told = self._told([await self._registry.find(each) for each in run])
        return Json(await self._reads.alone(lambda: self._compare(told, axis)))

    def _told(self, runs: Sequence[LiveRun]) -> list[Told]:
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        return [
            Told(
                id=run.id,
                project=run.stored.project,
                name=name,
                state=state_of(run, now_s, wall_s),
                declaration=run.declaration,
                plan=run.plan,
                rank_count=run.stored.world_size,
            )
            for run, name in zip(runs, names_of(runs), strict=True)
        ]

    def _compare(self, told: Sequence[Told], axis: str) -> dict[str, Any]:
        return compare(self._points, [material(self._points, each, self._happened(each.id)) for each in told], axis)

    def _happened(self, run_id: str) -> Happened:
        with self._reading() as session:
            given = commands.in_states(session, run_id, ("applied",))
            return Happened(
                alerts=comparing.alerts_by_severity(session, run_id),
                incidents=comparing.incidents(session, run_id),
                interventions=tuple(
                    Intervention(each.id, each.kind, each.step, words_of(each))
                    for each in given[:INTERVENTIONS_MAX]
                    if each.step is not None and each.kind not in NO_INTERVENTIONS
                ),
            )


def names_of(runs: Sequence[LiveRun]) -> list[str]:
    """What each is called: as a person or its trainer named it, with its id where two have one name."""
    given = [run.stored.label or run.stored.name for run in runs]
    counts, short = Counter(given), Counter((name, run.id[:SHORT_ID]) for name, run in zip(given, runs, strict=True))
    return [
        name
        if counts[name] == 1
        else f"{name} ({run.id[:SHORT_ID] if short[name, run.id[:SHORT_ID]] == 1 else run.id})"
        for name, run in zip(given, runs, strict=True)
    ]


def words_of(command: commands.StoredCommand) -> str:
    """`set weight precursor to 1e-05 at step 1,204`."""
    given = [str(command.args[name]) for name in ("component", "stage", "value", "factor") if name in command.args]
    return " ".join([command.kind.replace("_", " "), *given, f"at step {command.step:,}"])


def add_routes(app: FastAPI, comparing_api: ComparingApi) -> None:
    """Put the handler on the app."""
    answers: dict[int | str, dict[str, Any]] = {200: {"model": Comparison}, **REFUSALS}
    handler = comparing_api.compare
    app.add_api_route(PATH, handler, methods=["GET"], response_model=None, responses=answers, operation_id="compare")
    app.add_api_route(PATH, handler, methods=["HEAD"], response_model=None, include_in_schema=False)
