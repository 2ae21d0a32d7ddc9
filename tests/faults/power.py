"""The store's own code on a disk whose power is cut: what it did, and what is left after a cut at any instant.

Rules of this file: the writer, the pragmas, the journal and the folding are the product's; only the log's length before
a checkpoint is made smaller, so that a short course sees many checkpoints and resets of the log.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from faults.apsw_driver import driver
from faults.evidence import DATABASE, Evidence, read
from faults.history import Logged, check_run
from faults.recording_vfs import Act, Disk, Promise, Recording
from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Schema, SeriesSpec
from lossguard_server.store import journal, runs
from lossguard_server.store.database import Database
from lossguard_server.store.journal import StreamHead, StreamKey
from lossguard_server.store.runs import StoredRun
from lossguard_server.store.writer import Writer
from store_world import entry

CHECKPOINT_PAGES = 24
STREAMS = 2
_names = (f"power-{number}" for number in count())

Rewrite = Callable[[str], str]
Fold = Callable[[Writer, Database], None]


def small_log(sql: str) -> str:
    """Checkpoint often."""
    return f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}" if sql.startswith("PRAGMA wal_autocheckpoint") else sql


@dataclass
class Course:
    """What was done, and what the trainers had logged in the end. Payloads of each stream; acts of the disk."""

    acts: list[Act] = field(default_factory=list)
    logged: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(STREAMS)])


def drive(folder: Path, seed: int, commits: int, fold: Fold, rewrite: Rewrite = small_log) -> Course:
    """So many commits of random batches, folded now and then; the acknowledgements are in the acts."""
    course, chance = Course(), random.Random(seed)
    recording = Recording(next(_names))
    course.acts = recording.acts
    database = Database(f"sqlite:///{folder / DATABASE}", time.monotonic, driver(recording.name, rewrite))
    writer = Writer(database.writer_engine, time.monotonic, lambda: None)
    try:
        heads = [_open(writer, number) for number in range(STREAMS)]
        for _ in range(commits):
            number = chance.randrange(STREAMS)
            batch = [_message(course.logged[number]) for _ in range(chance.choice((1, 1, 2, 8)))]
            entries = [entry(decode_sequenced(payload)) for payload in batch]
            stream = heads[number].id
            writer.submit(lambda session, s=stream, e=entries: journal.append(session, s, e)).result(10)
            recording.promise([len(stream) for stream in course.logged])
            if chance.random() < 0.1:
                fold(writer, database)
    finally:
        writer.close()
        database.close()
        recording.close()
    return course


def cuts(course: Course, number: int, chance: random.Random) -> Iterator[tuple[dict[str, bytes], list[int]]]:
    """(the files, what was acknowledged) after `number` power cuts at random instants, the earliest first."""
    disk, acked = Disk(), [0] * STREAMS
    instants = sorted(chance.randrange(len(course.acts)) for _ in range(number))
    for position, act in enumerate(course.acts):
        while instants and instants[0] == position:
            instants.pop(0)
            yield disk.image(chance), list(acked)
        disk.play(act)
        if isinstance(act, Promise):
            acked = act.what


def check_image(files: dict[str, bytes], acked: list[int], course: Course, folder: Path) -> list[str]:
    """What is wrong with the database that a cut left in `folder`, which it fills."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    evidence = read(folder) if DATABASE in files else Evidence({}, {})
    faults = list(evidence.faults)
    for number in range(STREAMS):
        run, said = f"r{number}", Logged(course.logged[number], acked[number])
        stored = evidence.streams.get(run, {})
        if stored:
            faults += check_run([said], list(stored.values()), evidence.points.get(run, {}), run)
        elif said.acked_seq:
            faults.append(f"{run}: lost: {said.acked_seq} was acknowledged, nothing is stored")
    return faults


def _open(writer: Writer, number: int) -> StreamHead:
    run = StoredRun(f"r{number}", "p", "n", 1.0, 1.0, 1, 0, None)
    key = StreamKey(run.id, 0, 0)
    return writer.submit(lambda session: (runs.open_run(session, run), journal.open_stream(session, key))[1]).result(10)


def _message(logged: list[bytes]) -> bytes:
    """The stream's next message, which is logged from now on."""
    seq = len(logged) + 1
    if seq == 1:
        payload = encode(Schema(seq=1, series=[SeriesSpec(0, "x"), SeriesSpec(1, "loss/a")]))
    else:
        steps = np.arange(3 * seq, 3 * seq + 3, dtype=np.int64)
        bits = np.arange(6, dtype="<u8").reshape(2, 3) * 0x1234567 + (0x7FF8 << 48 if seq % 5 == 0 else seq << 40)
        payload = encode(pack_frame(seq, steps, [0, 1], bits.view("<f8")))
    logged.append(payload)
    return payload
