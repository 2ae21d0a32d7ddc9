"""What a database file says about itself: soundness, sizes, backlog, gaps, consistency.

Rules of this file: it only reads, in one snapshot, beside a server or without one. It knows the tables by SQL, because
an examination must also be possible of what this version would refuse to open.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import ChunkDamaged
from .. import raw
from ..folded.blocks import entries_of
from ..folded.chunks import CHUNK_POINTS, decode_chunk
from ..folded.packing import Packer
from ..folded.parts import Part
from ..folded.summaries import decode_entries
from .soundness import is_sound_message, summaries_of

QUICK_LIMIT_S = 60.0
MOST_NAMED = 20  # findings of one kind that are listed


@dataclass(frozen=True)
class TableSize:
    """Rows of a table, and bytes: of its pages where SQLite can tell (dbstat), else of what is in its large columns."""

    name: str
    rows: int
    size_bytes: int


@dataclass
class Contents:
    """What is in the file. `findings` are sentences about what is wrong; without any it is sound."""

    revision: str = ""
    page_bytes: int = 0
    pages: int = 0
    free_pages: int = 0
    tables: list[TableSize] = field(default_factory=list)
    runs: int = 0
    folded_points: int = 0
    folded_bytes: int = 0
    backlog_frames: int = 0
    backlog_bytes: int = 0
    gaps: dict[str, int] = field(default_factory=dict)  # of each run that has any
    findings: list[str] = field(default_factory=list)


def examine(driver: ModuleType, path: Path, clock: Callable[[], float], is_full: bool) -> Contents:
    """Look at the file. `is_full`: the whole of it, with every chunk decoded. Raises the driver's errors."""
    found = Contents()
    check = "integrity_check" if is_full else "quick_check"
    limit_s = float("inf") if is_full else QUICK_LIMIT_S
    found.findings += [f"SQLite: {line}" for line in raw.complaints(driver, path, check, limit_s, clock)][:MOST_NAMED]
    with raw.reading(driver, path) as connection:
        connection.execute("BEGIN")
        for look in (_sizes, _runs, _streams, _parts, *((_orphans, _messages, _chunks, _summaries) if is_full else ())):
            try:
                look(connection, found)
            except driver.Error as error:
                found.findings.append(f"{look.__name__.strip('_')} could not be read: {error}")
    return found


def _sizes(connection: Any, found: Contents) -> None:
    found.page_bytes, found.pages, found.free_pages = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    if "alembic_version" in names:
        found.revision = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    has_statistics = any(row[0] == "dbstat" for row in connection.execute("SELECT name FROM pragma_module_list"))
    for name in names:
        rows = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        if has_statistics:
            size = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?"
            size_bytes = connection.execute(size, (name,)).fetchone()[0]
        else:
            large = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[2] in ("BLOB", "TEXT")]
            lengths = " + ".join(f"coalesce(length({column}), 0)" for column in large) or "0"
            size_bytes = connection.execute(f"SELECT coalesce(sum({lengths}), 0) FROM {name}").fetchone()[0]
        found.tables.append(TableSize(name, rows, size_bytes))


def _runs(connection: Any, found: Contents) -> None:
    found.runs = connection.execute("SELECT count(*) FROM run").fetchone()[0]
    counts = "SELECT run_id, count(*) FROM event WHERE kind = 'gap' GROUP BY run_id ORDER BY count(*) DESC"
    found.gaps = dict(connection.execute(counts))
    backlog = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM journal WHERE kind = 'frame'"
    found.backlog_frames, found.backlog_bytes = connection.execute(backlog).fetchone()


def _streams(connection: Any, found: Contents) -> None:
    """Every message that is not folded is there, once, up to the last."""
    if not _can_fold(found):
        return
    # a missing one cannot hide behind a double one: (stream_id, seq) is the primary key
    wrong = connection.execute(
        "SELECT s.id, s.run_id, s.folded_seq, s.last_seq, s.judged_seq, count(j.seq), coalesce(max(j.seq), 0),"
        " (SELECT count(*) FROM journal f WHERE f.stream_id = s.id AND f.kind = 'frame' AND f.seq <= s.folded_seq)"
        " FROM stream s LEFT JOIN journal j ON j.stream_id = s.id AND j.seq > s.folded_seq GROUP BY s.id"
        " HAVING count(j.seq) != s.last_seq - s.folded_seq OR coalesce(max(j.seq), s.last_seq) != s.last_seq"
        " OR s.folded_seq > s.last_seq OR s.judged_seq > s.last_seq OR EXISTS"
        " (SELECT 1 FROM journal f WHERE f.stream_id = s.id AND f.kind = 'frame' AND f.seq <= s.folded_seq)"
    ).fetchall()
    for number, run_id, folded, last, judged, count, newest, unfolded in wrong[:MOST_NAMED]:
        found.findings.append(
            f"stream {number} of run {run_id!r}: {count} messages after {folded} up to {newest}, where {last - folded}"
            f" up to {last} are due (judged up to {judged}; {unfolded} frames were folded and are still there)"
        )


