"""The API's bodies: what requests are parsed by, and what answers are documented by.

Rules of this file: requests are checked here and only here. Answers are not built of these classes (views build plain
maps, answers.py writes them); they tell a reader of the OpenAPI description what to expect.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import DETAIL_STEPS_MAX
from lossguard.protocol.numbers import dumps

ARGS = (
    "By kind: pause, resume, stop {}; set_weight {component, value}; revert {command}; "
    f"instrument {{steps: 1 to {DETAIL_STEPS_MAX}}}; rollback {{}} or {{before_step: 0 or more}}."
)
Num = float | Literal["NaN", "Infinity", "-Infinity"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CommandRequest(_Request):
    """An intention. Repeat the key only with the same body: the answer is the same command."""

    kind: Annotated[str, Field(max_length=80, description="One of the run's `controls`.", examples=list(COMMAND_KINDS))]
    args: Annotated[dict[str, Any], Field(description=ARGS)] = {}
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str | None, Field(max_length=2_000)] = None
    alert: Annotated[str | None, Field(max_length=200)] = None

    @field_validator("args")
    @classmethod
    def _can_be_stored(cls, args: dict[str, Any]) -> dict[str, Any]:
        # JSON's escapes can spell half a character, which no database and no answer can carry
        try:
            dumps(args)
        except UnicodeEncodeError:
            raise ValueError("a text in it is not valid Unicode") from None
        return args


class TokenRequest(_Request):
    """A token to make."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scopes: list[Annotated[str, Field(max_length=20)]]


class Refused(BaseModel):
    """Every refusal, whatever its status."""

    error: str
    message: str
    hint: str


class Health(BaseModel):
    """The server lives. `degraded`, with a reason: it shows what it has and cannot store more."""

    status: Literal["ok", "degraded"]
    reason: str | None = None
    version: str
    protocol: str


class Me(BaseModel):
    """What the token allows."""

    scopes: list[str]


class Ticket(BaseModel):
    """A single-use pass for the browser's socket."""

    ticket: str
    expires_s: float


class StageRef(BaseModel):
    """Where a run stands in its curriculum."""

    index: int
    name: str
    start: int


class Component(BaseModel):
    """One term of the loss, now."""

    name: str
    raw: Num | None
    weight: Num | None
    scheduled_weight: Num | None
    contribution: Num | None
    share: float | None
    bounds: tuple[Num, Num | None]


class Guard(BaseModel):
    """What keeps a non-finite update out of the weights: a mode an optimizer, what a trip leads to, and remarks."""

    modes: list[str]
    on_trip: str
    notes: list[str]


class Run(BaseModel):
    """One training, now."""

    id: str
    project: str
    name: str
    state: Literal["waiting", "running", "paused", "finished", "stopped", "crashed", "lost"]
    connected: bool
    step: int | None
    stage: StageRef | None
    attempt: int
    rank_count: int
    device: str
    steps_per_s: float | None
    data_age_s: float | None
    started_s: float
    health: Literal["ok", "warning", "critical", "unknown"]
    alerts: dict[Literal["critical", "warning"], int]
    components: list[Component]
    total: Num | None
    grad_norm: Num | None
    gaps: int
    points_queued: int
    points_dropped: int
    controls: list[str]
    config: dict[str, Any]
    guard: Guard
    trips: int
    snapshot_step: int | None
    detail_until: int | None


class Series(BaseModel):
    """One named scalar over steps."""

    name: str
    kind: str
    unit: str
    first_step: int
    last_step: int
    count: int
    contract: dict[Literal["low", "high"], Num | None] | None


class Buckets(BaseModel):
    """Parallel arrays, one entry a bucket that holds points."""

    step: list[int]
    first: list[Num]
    min: list[float | None]
    max: list[float | None]
    last: list[Num]
    mean: list[float | None]
    nan: list[int]
    pos_inf: list[int]
    neg_inf: list[int]
    count: list[int]


class Points(BaseModel):
    """The asked series."""

    series: dict[str, Buckets]
    last_step: int


class Stage(StageRef):
    """One declared stage; a weight is a number or {start, end, steps}."""

    weights: dict[str, Num | dict[str, Num]]


class Alert(BaseModel):
    """A rule's finding."""

    id: str
    run: str
    rule: str
    series: str
    component: str | None
    severity: Literal["critical", "warning"]
    state: Literal["pending", "firing", "acknowledged", "resolved"]
    step: int
    last_step: int
    fired_s: float
    resolved_step: int | None
    message: str
    evidence: dict[str, Any]
    blame: dict[str, Any] | None
    remedy: dict[str, Any] | None
    incident: str | None = None
    verdict: Literal["true", "false"] | None = None
    silenced_until_s: float | None = None


class Command(BaseModel):
    """An operator's intention and what became of it."""

    id: str
    run: str
    number: int
    kind: str
    args: dict[str, Any]
    state: Literal["queued", "sent", "received", "applied", "rejected", "expired", "superseded", "cancelled"]
    created_s: float
    actor: str
    reason: str | None
    alert: str | None
    step: int | None
    old: Any
    new: Any
    refusal: str | None
    history: list[dict[str, Any]]


class Event(BaseModel):
    """What happened at a step."""

    step: int
    kind: str
    time_s: float
    data: dict[str, Any]


class Audit(BaseModel):
    """Who did what, when."""

    at_s: float
    actor: str
    what: str
    detail: dict[str, Any]


class Token(BaseModel):
    """A token, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_s: float


class NewToken(Token):
    """A token with its secret, told once."""

    token: str
