"""The routes of the rules: what they are, their parameters, what others would find, and what people say of alerts.

Rules of this file: as in edges/http.py, a handler asks one service and answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from ..services.backtesting.backtest import Backtests, Trial
from ..services.parameters import Parameters, Place
from ..services.registry import Registry
from ..services.tokens import Principal
from ..services.verdicts import Verdicts, precision_of
from ..store.verdicts import Tally
from . import backtest_answer, models, rule_models
from .answers import Json
from .gate import PRINCIPAL
from .http import REFUSALS
from .reads import Reads

RUN_RULES, PROJECT_RULES = "/api/runs/{run}/rules", "/api/project-rules"
PREVIEW = f"{RUN_RULES}/preview"
VERDICT, SILENCE = "/api/alerts/{id}/verdict", "/api/alerts/{id}/silence"
PREVIEW_STEPS, PREVIEW_STEPS_MAX = 100_000, 10_000_000
Newest = Annotated[int, Query(ge=1, le=PREVIEW_STEPS_MAX, description="Only so many of the run's last steps.")]


class RulesApi:
    """The handlers."""

    def __init__(
        self,
        registry: Registry,
        parameters: Parameters,
        verdicts: Verdicts,
        backtests: Backtests,
        reads: Reads,
        reconfigure: Callable[[str], None],
        health: Callable[[], dict[str, Any]],
    ) -> None:
        """`reconfigure`: this run is judged by other rules from now on; `health`: as RulesHealth."""
        self._registry, self._parameters, self._verdicts = registry, parameters, verdicts
        self._backtests, self._reads = backtests, reads
        self._reconfigure, self._health = reconfigure, health

    async def rules(self) -> Response:
        """Every rule: what it judges and why it is quiet, its parameters, and its precision by people's verdicts."""
        view = await asyncio.to_thread(self._view, Place())
        return Json({"items": view["rules"], "next": None})

    async def rules_health(self) -> Response:
        """How far the rules are behind, and which have failed."""
        return Json(await asyncio.to_thread(self._health))

    async def project_rules(self, project: rule_models.ProjectName) -> Response:
        """The rules as they count in a project."""
        return Json(await asyncio.to_thread(self._placed, Place(project)))

    async def set_project_rules(
        self, request: Request, project: rule_models.ProjectName, body: rule_models.Configuration
    ) -> Response:
        """Set what a project says of the rules, instead of what it said before."""
        return await self._set(request, Place(project), body)

    async def run_rules(self, run: str) -> Response:
        """The rules as they count in a run."""
        return Json(await asyncio.to_thread(self._placed, await self._place(run)))

    async def set_run_rules(self, request: Request, run: str, body: rule_models.Configuration) -> Response:
        """Set what is said of the rules in this run only, instead of what was said before."""
        return await self._set(request, await self._place(run), body)

    async def preview(
        self, request: Request, run: str, body: rule_models.Configuration, newest: Newest = PREVIEW_STEPS
    ) -> Response:
        """What the run's last steps would have brought, if this were set for it: a backtest of one run."""
        place, said = await self._place(run), _configuration(body)
        rules = self._parameters.with_changes(place, said)
        name = (await self._registry.find(run)).stored.name
        return await self._tried(request, [Trial(run, place.project or "", name, rules, newest=newest)])

    async def backtest(self, request: Request, body: rule_models.BacktestRequest) -> Response:
        """What rules would have found in stored runs. As lines of JSON with the progress, where `Accept` names
        application/x-ndjson."""
        said, trials = _configuration(body.rules), list[Trial]()
        for run in dict.fromkeys(body.runs):
            place, name = await self._place(run), (await self._registry.find(run)).stored.name
            base = place if body.over == "run" else None
            rules = self._parameters.tried(base, said)
            trials.append(Trial(run, place.project or "", name, rules, body.first_step, body.last_step))
        return await self._tried(request, trials)

    async def judge_alert(self, request: Request, id: str, body: rule_models.VerdictRequest) -> Response:
        """A person says whether the alert was right."""
        return Json(await self._verdicts.judge(id, body.verdict, _actor(request)))

    async def silence_alert(self, request: Request, id: str, body: rule_models.SilenceRequest) -> Response:
        """Nobody is notified of the alert for a while."""
        return Json(await self._verdicts.silence(id, body.minutes, _actor(request)))

    async def _place(self, run_id: str) -> Place:
        return Place((await self._registry.find(run_id)).stored.project, run_id)

    async def _set(self, request: Request, place: Place, body: rule_models.Configuration) -> Response:
        for run_id in await self._parameters.change(place, _configuration(body), _actor(request)):
            self._reconfigure(run_id)
        return Json(await asyncio.to_thread(self._placed, place))

    async def _tried(self, request: Request, trials: Sequence[Trial]) -> Response:
        slot = self._backtests.slot()
        return await backtest_answer.answer(request, self._reads, self._backtests.run(trials), slot.release)

    def _placed(self, place: Place) -> dict[str, Any]:
        return {**self._view(place), "runs": self._parameters.concerned(place)}

    def _view(self, place: Place) -> dict[str, Any]:
        view, precision = self._parameters.view(place), self._verdicts.precision()
        for rule in view["rules"]:
            rule["precision"] = precision.get(rule["name"]) or precision_of(Tally())
        return view


def add_routes(app: FastAPI, api: RulesApi) -> None:
    """Put the handlers on the app."""
    _add(app, "GET", "/api/rules", api.rules, dict[str, list[rule_models.Rule] | None])
    _add(app, "GET", "/api/rules/health", api.rules_health, rule_models.RulesHealth)
    _add(app, "GET", PROJECT_RULES, api.project_rules, rule_models.Rules)
    _add(app, "PUT", PROJECT_RULES, api.set_project_rules, rule_models.Rules)
    _add(app, "GET", RUN_RULES, api.run_rules, rule_models.Rules)
    _add(app, "PUT", RUN_RULES, api.set_run_rules, rule_models.Rules)
    _add(app, "POST", PREVIEW, api.preview, rule_models.Backtest)
    _add(app, "POST", "/api/backtest", api.backtest, rule_models.Backtest)
    _add(app, "POST", VERDICT, api.judge_alert, models.Alert)
    _add(app, "POST", SILENCE, api.silence_alert, models.Alert)


def _add(app: FastAPI, method: str, path: str, handler: Callable[..., Any], model: Any) -> None:
    app.add_api_route(
        path, handler, methods=[method], response_model=None, responses={200: {"model": model}, **REFUSALS},
        operation_id=handler.__name__,
    )  # fmt: skip
    if method == "GET":
        app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)


def _configuration(body: rule_models.Configuration) -> dict[str, Any]:
    return {name: said.model_dump(exclude_none=True) for name, said in body.items()}


def _actor(request: Request) -> str:
    principal = request.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    return principal.token_id
