"""The API's bodies: what requests are parsed by, and what answers are documented by.

Rules of this file: requests are checked here and only here. Answers are not built of these classes (views build plain
maps, answers.py writes them); they tell a reader of the OpenAPI description what to expect.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.commands import STEPS_MAX
from lossguard.protocol.messages import DETAIL_STEPS_MAX
from lossguard.protocol.numbers import dumps
from lossguard.protocol.steering import LEASED_KINDS

ARGS = (
    "By kind: pause, resume, stop, checkpoint, hold_stage, release_stage {}; "
    "set_weight {component, value, ramp_steps?}; scale_weights {factor, components?}; gate {component, open}; "
    "go_to_stage {stage}; set_lr_scale, set_clip {value}; "
    f"revert {{command}}; instrument {{steps: 1 to {DETAIL_STEPS_MAX}}}; rollback {{}} or {{before_step: 0 or more}}. "
    f"With lease_steps (1 to {STEPS_MAX}), {', '.join(LEASED_KINDS)} end by themselves."
)
EXPIRES_MAX_S = 7 * 24 * 3600.0
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
    lease_steps: Annotated[int | None, Field(strict=True, description="The same as in `args`.")] = None
    dry_run: Annotated[bool, Field(description="Nothing is given: what the last 500 steps would have been.")] = False
    expect_version: Annotated[
        int | None, Field(ge=0, le=1 << 53, description="The number of the newest command that you saw; 0: of none.")
    ] = None
    expires_in_s: Annotated[
        float | None, Field(gt=0, le=EXPIRES_MAX_S, description="Who gets to it later does not apply it.")
    ] = None

    @property
    def all_args(self) -> dict[str, Any]:
        """With what was said beside them."""
        return self.args if self.lease_steps is None else {**self.args, "lease_steps": self.lease_steps}

    @model_validator(mode="after")
    def _is_said_once(self) -> "CommandRequest":
        if self.lease_steps is not None and self.args.get("lease_steps", self.lease_steps) != self.lease_steps:
            raise ValueError("`lease_steps` is another one in `args`")
        return self

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


class Rank(BaseModel):
    """One of several ranks; times are medians of its last 20 steps. A straggler takes more than 1.33 times, and 10 ms
    more than, the median of the ranks."""

    rank: int
    step: int | None
    step_time_s: float | None
    data_wait_s: float | None
    is_straggler: bool
    first_bad_step: int | None


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
    lr_scale_bounds: tuple[Num, Num]
    clip_bounds: tuple[Num, Num]
    config: dict[str, Any]
    guard: Guard
    trips: int
    snapshot_step: int | None
    detail_until: int | None
    ranks: list[Rank]
    label: str
    note: str
    tags: list[str]
    archived: bool
    deleted_s: float | None


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


class Effect(BaseModel):
    """What a command brought about, some steps after it; `decided` false: that cannot be told, and `text` says why."""

    verdict: Literal["worked", "no effect", "worse"]
    at_step: int
    steps: int
    text: str
    numbers: dict[str, Any]
    decided: bool


class DryRun(BaseModel):
    """What the last steps would have been under a command that was not given; lists have one entry a step."""

    dry_run: Literal[True]
    from_: int | None = Field(alias="from")
    to: int | None
    at_step: int
    steps: list[int]
    total: dict[Literal["before", "after"], list[Num]]
    share: dict[str, dict[Literal["before", "after"], Num | None]]
    now: dict[str, Any] | None
    left_out: int
    text: str


class Command(BaseModel):
    """An operator's intention and what became of it."""

    id: str
    run: str
    number: int
    kind: str
    args: dict[str, Any]
    state: Literal[
        "queued", "sent", "received", "applied", "rejected", "expired", "superseded", "cancelled", "rolled_back"
    ]
    created_s: float
    actor: str
    reason: str | None
    alert: str | None
    step: int | None
    old: Any
    new: Any
    refusal: str | None
    history: list[dict[str, Any]]
    effect: Effect | None
    expires_s: float | None
    ranks: int | None


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
