"""What a server's database file holds at one instant: a copy of the file and its log, opened apart from the server.

Rules of this file: the copy is taken while nobody writes (the server is killed, or has nothing to do), and is checked
for integrity before a row of it is believed.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from faults.history import Points, Steps, Stored, as_bits, gaps_in
from journal_reader import stored_points
from lossguard.protocol import RemoteProtocolError

try:
    import pysqlite3 as sqlite3
except ImportError:
    import sqlite3  # type: ignore[no-redef]

DATABASE = "lossguard.db"
StreamKey = tuple[int, int]  # rank, attempt


@dataclass(frozen=True)
class Evidence:
    """The streams of each run in the order of their making, and the run's points."""

    streams: dict[str, dict[StreamKey, Stored]]
    points: dict[str, Points]
    faults: list[str] = field(default_factory=list)  # what could not be read

    def gaps(self, run: str) -> list[Steps]:
        """The steps that the run's gap events own up to."""
        streams = self.streams.get(run, {}).values()
        return [gap for stream in streams for gap in gaps_in(payload for _, payload in stream.journal)]


def collect(folder: Path) -> Evidence:
    """What lies in a server's data folder now. Fails when the database is not sound."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in folder.glob(f"{DATABASE}*"):
            if not path.name.endswith("-shm"):  # an index of the log in shared memory, made anew by whoever opens it
                shutil.copy(path, scratch)
        return read(Path(scratch))


def read(folder: Path) -> Evidence:
    """What lies in a folder that is ours alone."""
    database = sqlite3.connect(str(folder / DATABASE))
    try:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal'").fetchall():
            return Evidence({}, {})
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        streams: dict[str, dict[StreamKey, Stored]] = {}
        rows = database.execute("SELECT id, run_id, rank, attempt, last_seq, folded_seq FROM stream ORDER BY id")
        for number, run, rank, attempt, last_seq, folded_seq in rows.fetchall():
            found = database.execute("SELECT seq, payload FROM journal WHERE stream_id = ? ORDER BY seq", (number,))
            streams.setdefault(run, {})[rank, attempt] = Stored(last_seq, found.fetchall(), folded_seq)
    finally:
        database.close()
    evidence = Evidence(streams, {})
    for run in streams:
        try:
            evidence.points[run] = as_bits(stored_points(folder, run))
        except RemoteProtocolError as error:
            evidence.faults.append(f"{run}: altered: it cannot be read: {error}")
    return evidence
