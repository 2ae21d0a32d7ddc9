"""What a verdict on a command needs of the store: which are owed one, where they were applied, what happened around.

Rules of this file: queries only. Events and commands of the journal are found by the partial index over what is no
frame, so a look costs no more for a long run.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from lossguard.protocol import BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Event

from ..errors import JournalDamaged
from . import journal, json
from .branches import shown
from .columns import VIEW_RANK
from .journal import StreamHead
from .tables import CommandRow, EventRow, JournalRow, table_of

_journal = table_of(JournalRow)
_c = _journal.c


@dataclass(frozen=True)
class Owed:
    """A command that was applied and not judged."""

    id: str
    run: str
    step: int


@dataclass(frozen=True)
class Place:
    """Where a trainer told of an application: the stream, and the message behind which its rows come.

    `below_step`: rows at this step and behind it were taken back since, by a rollback or a newer attempt."""

    head: StreamHead
    seq: int
    below_step: int


@dataclass(frozen=True)
class StageBegun:
    """A stage began at this step. `is_later`: it was told after the application."""

    step: int
    name: str
    is_later: bool


def owed(session: Session, kinds: Collection[str]) -> list[Owed]:
    """Applied commands of every run without a verdict, oldest first."""
    rows = session.exec(
        select(CommandRow.id, CommandRow.run_id, CommandRow.step)
        .where(CommandRow.state == "applied", col(CommandRow.effect).is_(None), col(CommandRow.kind).in_(kinds))
        .order_by(col(CommandRow.created_s))
    )
    return [Owed(command, run, step) for command, run, step in rows if step is not None]


def place_of(session: Session, run_id: str, command_id: str) -> Place | None:
    """Of the newest attempt that applied the command; None where no trainer told of it.

    Its own rollback takes nothing back of what comes behind it. Raises JournalDamaged.
    """
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    for number in range(len(heads) - 1, -1, -1):
        seq = _told_at(session, heads[number].id, command_id)
        if seq is not None:
            segments = shown(session, [(head, head.last_seq) for head in heads])[number]
            below_step = next(each.below_step for each in segments if each.up_to_seq > seq or each is segments[-1])
            return Place(heads[number], seq, below_step)
    return None


def is_judged(session: Session, place: Place, step: int) -> bool:
    """The rules have seen every row before `step`, and what they found is stored."""
    head = journal.head(session, place.head.id)
    if head is None:
        return True
    # a frame that was folded was judged before
    behind = select_columns(func.min(_c.seq)).where(
        _c.stream_id == place.head.id, _c.kind == journal.FRAME, _c.seq > place.seq, _c.last_step >= step - 1
    )
    seq = session.connection().execute(behind).scalar()
    return seq is None or seq <= max(head.judged_seq, head.found_seq)


def stages_begun(session: Session, run_id: str, command_id: str, first: int, behind: int) -> list[StageBegun]:
    """Stages that began at the steps [first, behind), in the order in which that was told."""
    asked = select(EventRow).where(
        EventRow.run_id == run_id,
        col(EventRow.kind).in_(("stage", "command")),
        EventRow.step >= first,
        EventRow.step < behind,
    )
    found, is_later = list[StageBegun](), False
    for row in session.exec(asked.order_by(col(EventRow.id))):
        data = json.from_text(row.data)
        if row.kind == "command":
            is_later = is_later or (data.get("id") == command_id and data.get("state") == "applied")
        else:
            found.append(StageBegun(row.step, str(data.get("name")), is_later))
    return found


def _told_at(session: Session, stream_id: int, command_id: str) -> int | None:
    """The last message that says of the command that it was applied, or that it went back."""
    is_event = (_c.stream_id == stream_id, _c.kind != journal.FRAME, _c.kind.in_((journal.EVENT, journal.ROLLBACK)))
    rows = session.connection().execute(select_columns(_c.seq, _c.payload).where(*is_event).order_by(_c.seq.desc()))
    with rows:
        return next((seq for seq, payload in rows if _is_about(payload, command_id)), None)


def _is_about(payload: bytes, command_id: str) -> bool:
    if command_id.encode() not in payload:  # most are about something else: decoding is what costs
        return False
    try:
        event = decode_sequenced(payload)
    except BadMessage as error:
        raise JournalDamaged(f"An event of command {command_id} cannot be read: {error}") from error
    if not isinstance(event, Event):
        return False
    is_application = event.kind == "command" and event.data.get("id") == command_id
    is_own_rollback = event.kind == "rollback" and event.data.get("command") == command_id
    return is_own_rollback or (is_application and event.data.get("state") == "applied")
