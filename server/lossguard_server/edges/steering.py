"""What steers a run: its schedule, its curriculum as a file, and single commands, looked at or taken back.

Rules of this file: as in edges/http.py, a handler asks one service and answers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ..services.commands import Commands
from ..services.live import LiveRun
from ..services.plans import curriculum_patch, schedule_view
from ..services.registry import Registry
from ..services.tokens import Principal
from ..store import commands as stored_commands
from ..store.columns import Reading
from . import models
from .answers import Json
from .gate import PRINCIPAL
from .http import REFUSALS
from .models import Num

SCHEDULE, CURRICULUM = "/api/runs/{run}/schedule", "/api/runs/{run}/curriculum"
COMMAND, CANCEL = "/api/commands/{id}", "/api/commands/{id}/cancel"


class StageAhead(BaseModel):
    """A declared stage. `begins_at`: the step at which it will begin, if nothing more is done; null: it began, or never
    will as things are."""

    name: str
    start: int
    begins_at: int | None


class Hold(BaseModel):
    """The curriculum's clock stands still. `until` null: until it is released."""

    since: int | None
    until: int | None


class InForce(BaseModel):
    """What holds at a step. `gated`: components that take no part; `clip` null: as the script says."""

    weights: dict[str, Num]
    gated: list[str]
    lr_scale: Num
    clip: Num | None


class Change(BaseModel):
    """What is different from a step on, beside its `text`; what stays as it is is left out."""

    step: int
    text: str
    weights: dict[str, Num]
    stage: str | None = None
    held: Hold | None = None
    gated: list[str] | None = None
    lr_scale: Num | None = None
    clip: Num | None = None


class Operation(BaseModel):
    """A command that was applied, or that the run's curriculum came with."""

    step: int
    id: str
    kind: str
    args: dict[str, Any]


class OperationNow(Operation):
    """`in_force` false: its lease is over, or it was reverted, or its step is still to come."""

    in_force: bool


class Schedule(InForce):
    """What steers the run at its coming `step`, and what will begin or end by itself. `version`: the number of the
    newest command, for `expect_version`; `position`: the step of the curriculum that is in force."""

    version: int
    step: int
    position: int
    held: Hold | None
    stage: str | None
    stages: list[StageAhead]
    changes: list[Change]
    operations: list[OperationNow]


class CurriculumStage(BaseModel):
    """One declared stage; a weight is a number or {start, end, steps}."""

    name: str
    start: int
    weights: dict[str, Num | dict[str, Num]]


class Piece(BaseModel):
    """What holds from one change to the next; a weight that moves is [at the first step, at the last]. `to` null: from
    then on."""

    from_: int = Field(alias="from")
    to: int | None
    stage: str | None
    weights: dict[str, Num | list[Num]]
    gated: list[str]
    lr_scale: Num
    clip: Num | None
    held: bool


class Curriculum(BaseModel):
    """The file that `lg.Curriculum.load` reads. `effective` is for people."""

    lossguard: Literal["curriculum"]
    version: Literal[1]
    run: str
    exported_at_step: int
    components: list[str]
    stages: list[CurriculumStage]
    operations: list[Operation]
    effective: list[Piece]


class Steering:
    """The handlers."""

    def __init__(self, registry: Registry, commands: Commands, reading: Reading) -> None:
        self._registry, self._commands, self._reading = registry, commands, reading

    async def schedule(self, run: str) -> Response:
        """What is in force, and what will change by itself."""
        return Json(await asyncio.to_thread(self._schedule, await self._registry.find(run)))

    async def curriculum(self, run: str) -> Response:
        """The curriculum with all that was done to it, as a file that repeats the run."""
        patch = await asyncio.to_thread(curriculum_patch, await self._registry.find(run))
        name = f"filename=\"curriculum.json\"; filename*=UTF-8''{quote(run)}.curriculum.json"
        return Json(patch, headers={"Content-Disposition": f"attachment; {name}"})

    async def command(self, id: str) -> Response:
        """One command: what became of it so far."""
        return Json((await self._commands.find(id)).to_dict())

    async def cancel(self, request: Request, id: str) -> Response:
        """Take back a command that has not gone out."""
        principal = request.scope[PRINCIPAL]
        assert isinstance(principal, Principal)
        return Json((await self._commands.cancel(id, principal.token_id)).to_dict())

    def _schedule(self, run: LiveRun) -> dict[str, Any]:
        with self._reading() as session:
            version = stored_commands.newest_number(session, run.id)
        return schedule_view(run, version)


def add_routes(app: FastAPI, steering: Steering) -> None:
    """Put the handlers on the app."""
    _add(app, "GET", SCHEDULE, steering.schedule, Schedule)
    _add(app, "GET", CURRICULUM, steering.curriculum, Curriculum)
    _add(app, "GET", COMMAND, steering.command, models.Command)
    _add(app, "POST", CANCEL, steering.cancel, models.Command)


def _add(app: FastAPI, method: str, path: str, handler: Callable[..., Any], model: type[BaseModel]) -> None:
    answers: dict[int | str, dict[str, Any]] = {200: {"model": model}, **REFUSALS}
    name = handler.__name__
    app.add_api_route(path, handler, methods=[method], response_model=None, responses=answers, operation_id=name)
    if method == "GET":
        app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)
