"""Breaks the server or a trainer on purpose, one promise at a time; a harness that passes one of these is blind.

    python sabotage.py <name> <script or -m module> <arguments>      then is that program, sabotaged

Rules of this file: no product file is touched; what is replaced must exist (a renamed function fails loudly, not
silently); each sabotage breaks one promise at every layer that keeps it, so that no second line of defence hides it.
"""

import asyncio
import importlib
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec


def acknowledge_before_commit() -> None:
    """The acknowledgement leaves while the commit is still on its way."""
    from lossguard_server.services.ingest import Ingest

    honest = Ingest.commit
    under_way: set[asyncio.Task[int]] = set()

    async def commit(self: Ingest, stream: Any, batch: Any) -> int:
        task = asyncio.ensure_future(honest(self, stream, batch))
        under_way.add(task)
        task.add_done_callback(lambda done: (under_way.discard(done), done.cancelled() or done.exception()))
        return int(batch[-1].entry.seq)

    Ingest.commit = commit  # type: ignore[method-assign]


def no_dedup() -> None:
    """A repeat is taken for news, by the session and by the fence."""
    from lossguard.protocol.session import Accepted, ServerSession

    def order(self: ServerSession, message: Any) -> Accepted:
        self.accepted_seq = max(message.seq, self.accepted_seq)
        return Accepted(message)

    _found(ServerSession, "_order")
    ServerSession._order = order  # type: ignore[method-assign, assignment]
    _renumbering_fence()


def holes_accepted() -> None:
    """What comes after a hole is taken, by the session and by the fence."""
    from lossguard.protocol.messages import Ack
    from lossguard.protocol.session import Accepted, Reply, ServerSession

    def order(self: ServerSession, message: Any) -> Accepted | Reply:
        if message.seq <= self.accepted_seq:
            return Reply(Ack(seq=self.committed_seq))
        self.accepted_seq = message.seq
        return Accepted(message)

    _found(ServerSession, "_order")
    ServerSession._order = order  # type: ignore[method-assign, assignment]
    _open_fence()


def no_crc_check() -> None:
    """Damaged bytes pass for good ones: a frame's checksum is not looked at (spools: test_spool_every_byte)."""
    from lossguard.protocol import frames

    honest = frames.unpack_frame

    def unpack(frame: Any) -> Any:
        crc = frames.checksum(frame.seq, frame.first_step, frame.n, frame.series, frame.values, frame.steps)
        return honest(msgspec.structs.replace(frame, crc=crc))

    _replace_everywhere(honest, unpack)


def nan_through_json() -> None:
    """Values take the road of every JSON tracker: NaN is a word, and comes back without its payload."""
    from lossguard.protocol import frames
    from lossguard.protocol.codec import encode
    from lossguard.protocol.numbers import number_from_json, number_to_json
    from lossguard_server.services.stream import Checked, StreamState

    honest = StreamState._check_frame

    def check_frame(self: StreamState, frame: Any, payload: bytes) -> Checked:
        honest(self, frame, payload)
        steps, columns = frames.unpack_frame(frame)
        travelled = [[number_from_json(number_to_json(value)) for value in column] for column in columns.tolist()]
        remade = frames.pack_frame(frame.seq, steps, frame.series, travelled, frame.time_s)  # type: ignore[arg-type]
        return honest(self, remade, encode(remade))

    StreamState._check_frame = check_frame  # type: ignore[method-assign]


def rollback_but_acknowledge() -> None:
    """Now and then a batch is rolled back, and said to be stored."""
    from sqlmodel import Session

    honest = Session.commit
    calls = iter(range(1 << 62))

    def commit(self: Session) -> None:
        if next(calls) % 20 == 19:
            self.rollback()
        else:
            honest(self)

    Session.commit = commit  # type: ignore[method-assign]


def prune_before_acknowledgement() -> None:
    """A trainer's spool forgets what has been read out of it to be sent."""
    from lossguard.spool import Spool

    honest = Spool.find

    def find(self: Spool, seq: int) -> Any:
        found = honest(self, seq)
        self.acknowledged(seq)
        return found

    Spool.find = find  # type: ignore[method-assign]


def applied_but_not_journalled() -> None:
    """A trainer goes on before its word of what it has applied is on the disk."""
    from lossguard.journal import Journal

    _found(Journal, "journal")
    Journal.journal = lambda self, timeout_s: True  # type: ignore[method-assign]


def replay_dropped() -> None:
    """What was applied behind the checkpoint that an attempt goes on from is not offered again."""
    from lossguard_server.services import resuming

    _replace_everywhere(resuming._taken_up, lambda *given: None)


def replay_too_late() -> None:
    """What was applied behind a checkpoint is applied again, but wherever training stands by then."""
    from lossguard_server.services import command_moves

    _replace_everywhere(command_moves.at_step, lambda command: -1)


def operations_left_out_of_checkpoints() -> None:
    """A checkpoint holds the weights of a model, and not what operators had done by then."""
    from lossguard.resuming import Life

    honest = Life.state
    Life.state = lambda *given: {**honest(*given), "operations": []}  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    sabotage.__name__: sabotage
    for sabotage in (
        acknowledge_before_commit,
        no_dedup,
        holes_accepted,
        no_crc_check,
        nan_through_json,
        rollback_but_acknowledge,
        prune_before_acknowledgement,
        applied_but_not_journalled,
        replay_dropped,
        replay_too_late,
        operations_left_out_of_checkpoints,
    )
}


def entry(name: str, *program: str) -> list[str]:
    """What python must run to be `program` under the sabotage."""
    return [__file__, name, *program]


def _renumbering_fence() -> None:
    """The journal numbers what it is given by itself: nothing can be a repeat."""
    from lossguard_server.store import journal
    from lossguard_server.store.tables import StreamRow

    honest = journal.append_all

    def append_all(session: Any, batches: Sequence[Any]) -> None:
        for batch in batches:
            last = session.get(StreamRow, batch.stream_id).last_seq
            entries = [replace(entry, seq=last + index) for index, entry in enumerate(batch.entries, 1)]
            honest(session, [replace(batch, entries=entries)])
            session.expire_all()

    journal.append_all = append_all


def _open_fence() -> None:
    """The journal takes whatever follows, near or far."""
    from sqlmodel import col, update

    from lossguard_server.store import journal
    from lossguard_server.store.tables import StreamRow

    honest = journal.append_all

    def append_all(session: Any, batches: Sequence[Any]) -> None:
        for batch in batches:
            for entry in batch.entries:
                fence = update(StreamRow).where(col(StreamRow.id) == batch.stream_id)
                session.execute(fence.values(last_seq=entry.seq - 1))
                honest(session, [replace(batch, entries=[entry])])

    journal.append_all = append_all


def _found(owner: type, name: str) -> None:
    if name not in vars(owner):
        raise AttributeError(f"{owner.__name__} has no {name}: this sabotage must be written anew")


def _replace_everywhere(honest: Any, sabotaged: Any) -> None:
    """In its own module and wherever it was imported by name, now and later."""
    importlib.import_module("lossguard_server.app")  # so that whoever imports the name has done so
    for module in [*sys.modules.values()]:
        for name, value in [*vars(module).items()] if hasattr(module, "__dict__") else []:
            if value is honest:
                setattr(module, name, sabotaged)


def main() -> None:
    """Apply, then be the program."""
    name, program, *arguments = sys.argv[1:]
    SABOTAGES[name]()
    if program == "-m":
        program, *arguments = arguments
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
