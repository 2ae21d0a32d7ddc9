"""What people do with runs as things: rename, tag, put away, delete, bring back; and the small curves of many runs.

Rules of this file: as in edges/http.py, a handler asks one service and answers. The limits of what people say are
services/shelf.py's: its refusals tell more than a schema could.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from lossguard.protocol import names

from ..errors import UnknownRun
from ..services.clock import Clock
from ..services.live import LiveRun
from ..services.registry import Registry
from ..services.retention import Retention
from ..services.shelf import LABEL_MAX, NOTE_MAX, TAG_MAX, TAGS_MAX, Shelf
from ..services.tokens import Principal
from ..services.views import run_view
from ..store.buckets import Buckets
from ..store.points import Points
from . import models
from .answers import Json, items
from .gate import PRINCIPAL
from .http import REFUSALS
from .reads import Reads

RUNS, RUN, RESTORE, SPARKS = "/api/runs", "/api/runs/{run}", "/api/runs/{run}/restore", "/api/sparks"
SPARK_BUCKETS = 60
MAX_SPARKS = 200
AT_ONCE = 20  # runs a turn of a reading thread, which charts wait for


class RunChange(BaseModel):
    """What shall be different; what is left out stays. An empty label is none; `tags` are all that it shall have."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[str, Field(description=f"A person's own name for it: one line, {LABEL_MAX} characters.")] = ""
    note: Annotated[str, Field(description=f"At most {NOTE_MAX} characters.")] = ""
    tags: Annotated[list[str], Field(description=f"At most {TAGS_MAX}, of {TAG_MAX} characters each.")] = []
    archived: Annotated[bool, Field(strict=True, description="Put away: lists show it when they are asked to.")] = False


class ListedRun(models.Run):
    """`restorable_until_s`: of a run that is deleted, until when it can be brought back."""

    restorable_until_s: float | None = None


class Spark(BaseModel):
    """The total loss in few numbers: of each bucket the first step and the largest value, or one that is not finite, if
    there was one."""

    steps: list[int]
    totals: list[models.Num]


@dataclass(frozen=True)
class ShelfServices:
    """What the handlers ask."""

    clock: Clock
    registry: Registry
    points: Points
    shelf: Shelf
    retention: Retention
    reads: Reads


class ShelfApi:
    """The handlers."""

    def __init__(self, services: ShelfServices) -> None:
        self._of = services

    async def runs(self, deleted: bool = False) -> Response:
        """Every run, newest first; with `deleted` only those that are deleted and can be brought back."""
        found = await self._of.registry.newest_first(deleted)
        return items([self._listed(run) if deleted else self._view(run) for run in found])

    async def change_run(self, request: Request, run: str, body: RunChange) -> Response:
        """Name, describe, tag a run, or put it away."""
        said = body.model_dump(exclude_unset=True)
        return Json(self._view(await self._of.shelf.change(run, said, _actor(request))))

    async def delete_run(self, request: Request, run: str, now: bool = False) -> Response:
        """The run is hidden, and can be brought back for a while; with `now` all that is stored of it is gone."""
        if now:
            await self._of.retention.delete(run, _actor(request))
        else:
            await self._of.shelf.delete(run, _actor(request))
        return Response(status_code=204)

    async def restore_run(self, request: Request, run: str) -> Response:
        """A deleted run is there again."""
        return Json(self._view(await self._of.shelf.restore(run, _actor(request))))

    async def sparks(self, run: Annotated[list[str], Query(max_length=MAX_SPARKS)] = []) -> Response:  # noqa: B006
        """The total of each asked run, in at most 60 buckets; a run that is not there is left out."""
        known = [run_id for run_id in dict.fromkeys(run) if await self._is_there(run_id)]
        found: dict[str, Any] = {}
        for start in range(0, len(known), AT_ONCE):
            some = known[start : start + AT_ONCE]
            found |= await self._of.reads.run(lambda: {run_id: self._spark(run_id) for run_id in some})  # noqa: B023
        return Json(found)

    async def _is_there(self, run_id: str) -> bool:
        try:
            await self._of.registry.find(run_id)
        except UnknownRun:
            return False
        return True

    def _spark(self, run_id: str) -> dict[str, Any]:
        answer = self._of.points.query(run_id, [names.TOTAL], None, None, SPARK_BUCKETS)
        return spark_of(answer.series[names.TOTAL])

    def _view(self, run: LiveRun) -> dict[str, Any]:
        return run_view(run, self._of.clock.monotonic_s(), self._of.clock.wall_s())

    def _listed(self, run: LiveRun) -> dict[str, Any]:
        deleted_s = run.stored.deleted_s
        until_s = None if deleted_s is None else deleted_s + self._of.retention.keep_deleted_s
        return {**self._view(run), "restorable_until_s": until_s}


def spark_of(buckets: Buckets) -> dict[str, Any]:
    """The Spark of docs/protocol.md: no spike and no non-finite point is lost in it."""
    totals = buckets.max.copy()
    for counts, value in ((buckets.neg_inf, -math.inf), (buckets.pos_inf, math.inf), (buckets.nan, math.nan)):
        totals[np.asarray(counts) > 0] = value
    return {"steps": buckets.step.tolist(), "totals": totals.tolist()}


def add_routes(app: FastAPI, api: ShelfApi) -> None:
    """Put the handlers on the app."""
    listed = {"model": dict[str, list[ListedRun] | None]}
    for method, path, handler, answer in (
        ("GET", RUNS, api.runs, listed),
        ("PATCH", RUN, api.change_run, {"model": models.Run}),
        ("DELETE", RUN, api.delete_run, {"description": "Done."}),
        ("POST", RESTORE, api.restore_run, {"model": models.Run}),
        ("GET", SPARKS, api.sparks, {"model": dict[str, Spark]}),
    ):
        status = 204 if method == "DELETE" else 200
        answers: dict[int | str, dict[str, Any]] = {status: answer, **REFUSALS}
        app.add_api_route(
            path, handler, methods=[method], response_model=None, status_code=status, responses=answers,
            operation_id=handler.__name__,
        )  # fmt: skip
        if method == "GET":
            app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)


def _actor(request: Request) -> str:
    principal = request.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    return principal.token_id
