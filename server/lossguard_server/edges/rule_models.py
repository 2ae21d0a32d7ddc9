"""The bodies of the rules' routes, as edges/models.py has those of the others.

Rules of this file: shapes only. Which rules and parameters there are, and their bounds, rules/tuning.py knows.
"""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lossguard.protocol.names import fault_in

from ..services.verdicts import SILENCE_MAX_MINUTES
from .models import Num

MAX_RUNS = 200
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Step = Annotated[int, Field(ge=0, le=1 << 53)]
RuleName = Annotated[str, Field(max_length=80)]


def _named(name: str) -> str:
    """Raises ValueError: a project is called as the wire allows, or no run could ever be of it."""
    if (fault := fault_in(name)) is not None:
        raise ValueError(f"it is no project's name: {fault}")
    return name


ProjectName = Annotated[str, AfterValidator(_named), Query(description="A project, by its name as trainers give it.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TuningRequest(_Request):
    """What is said of one rule; what is not said stays as it is."""

    enabled: Annotated[bool | None, Field(strict=True)] = None
    parameters: Annotated[dict[RuleName, Number] | None, Field(description="By name; GET /api/rules has bounds.")] = (
        None
    )


Configuration = Annotated[dict[RuleName, TuningRequest], Field(max_length=200)]


class BacktestRequest(_Request):
    """Which runs, by which rules: the defaults, changed by `rules`; or with `over` "run" those of each run, changed."""

    runs: Annotated[list[Annotated[str, Field(max_length=512)]], Field(min_length=1, max_length=MAX_RUNS)]
    rules: Configuration = {}
    over: Literal["defaults", "run"] = "defaults"
    first_step: Step | None = None
    last_step: Step | None = None


class VerdictRequest(_Request):
    """Whether the alert was right; null takes a verdict back."""

    verdict: Literal["true", "false"] | None


class SilenceRequest(_Request):
    """For how long nobody is notified of the alert; 0: from now on again."""

    minutes: Annotated[float, Field(ge=0, le=SILENCE_MAX_MINUTES, allow_inf_nan=False)]


class Parameter(BaseModel):
    """A parameter of a rule, as it counts here; `set_by`: who said so."""

    name: str
    text: str
    unit: str
    low: float
    high: float
    whole: bool
    default: float
    value: float
    set_by: Literal["default", "file", "file project", "project", "run"]


class Precision(BaseModel):
    """How many of a rule's alerts people called true and false alarms; the share of true ones, its 95 % interval."""

    true: int
    false: int
    precision: float | None
    low: float | None
    high: float | None


class Rule(BaseModel):
    """A rule, and how it counts here."""

    number: str
    name: str
    title: str
    series: str
    formula: str
    source: str
    quiet: str
    warm_up: int
    parameters: list[Parameter]
    enabled: bool
    enabled_by: Literal["default", "file", "file project", "project", "run"]
    precision: Precision


class Rules(BaseModel):
    """What is set here itself (`own`), every rule as it counts here, and what of it no longer fits.

    `runs`: how many stored runs it concerns.
    """

    scope: str
    runs: int
    own: dict[str, dict[str, Any]]
    rules: list[Rule]
    ignored: list[str]


class Counts(BaseModel):
    """Alerts of the backtest (`now`), of the run as it was trained (`then`), and which of them are the same finding."""

    now: dict[Literal["critical", "warning"], int]
    then: dict[Literal["critical", "warning"], int]
    both: int
    only_now: int
    only_then: int
    true: dict[Literal["marked", "still"], int]
    false: dict[Literal["marked", "still"], int]
    precision: Precision


class BacktestRun(BaseModel):
    """One run; `alerts` are the backtest's, each with the stored one that it is (`then`), `stored` the run's own.

    `judged_to`: later rows were not judged yet when it began, and are left out; `compared_to`: after that step there
    were more alerts than are compared. Null: neither.
    """

    run: str
    project: str
    name: str
    first_step: int
    last_step: int
    rows: int
    complete: bool
    judged_to: int | None
    compared_to: int | None
    rules: dict[str, Counts]
    total: Counts
    alerts: list[dict[str, Any]]
    stored: list[dict[str, Any]]
    alerts_left_out: int
    trips_left_out: bool
    failed: list[dict[str, Any]]


class Backtest(BaseModel):
    """What the rules would have found. Not `complete`: the time was over before the last run's end."""

    rules: dict[str, Counts]
    total: Counts
    runs: list[BacktestRun]
    complete: bool
    limit_s: float


class RulesHealth(BaseModel):
    """How far the rules are behind what is stored (seconds, runs), and which of them have failed in which run."""

    lag_s: Num
    lagging_runs: int
    judged_rows: int
    failed: list[dict[str, Any]]
