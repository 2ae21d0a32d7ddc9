"""The HTTP surface of docs/protocol.md section 2.

Rules of this file: a handler asks one service and answers; what may be asked by whom is edges/access.py's, and was
decided before a handler runs.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from sqlmodel import Session
from starlette.responses import Response

from lossguard.protocol import PROTOCOL_VERSION
from lossguard.protocol import names as series_names

from ..services.clock import Clock
from ..services.commands import Commands, Intention
from ..services.judge import Judge
from ..services.live import LiveRun
from ..services.registry import Registry
from ..services.tokens import TICKET_LIFE_S, Keyring, Principal, Tickets
from ..services.views import contract_view, run_view, stages_view
from ..services.what_if import what_if
from ..store import audit, commands, events, verdicts
from ..store.points import Points
from ..store.tokens import StoredToken
from . import models
from .answers import MSGPACK, Json, asks_for_msgpack, items, items_bytes
from .gate import PRINCIPAL
from .points_answer import json_points, packed_points
from .reads import Reads

MAX_WIDTH = 100_000
MAX_SERIES_ASKED = 2_000

T = TypeVar("T")
SeriesNames = Annotated[list[str], Query(max_length=MAX_SERIES_ASKED)]
FromStep = Annotated[int | None, Query(alias="from", ge=-(1 << 53), le=1 << 53)]
ToStep = Annotated[int | None, Query(alias="to", ge=-(1 << 53), le=1 << 53)]
Width = Annotated[int | None, Query(ge=1, le=MAX_WIDTH)]


@dataclass(frozen=True)
class Services:
    """What the handlers ask."""

    version: str
    clock: Clock
    registry: Registry
    reading: Callable[[], AbstractContextManager[Session]]
    points: Points
    commands: Commands
    judge: Judge
    keyring: Keyring
    tickets: Tickets
    trouble: Callable[[], str | None]  # why data is refused at present


class Api:
    """The handlers."""

    def __init__(self, services: Services, reads: Reads) -> None:
        self._of, self._reads = services, reads

    async def healthz(self) -> Response:
        """The server lives, and whether it can store data; no token needed."""
        reason = self._of.trouble()
        status = {"status": "ok"} if reason is None else {"status": "degraded", "reason": reason}
        return Json({**status, "version": self._of.version, "protocol": PROTOCOL_VERSION})

    async def me(self, request: Request) -> Response:
        """What the token allows."""
        return Json({"scopes": sorted(_principal(request).scopes)})

    async def ticket(self, request: Request) -> Response:
        """A single-use pass for the browser's socket."""
        return Json({"ticket": self._of.tickets.issue(_principal(request)), "expires_s": TICKET_LIFE_S})

    async def run(self, run: str) -> Response:
        """One run, now."""
        return Json(self._view(await self._of.registry.find(run)))

    async def series(self, run: str) -> Response:
        """Every series of a run that has a point."""
        found = await self._of.registry.find(run)
        declaration = found.declaration

        def ask() -> bytes:  # there may be 100,000
            return items_bytes(
                {
                    **extent.__dict__,
                    "kind": series_names.kind_of(extent.name),
                    "unit": series_names.unit_of(extent.name),
                    "contract": contract_view(declaration, extent.name),
                }
                for extent in self._of.points.extents(run)
            )

        return Response(await self._reads.run(ask), media_type=Json.media_type)

    async def points(
        self,
        request: Request,
        run: str,
        series: SeriesNames = [],  # noqa: B006  FastAPI copies it
        from_: FromStep = None,
        to: ToStep = None,
        width: Width = None,
    ) -> Response:
        """Buckets of the asked series, at most `width` each; each point its own without. In msgpack, where `Accept`
        names it, each list is the bytes of its numbers as float64."""
        await self._of.registry.find(run)
        ask = packed_points if (is_packed := asks_for_msgpack(request)) else json_points
        answer = await self._reads.run(lambda: ask(self._of.points.query(run, series, from_, to, width)))
        return Response(answer, media_type=MSGPACK if is_packed else Json.media_type, headers={"Vary": "Accept"})

    async def stages(self, run: str) -> Response:
        """The declared stages."""
        return items(stages_view((await self._of.registry.find(run)).declaration))

    async def alerts(self, run: str) -> Response:
        """The run's alerts, newest first."""
        return items(await self._read(run, verdicts.newest_first))

    async def commands(self, run: str) -> Response:
        """The run's commands, newest first."""
        return items([command.to_dict() for command in await self._read(run, commands.newest_first)])

    async def events(self, run: str) -> Response:
        """The run's events, oldest first."""
        return items([event.to_dict() for event in await self._read(run, events.oldest_first)])

    async def audit(self, run: str) -> Response:
        """Who did what to the run, newest first."""
        return items(await self._read(run, audit.newest_first))

    async def give(self, request: Request, run: str, body: models.CommandRequest) -> Response:
        """Give the run a command: 201 when it is new, 200 for a repeated key, and for a dry run its answer."""
        intention = Intention(
            kind=body.kind,
            args=body.all_args,
            idempotency_key=body.idempotency_key,
            actor=_principal(request).token_id,
            reason=body.reason,
            alert=body.alert,
            expect_version=body.expect_version,
            expires_in_s=body.expires_in_s,
        )
        found = await self._of.registry.find(run)
        if body.dry_run:
            plan, args = found.plan, await self._of.commands.check(found, intention, is_dry=True)
            ask = partial(what_if, self._of.points, run, plan, found.next_step, body.kind, args)
            return Json(await self._reads.run(ask))
        command, is_new = await self._of.commands.give(found, intention)
        return Json(command.to_dict(), status_code=201 if is_new else 200)

    async def acknowledge(self, request: Request, id: str) -> Response:
        """A person has seen the alert."""
        return Json(await asyncio.wrap_future(self._of.judge.acknowledge(id, _principal(request).token_id)))

    async def tokens(self) -> Response:
        """Every token, oldest first, without secrets."""
        return items([_token(token) for token in self._of.keyring.listed()])

    async def create_token(self, request: Request, body: models.TokenRequest) -> Response:
        """Make a token; its secret is told once."""
        token, secret = await self._of.keyring.create(body.name, body.scopes, _principal(request).token_id)
        return Json({**_token(token), "token": secret}, status_code=201)

    async def delete_token(self, request: Request, id: str) -> Response:
        """The token is valid no longer."""
        await self._of.keyring.delete(id, _principal(request).token_id)
        return Response(status_code=204)

    def _view(self, run: LiveRun) -> dict[str, Any]:
        return run_view(run, self._of.clock.monotonic_s(), self._of.clock.wall_s())

    async def _read(self, run_id: str, query: Callable[[Session, str], T]) -> T:
        await self._of.registry.find(run_id)

        def read() -> T:
            with self._of.reading() as session:
                return query(session, run_id)

        return await asyncio.to_thread(read)


