"""The tables of the database.

Rules of this file:
- A table is never a parse boundary (SQLModel does not validate tables) and never an answer: the wire, the tables and
  the API are three different things.
- A training value never lives in a REAL column: SQLite turns NaN into NULL and -0.0 into +0.0. Values stay in blobs:
  of the journal, as they came, and of chunks. REAL columns hold only times, as labels.
- A change here goes with a step in store/upkeep/migrations.
- JSON columns are TEXT, written by `store.json`.
"""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 6
APPLICATION_ID = 0x4C534752  # "LSGR": tells another program's SQLite file from ours


def table_of(row: type[SQLModel]) -> Table:
    """SQLAlchemy's table of a row class, for statements that carry no objects."""
    return SQLModel.metadata.tables[str(row.__tablename__)]


class RunRow(SQLModel, table=True):
    """One training, over all its attempts."""

    __tablename__ = "run"

    id: str = Field(primary_key=True)
    project: str
    name: str
    created_s: float
    seen_s: float  # the last commit of any of its streams
    world_size: int = 1
    attempt: int = 0  # the newest
    finish: str | None = None  # how the newest attempt ended: finished, stopped, crashed
    label: str = ""  # a person's own name for it
    note: str = Field(default="", sa_column=Column(Text, nullable=False))
    tags: str = Field(default="[]", sa_column=Column(Text, nullable=False))  # JSON
    archived_s: float | None = None  # when it was put away
    deleted_s: float | None = None  # when somebody deleted it; until its rows go it can be restored


class StreamRow(SQLModel, table=True):
    """One sequence of messages: a run's rank in one attempt. This row is the fence: seq advances only here."""

    __tablename__ = "stream"
    __table_args__ = (UniqueConstraint("run_id", "rank", "attempt"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    rank: int
    attempt: int
    last_seq: int = 0
    judged_seq: int = 0  # what the rules know (rules_state) is of everything up to here
    folded_seq: int = 0  # the frames up to here lie in chunks and no longer in the journal
    begins_step: int | None = None  # of its first frame with a total: older attempts are shown before it only
    found_seq: int = 0  # what was found up to here is stored, and told; judged again, it is no news


class JournalRow(SQLModel, table=True):
    """A message as it came. Never changed; a frame is deleted in the transaction that puts its points into chunks."""

    __tablename__ = "journal"

    stream_id: int = Field(primary_key=True, foreign_key="stream.id")
    seq: int = Field(primary_key=True)
    kind: str
    first_step: int | None = None
    last_step: int | None = None
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


# Declarations, schemas and events are few among many frames; opening a stream reads only them.
Index(
    "journal_not_frame",
    table_of(JournalRow).c.stream_id,
    table_of(JournalRow).c.seq,
    sqlite_where=text("kind != 'frame'"),
    postgresql_where=text("kind != 'frame'"),
)


class PartRow(SQLModel, table=True):
    """Folded points of one series of a stream, in strictly increasing steps, between two rollbacks.

    What breaks the order (a rollback, a step that came before) begins another part; of two parts that hold a step the
    one with the larger `first_seq` counts.
    """

    __tablename__ = "part"
    __table_args__ = (Index("part_by_name", "stream_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    stream_id: int = Field(foreign_key="stream.id")
    name: str
    first_seq: int  # the message that its first point came with
    first_step: int
    last_step: int
    count: int


class ChunkRow(SQLModel, table=True):
    """Points number * 1,024 ... of a part, at most 1,024; only a part's last chunk has fewer."""

    __tablename__ = "chunk"

    part_id: int = Field(primary_key=True, foreign_key="part.id")
    number: int = Field(primary_key=True)
    first_step: int
    last_step: int
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SummaryRow(SQLModel, table=True):
    """Entries of one level of a part's pyramid: an entry of level k summarises 32^k points, all of which are there."""

    __tablename__ = "summary"

    part_id: int = Field(primary_key=True, foreign_key="part.id")
    level: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EventRow(SQLModel, table=True):
    """An event of a run, in the order of its commit."""

    __tablename__ = "event"

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    step: int
    kind: str
    time_s: float
    data: str = Field(sa_column=Column(Text, nullable=False))


class AlertRow(SQLModel, table=True):
    """An alert as it is now. `body` is the whole Alert as JSON."""

    __tablename__ = "alert"

    number: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    state: str
    severity: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    rule: str = ""
    verdict: str | None = None  # what a person said of it: "true" or "false" alarm
    silenced_until_s: float | None = None


class IncidentRow(SQLModel, table=True):
    """Alerts that belong together. `body` is the whole Incident as JSON."""

    __tablename__ = "incident"

    number: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    state: str
    body: str = Field(sa_column=Column(Text, nullable=False))


class RulesStateRow(SQLModel, table=True):
    """What the rules know of a run at its streams' `judged_seq`; written in the transaction that moves it."""

    __tablename__ = "rules_state"

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SettingRow(SQLModel, table=True):
    """What a person changed while the server ran. `scope`: "server", "project:<name>" or "run:<id>"."""

    __tablename__ = "setting"

    scope: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body: str = Field(sa_column=Column(Text, nullable=False))


class ChannelRow(SQLModel, table=True):
    """Where notifications go. `body` holds its address, secrets included: it never leaves whole."""

    __tablename__ = "channel"

    id: str = Field(primary_key=True)
    name: str
    kind: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    created_s: float


class OutboxRow(SQLModel, table=True):
    """A notification that is owed to a channel, put here in the transaction that stores its alert."""

    __tablename__ = "outbox"

    key: str = Field(primary_key=True)  # the idempotency key: the same alert's same news to the same channel
    channel_id: str = Field(index=True)
    run_id: str | None = Field(default=None, foreign_key="run.id", index=True)  # None: a digest of several runs
    incident: str = ""  # or the alert that belongs to none
    state: str = Field(index=True)  # held, owed, delivered, given_up, dropped, folded (went with a digest)
    tries: int = 0
    created_s: float = 0.0
    owed_s: float = 0.0  # when it is to be told; pages are counted by it
    due_s: float = 0.0  # the next try
    body: str = Field(sa_column=Column(Text, nullable=False))
    said: str | None = None  # the last refusal


class CommandRow(SQLModel, table=True):
    """An operator's intention and what became of it."""

    __tablename__ = "command"
    __table_args__ = (UniqueConstraint("run_id", "idempotency_key"), UniqueConstraint("run_id", "number"))

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    number: int
    kind: str
    args: str = Field(sa_column=Column(Text, nullable=False))
    idempotency_key: str
    actor: str
    reason: str | None = None
    alert: str | None = None
    state: str
    created_s: float
    step: int | None = None
    old: str | None = Field(default=None, sa_column=Column(Text))
    new: str | None = Field(default=None, sa_column=Column(Text))
    refusal: str | None = None
    history: str = Field(sa_column=Column(Text, nullable=False))
    effect: str | None = Field(default=None, sa_column=Column(Text))  # JSON; NULL until it is judged
    expires_s: float | None = None  # when it is too late to apply it
    ranks: int | None = None  # how many applied it, all at `step`


class AuditRow(SQLModel, table=True):
    """Who did what, when. Append-only."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, primary_key=True)
    run_id: str | None = Field(default=None, index=True)
    at_s: float
    actor: str
    what: str
    detail: str = Field(sa_column=Column(Text, nullable=False))


class TokenRow(SQLModel, table=True):
    """A token, of which only the SHA-256 is kept."""

    __tablename__ = "token"

    id: str = Field(primary_key=True)
    name: str
    scopes: str
    sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    created_s: float
