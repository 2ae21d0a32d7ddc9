"""The routes of the policies: what the server may do by itself, in a project or in a run.

Rules of this file: as in edges/http.py, a handler asks one service and answers. Which deeds and bounds there are,
services/policies/wishes.py knows, and says better what is wrong than a schema could. A project is named in the query,
as for its rules: its name may have slashes, which no path carries.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ..services.parameters import Place
from ..services.policies.policies import Policies
from ..services.policies.standing import Standing
from ..services.registry import Registry
from ..services.tokens import Principal
from .answers import Json
from .gate import PRINCIPAL
from .http import REFUSALS
from .rule_models import ProjectName, RuleName

PROJECT_POLICIES, RUN_POLICIES = "/api/project-policies", "/api/runs/{run}/policies"


class PolicyRequest(BaseModel):
    """What to do when an alert of the rule begins to fire: skip, lower_weight, hold_stage, checkpoint, pause, rollback;
    off (and nothing else beside it): not what is set further away. `budget`: so often in a run, 1 to 100; `severity`:
    from which on; `pause_s`: at most one action in so many seconds."""

    model_config = ConfigDict(extra="allow")  # a word that nobody knows is told with the one that was meant

    do: Annotated[Any, Field(examples=["lower_weight"])]
    budget: Annotated[Any, Field(examples=[3])] = None
    severity: Annotated[Any, Field(examples=["critical", "warning"])] = None
    pause_s: Annotated[Any, Field(examples=[600])] = None


Wishes = Annotated[dict[RuleName, PolicyRequest], Field(max_length=200)]


class Policy(BaseModel):
    """A policy in force; `set_by`: who said so."""

    do: str
    budget: int
    severity: Literal["warning", "critical"]
    pause_s: float
    set_by: Literal["file", "file project", "project", "run"]


class PoliciesHere(BaseModel):
    """By rule: what is set here itself (`own`) and what is in force; and sentences about what no longer fits."""

    scope: str
    own: dict[str, dict[str, Any]]
    policies: dict[str, Policy]
    ignored: list[str]


class RunPolicies(PoliciesHere):
    """Also how much of its budget each rule's policy has `used` in this run; why the training script lets one do
    nothing (`refused`), and why one has not acted yet upon an alert that fires (`waiting`)."""

    used: dict[str, int]
    refused: dict[str, str]
    waiting: dict[str, str]


class PoliciesApi:
    """The handlers."""

    def __init__(self, registry: Registry, standing: Standing, policies: Policies) -> None:
        self._registry, self._standing, self._policies = registry, standing, policies

    async def project_policies(self, project: ProjectName) -> Response:
        """What the server may do by itself in a project's runs."""
        return Json(self._standing.view(Place(project)))

    async def set_project_policies(self, request: Request, project: ProjectName, body: Wishes) -> Response:
        """Set it for the project, instead of what was set for it before."""
        await self._standing.change(Place(project), _said(body), _actor(request))
        return Json(self._standing.view(Place(project)))

    async def run_policies(self, run: str) -> Response:
        """What the server may do by itself in a run, and how much of it is used."""
        return Json(await self._policies.view(await self._registry.find(run)))

    async def set_run_policies(self, request: Request, run: str, body: Wishes) -> Response:
        """Set it for the run, instead of what was set for it before."""
        found = await self._registry.find(run)
        await self._standing.change(Place(found.stored.project, run), _said(body), _actor(request))
        return Json(await self._policies.view(found))


def add_routes(app: FastAPI, api: PoliciesApi) -> None:
    """Put the handlers on the app."""
    _add(app, "GET", PROJECT_POLICIES, api.project_policies, PoliciesHere)
    _add(app, "PUT", PROJECT_POLICIES, api.set_project_policies, PoliciesHere)
    _add(app, "GET", RUN_POLICIES, api.run_policies, RunPolicies)
    _add(app, "PUT", RUN_POLICIES, api.set_run_policies, RunPolicies)


def _add(app: FastAPI, method: str, path: str, handler: Callable[..., Any], model: Any) -> None:
    app.add_api_route(
        path, handler, methods=[method], response_model=None, responses={200: {"model": model}, **REFUSALS},
        operation_id=handler.__name__,
    )  # fmt: skip
    if method == "GET":
        app.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)


def _said(body: Wishes) -> dict[str, Any]:
    return {rule: wish.model_dump(exclude_unset=True) for rule, wish in body.items()}


def _actor(request: Request) -> str:
    principal = request.scope[PRINCIPAL]
    assert isinstance(principal, Principal)
    return principal.token_id
