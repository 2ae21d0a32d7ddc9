"""Runs and streams whose rows are gone, and what belongs to nothing any more.

Rules of this file: a row is made anew from what indices and children still say of it; what nobody can say is left at
its default, and named.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from ..salvage import Row


def restore_streams(connection: Connection, known: Sequence[Row]) -> list[str]:
    """Streams whose row is gone, but of which an index had the name; what was judged once is not judged again."""
    present = {row[0] for row in connection.execute(text("SELECT id FROM stream"))}
    gone = [row for row in known if row[0] not in present and isinstance(row[1], str)]
    for number, run_id, rank, attempt in gone:
        newest = (
            "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM journal WHERE stream_id = :id"
            " UNION ALL SELECT max(first_seq) FROM part WHERE stream_id = :id)"
        )
        last = connection.execute(text(newest), {"id": number}).scalar()
        is_frame = "SELECT min(seq) FROM journal WHERE stream_id = :id AND kind = 'frame'"
        frame = connection.execute(text(is_frame), {"id": number}).scalar()
        row = {"id": number, "run": run_id, "rank": rank, "attempt": attempt, "last": last or 0}
        connection.execute(
            text(
                "INSERT INTO stream (id, run_id, rank, attempt, last_seq, judged_seq, folded_seq)"
                " VALUES (:id, :run, :rank, :attempt, :last, :last, :folded)"
            ),
            {**row, "folded": (last or 0) if frame is None else frame - 1},
        )
    return [f"run {row[1]}: the head of rank {row[2]}, attempt {row[3]} was made anew" for row in gone]


def restore_runs(connection: Connection) -> list[str]:
    """Runs whose row is gone: what is theirs is there, their project and name are not."""
    missing = "SELECT run_id, max(attempt) FROM stream WHERE run_id NOT IN (SELECT id FROM run) GROUP BY run_id"
    gone = connection.execute(text(missing)).all()
    for run_id, attempt in gone:
        connection.execute(
            text(
                "INSERT INTO run (id, project, name, created_s, seen_s, world_size, attempt)"
                " VALUES (:id, 'recovered', :id, 0, 0, 1, :attempt)"
            ),
            {"id": run_id, "attempt": attempt},
        )
    return [f"run {row[0]}: its project and its name are lost" for row in gone]


def drop_orphans(connection: Connection) -> list[str]:
    """What belongs to nothing any more, children first gone by the next look. Of points the steps are told before."""
    counts: dict[str, int] = {}
    while orphans := connection.execute(text("PRAGMA foreign_key_check")).all():
        for table, rowid, *_ in orphans:
            connection.execute(text(f"DELETE FROM {table} WHERE rowid = :rowid"), {"rowid": rowid})
            counts[table] = counts.get(table, 0) + 1
    return [f"{count} rows of table {table} belonged to nothing that is left" for table, count in counts.items()]
