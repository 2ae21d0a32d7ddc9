"""Everything that crosses the trainer's socket, as tagged unions.

Rules of this file:
- Additive only: a new field has a default, a type never changes, an unknown field is skipped (msgspec does that).
- `seq` marks what must arrive exactly once: declarations, schemas, frames and events share one sequence per stream
  (run, rank, attempt), 1, 2, 3... Everything without a `seq` may be lost with its connection.
- Values travel as raw little-endian float64 columns, never as lists: bit-exact for NaN payloads and -0.0, and seven to
  ten times faster.
- tests/golden keeps one frame of each message of every version, decoded for ever.
"""

from typing import Any

import msgspec

PROTOCOL_VERSION = "1.4"
SUBPROTOCOL = "lossguard.1"
MAX_MESSAGE_BYTES = 1 << 20


class RampSpec(msgspec.Struct, frozen=True):
    """A weight that goes linearly from `start` to `end` in `steps` steps, counted from the stage's first step."""

    start: float
    end: float
    steps: int


class StageSpec(msgspec.Struct, frozen=True):
    """A stage as declared: its first step and each component's weight (constant or ramp)."""

    name: str
    start: int
    weights: dict[str, float | RampSpec]


class ControlsSpec(msgspec.Struct, frozen=True):
    """What the training script lets an operator do: kinds of command, and bounds (low, high) per component.

    `detail_on_alert`: when an alert fires, the server itself sends `instrument` for so many steps; 0: never.
    """

    kinds: list[str] = []
    weight_bounds: dict[str, tuple[float, float]] = {}
    detail_on_alert: int = 0  # since 1.1
    lr_scale_bounds: tuple[float, float] = (0.0, 10.0)  # since 1.4
    clip_bounds: tuple[float, float] = (1e-6, 1e6)  # since 1.4


class Operation(msgspec.Struct, frozen=True):
    """What an applied command did to what is in force, from `step` on; `kind` and `args` as in a Command. Since 1.4."""

    step: int
    id: str
    kind: str
    args: dict[str, Any] = {}


class ContractSpec(msgspec.Struct, frozen=True):
    """What a person declares of a series: its values lie within [low, high]; None leaves that side open.

    `kind`, one of CONTRACT_KINDS, says what more is meant (docs/protocol.md): of a `ratio`, `series` / `of[0]` lies
    within the range; a `psd` or `blend` is about the matrix `series` ("matrix/R"), `of` the matrices it is made of.
    """

    series: str
    low: float | None = None
    high: float | None = None
    kind: str = ""  # since 1.3
    of: list[str] = []  # since 1.3
    expected: float | None = None  # since 1.3: of a count, how many a step; of a psd, its trace


class GuardSpec(msgspec.Struct, frozen=True):
    """The guard: a mode for each optimizer (GUARD_MODES), what a trip leads to, why a mode is not the asked one."""

    modes: list[str] = []
    on_trip: str = "skip"
    notes: list[str] = []


class SeriesSpec(msgspec.Struct, frozen=True):
    """A series' number within its stream, and its name. The number stands for the name in frames."""

    id: int
    name: str


# -- trainer to server ----------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Who is calling. The first message of a connection; answered by Welcome or Refusal."""

    run: str
    project: str
    name: str
    protocol: str = PROTOCOL_VERSION
    sdk: str = ""
    rank: int = 0
    world_size: int = 1
    attempt: int = 0
    started_at: float = 0.0  # epoch seconds; a label, never an order


class Declaration(msgspec.Struct, frozen=True, kw_only=True, tag="declaration"):
    """What this run is made of. Sent first; a later one replaces it."""

    seq: int
    components: list[str] = []
    stages: list[StageSpec] = []
    groups: list[str] = []
    controls: ControlsSpec = ControlsSpec()
    contracts: list[ContractSpec] = []
    config: dict[str, Any] = {}
    device: str = ""
    guard: GuardSpec = GuardSpec()  # since 1.1
    operations: list[Operation] = []  # since 1.4: of a curriculum patch: they are in force from their steps on