def _parts(connection: Any, found: Contents) -> None:
    """Every part has the chunks that its number of points needs, and they lie within its steps."""
    if not _can_fold(found):
        return
    found.folded_points = connection.execute("SELECT coalesce(sum(count), 0) FROM part").fetchone()[0]
    for table in ("chunk", "summary"):
        found.folded_bytes += connection.execute(f"SELECT coalesce(sum(length(data)), 0) FROM {table}").fetchone()[0]
    wrong = connection.execute(
        "SELECT p.id, p.name, p.count, count(c.number) FROM part p LEFT JOIN chunk c ON c.part_id = p.id GROUP BY p.id"
        f" HAVING count(c.number) != (p.count + {CHUNK_POINTS - 1}) / {CHUNK_POINTS}"
        " OR max(c.number) != count(c.number) - 1 OR min(c.first_step) != p.first_step"
        " OR max(c.last_step) != p.last_step"
    ).fetchall()
    for number, name, points, chunks in wrong[:MOST_NAMED]:
        found.findings.append(f"part {number} ({name!r}): {points} points, {chunks} chunks, or steps that do not agree")


def _orphans(connection: Any, found: Contents) -> None:
    """Every row belongs to something."""
    lost = connection.execute('SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1').fetchall()
    found.findings += [f"{count} rows of table {table} belong to nothing" for table, count in lost]


def _messages(connection: Any, found: Contents) -> None:
    """Every message of the journal decodes."""
    columns = ("stream_id", "seq", "payload")
    is_sound = is_sound_message(columns)
    for row in connection.execute(f"SELECT {', '.join(columns)} FROM journal"):
        if not is_sound(row):
            found.findings.append(f"message {row[1]} of stream {row[0]} is not what was stored")


def _chunks(connection: Any, found: Contents) -> None:
    """Every chunk decodes to as many points as its part says."""
    if not _can_fold(found):
        return
    packer = Packer()
    rows = connection.execute(
        "SELECT c.part_id, c.number, c.data, p.name, p.count FROM chunk c JOIN part p ON p.id = c.part_id"
    )
    for part_id, number, data, name, count in rows:
        part = Part(part_id, 0, name, 0, 0, 0, count)
        due = min(CHUNK_POINTS, entries_of(part, 0) - number * CHUNK_POINTS)
        try:
            points = len(decode_chunk(packer, data))
        except ChunkDamaged as error:
            found.findings.append(f"chunk {number} of part {part_id} ({name!r}): {error.message}")
            continue
        if points != due:
            found.findings.append(f"chunk {number} of part {part_id} ({name!r}): {points} points, {due} are due")


def _summaries(connection: Any, found: Contents) -> None:
    """Every summary decodes to the entries that its part's points make, and none is missing."""
    if not _can_fold(found):
        return
    packer = Packer()
    asked = connection.execute("SELECT id, name, count FROM part")
    due = {row[0]: summaries_of(Part(row[0], 0, row[1], 0, 0, 0, row[2])) for row in asked}
    for part_id, level, number, data in connection.execute("SELECT part_id, level, number, data FROM summary"):
        wanted = due.get(part_id, {}).pop((level, number), 0)
        try:
            entries = len(decode_entries(packer, data))
        except ChunkDamaged as error:
            found.findings.append(f"summary {number} of level {level} of part {part_id}: {error.message}")
            continue
        if entries != wanted:
            found.findings.append(
                f"summary {number} of level {level} of part {part_id}: {entries} entries, {wanted} are due"
            )
    for part_id, missing in due.items():
        found.findings += [f"part {part_id}: {len(missing)} summaries are missing"] if missing else []


def _can_fold(found: Contents) -> bool:
    """False for a database of version 1, which the server migrates when it starts."""
    return any(table.name == "part" for table in found.tables)
