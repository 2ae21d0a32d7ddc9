"""GET /api/runs/{run}/incidents and /api/runs/{run}/blame: what belongs together, and who moved the total.

Rules of this file: handlers ask one service or query each; blame reads points, so it waits with the reads of points.
"""

import asyncio
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from ..services.blame_of import Source, blame_of
from ..services.registry import Registry
from ..store import incidents
from ..store.columns import Reading
from .answers import Json, items
from .http import REFUSALS, FromStep, ToStep
from .models import Num
from .reads import Reads

INCIDENTS = "/api/runs/{run}/incidents"
BLAME = "/api/runs/{run}/blame"


class Headline(BaseModel):
    """The alert that is nearest to the root."""

    alert: str
    rule: str
    series: str
    component: str | None
    message: str


class Cause(BaseModel):
    """What the incident's cause is called; `name` may be empty."""

    kind: Literal["component", "matrix", "count", "data", "lr", "precision", "system"]
    component: str | None
    name: str
    rule: str
    text: str


class Sign(BaseModel):
    """Since `step` the series is off, `lead_steps` before the first symptom."""

    series: str
    step: int
    lead_steps: int
    deviation: Num | None


class Incident(BaseModel):
    """Alerts that belong together."""

    id: str
    run: str
    state: Literal["open", "closed"]
    severity: Literal["critical", "warning"]
    first_step: int
    last_step: int
    opened_s: float
    headline: Headline
    cause: Cause
    first_bad: list[Sign]
    alerts: list[str]
    count: dict[str, int]
    blame: dict[str, Any] | None
    remedy: dict[str, Any] | None


class Part(BaseModel):
    """How much of the change one component made, because its loss moved or its weight did."""

    component: str
    cause: Literal["loss", "schedule"]
    delta: Num
    percent: int


class Total(BaseModel):
    """What was measured of the total, and what of its change no component explains."""

    from_: Num
    to: Num
    delta: Num
    unexplained: Num

    model_config = {"alias_generator": lambda name: name.rstrip("_")}


class Ends(BaseModel):
    """A component at both ends."""

    component: str
    weight: tuple[Num, Num]
    loss: tuple[Num, Num]


class SpanBlame(BaseModel):
    """The change of the total over a range, in parts that add up to 100 %."""

    from_step: int
    to_step: int
    delta_total: Num
    parts: list[Part]
    text: str
    samples: int
    total: Total | None
    components: list[Ends]
    assumed: list[str]


class Incidents:
    """The handlers."""

    def __init__(self, registry: Registry, reading: Reading, points: Source, reads: Reads) -> None:
        self._registry, self._reading, self._points, self._reads = registry, reading, points, reads

    async def incidents(self, run: str) -> Response:
        """The run's incidents, newest first."""
        await self._registry.find(run)

        def read() -> list[dict[str, Any]]:
            with self._reading() as session:
                return incidents.newest_first(session, run)

        return items(await asyncio.to_thread(read))

    async def blame(self, run: str, from_: FromStep = None, to: ToStep = None) -> Response:
        """Who moved the total over [from, to]; without them over the whole run."""
        declaration = (await self._registry.find(run)).declaration
        return Json(await self._reads.run(lambda: blame_of(self._points, run, declaration, from_, to)))


def add_routes(app: FastAPI, handlers: Incidents) -> None:
    """Put the handlers on the app."""
    for path, handler, model in (
        (INCIDENTS, handlers.incidents, dict[str, list[Incident] | None]),
        (BLAME, handlers.blame, SpanBlame),
    ):
        answers: dict[int | str, dict[str, Any]] = {200: {"model": model}, **REFUSALS}
        app.add_api_route(
            path, handler, methods=["GET"], response_model=None, responses=answers, operation_id=handler.__name__
        )
        app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)