class Schema(msgspec.Struct, frozen=True, kw_only=True, tag="schema"):
    """Names series, once, before the first frame that uses their ids."""

    seq: int
    series: list[SeriesSpec]


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag="frame"):
    """Many steps of a fixed set of series.

    `values` holds len(series) columns of n little-endian float64 each, column after column. `steps` holds n
    little-endian int64 when the steps are not first_step, first_step + 1, ...; otherwise it is empty.
    `crc` is CRC-32 over everything else (frames.checksum).
    """

    seq: int
    first_step: int
    n: int
    series: list[int]
    values: bytes
    crc: int
    steps: bytes = b""
    time_s: float = 0.0  # epoch seconds when the last step was recorded; a label


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """What must never be dropped: see EVENT_KINDS."""

    seq: int
    kind: str
    step: int
    time_s: float = 0.0
    data: dict[str, Any] = {}


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """The trainer lives: its state, the step it is at, and what waits or was lost on its side."""

    state: str
    step: int
    boundary_age_s: float = 0.0
    points_queued: int = 0
    points_dropped: int = 0
    snapshot_step: int = -1  # since 1.1: the newest healthy snapshot that a rollback would go back to; -1: none
    detail_until: int = -1  # since 1.1: full detail is recorded up to this step; -1: it is not


# -- server to trainer ----------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The server's answer to Hello: it holds everything up to `last_seq`, durably."""

    last_seq: int
    protocol: str = PROTOCOL_VERSION
    server: str = ""


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ack"):
    """Everything up to and including `seq` is committed."""

    seq: int


class Nack(msgspec.Struct, frozen=True, kw_only=True, tag="nack"):
    """A hole: the server expects `expected` next and stored nothing beyond it."""

    expected: int
    reason: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """The server will not go on with this connection. `retry` says whether a later one may succeed."""

    error: str
    message: str
    hint: str = ""
    retry: bool = False
    seq: int = 0  # since 1.2: the message at fault; 0: no single one is


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold"):
    """The server cannot store at present (since 1.2). The connection stays, commands go on, acknowledgements wait.

    Sent only to trainers that speak 1.2; an empty `error` says that it is over.
    """

    error: str
    message: str = ""
    hint: str = ""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """An operator's intention. `number` counts the run's commands; each number is applied at most once.

    `at_step`: an earlier attempt applied it there, behind the checkpoint that this one goes on from; -1: it is new.
    `expires_in_s`: whoever gets to its boundary later than that does not apply it; 0: it does not expire.
    """

    id: str
    number: int
    kind: str
    args: dict[str, Any] = {}
    at_step: int = -1  # since 1.4
    expires_in_s: float = 0.0  # since 1.4


Sequenced = Declaration | Schema | Frame | Event
ToServer = Hello | Declaration | Schema | Frame | Event | Heartbeat
ToTrainer = Welcome | Ack | Nack | Refusal | Hold | Command

EVENT_KINDS = (
    "stage", "command", "nonfinite", "gap", "error", "finish",
    "trip", "origin", "rollback", "detail", "freeze_frame",  # since 1.1
    "resume",  # since 1.4
)  # fmt: skip
RUN_STATES = ("running", "paused", "finished", "stopped", "crashed")
COMMAND_KINDS = (
    "pause", "resume", "stop", "set_weight", "revert", "instrument", "rollback",
    "scale_weights", "gate", "hold_stage", "release_stage", "go_to_stage",  # since 1.4, as are the next
    "set_lr_scale", "set_clip", "checkpoint",
)  # fmt: skip
CONTRACT_KINDS = ("", "range", "bound", "count", "ratio", "psd", "blend")
GUARD_MODES = ("device", "trip", "observe", "off")
ON_TRIP = ("skip", "pause", "raise")
DETAIL_STEPS_MAX = 100_000  # of one `instrument` command: full detail is for a while
