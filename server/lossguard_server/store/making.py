"""When what a run tells was made: queries over its messages as they came.

Rules of this file: these are labels. A message that is damaged says nothing here; who needs it whole reads journal.py.
"""

from sqlmodel import Session, col, select

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Declaration, Frame, Sequenced

from .columns import VIEW_RANK
from .journal import DECLARATION, FRAME, read_definitions, streams
from .tables import JournalRow

IMPORTED_FROM = "imported_from"  # in the configuration that `lossguard import` declares


def is_imported(session: Session, run_id: str) -> bool:
    """Whether the run was read from the files of another program."""
    for stream_id in _of_run(session, run_id):
        for entry in read_definitions(session, stream_id):
            declared = _decoded(entry.payload) if entry.kind == DECLARATION else None
            if isinstance(declared, Declaration) and IMPORTED_FROM in declared.config:
                return True
    return False


def made_s(session: Session, run_id: str, step: int) -> float | None:
    """When the message with the step was made, in epoch seconds of the trainer's clock; None where it is not in the
    journal any more, or does not say."""
    for stream_id in reversed(_of_run(session, run_id)):
        has_step = (col(JournalRow.first_step) <= step, col(JournalRow.last_step) >= step)
        frames = select(JournalRow.payload).where(
            JournalRow.stream_id == stream_id, JournalRow.kind == FRAME, *has_step
        )
        payload = session.exec(frames.order_by(col(JournalRow.seq).desc()).limit(1)).one_or_none()
        if payload is not None:
            frame = _decoded(payload)
            return frame.time_s if isinstance(frame, Frame) and frame.time_s > 0 else None
    return None


def _of_run(session: Session, run_id: str) -> list[int]:
    return [head.id for head in streams(session, run_id) if head.key.rank == VIEW_RANK]


def _decoded(payload: bytes) -> Sequenced | None:
    try:
        return decode_sequenced(payload)
    except BadMessage:
        return None