def add_routes(app: FastAPI, api: Api) -> None:
    """Put the handlers on the app."""
    run = "/api/runs/{run}"
    _get(app, "/healthz", api.healthz, models.Health)
    _get(app, "/api/me", api.me, models.Me)
    _get(app, run, api.run, models.Run)
    _get(app, f"{run}/series", api.series, models.Series, is_list=True)
    _get(app, f"{run}/points", api.points, models.Points)
    _get(app, f"{run}/stages", api.stages, models.Stage, is_list=True)
    _get(app, f"{run}/alerts", api.alerts, models.Alert, is_list=True)
    _get(app, f"{run}/commands", api.commands, models.Command, is_list=True)
    _get(app, f"{run}/events", api.events, models.Event, is_list=True)
    _get(app, f"{run}/audit", api.audit, models.Audit, is_list=True)
    _get(app, "/api/tokens", api.tokens, models.Token, is_list=True)
    _change(app, "POST", "/api/ticket", api.ticket, 200, models.Ticket)
    _change(app, "POST", f"{run}/commands", api.give, 201, models.Command, {200: models.Command | models.DryRun})
    _change(app, "POST", "/api/alerts/{id}/acknowledge", api.acknowledge, 200, models.Alert)
    _change(app, "POST", "/api/tokens", api.create_token, 201, models.NewToken)
    _change(app, "DELETE", "/api/tokens/{id}", api.delete_token, 204, None)


REFUSALS: dict[int | str, dict[str, Any]] = {"4XX": {"model": models.Refused}, "5XX": {"model": models.Refused}}


def _get(app: FastAPI, path: str, handler: Callable[..., Any], model: type[Any], is_list: bool = False) -> None:
    answer: dict[str, Any] = {"model": dict[str, list[model] | None] if is_list else model}  # type: ignore[valid-type]
    app.add_api_route(
        path, handler, methods=["GET"], response_model=None, responses={200: answer, **REFUSALS},
        operation_id=handler.__name__,
    )  # fmt: skip
    app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)


def _change(
    app: FastAPI,
    method: str,
    path: str,
    handler: Callable[..., Any],
    status: int,
    model: type[Any] | None,
    others: Mapping[int, Any] = {},
) -> None:
    answer: dict[str, Any] = {"description": "Done."} if model is None else {"model": model}
    app.add_api_route(
        path, handler, methods=[method], response_model=None, status_code=status,
        responses={status: answer, **{each: {"model": model} for each, model in others.items()}, **REFUSALS},
        operation_id=handler.__name__,
    )  # fmt: skip


def _principal(request: Request) -> Principal:
    principal = request.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    return principal


def _token(token: StoredToken) -> dict[str, Any]:
    return {"id": token.id, "name": token.name, "scopes": list(token.scopes), "created_s": token.created_s}
