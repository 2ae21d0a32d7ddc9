"""Puts a sound database in the place of a damaged one, before anybody opens it.

Rules of this file:
- What can be read is copied into a new file, which takes the old one's place once it is complete, checked and on disk.
  The damaged file stays beside it, with its log, as it was found.
- Every step may be the last of a process that is killed: the marker says whether the new file is complete, and the swap
  goes on where it stopped.
- What was lost is said, by table and by run: at a start in the log, by the doctor to whoever asked it.
- The new file is at the newest revision: so far every migration only adds. A newer one is left alone: what this
  version cannot read need not be damaged.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from ...errors import NewerDatabase, RepairFailed
from .. import engines, raw, tables
from . import backup, examination, mending, migrations, soundness
from .damage import Damage
from .mending import LostKeys
from .salvage import Copied, Row, Salvage

CHECK_LIMIT_S = 0.5  # of a start after an unclean end, which has two seconds for everything
DAMAGED, _NEW = "damaged", ".repaired"
_COPIED = "copied"  # in the marker: the new file is complete, and this is what the damaged one will be called

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repaired:
    """What a repair did. `kept` is the damaged file; `losses` and `mended` are sentences."""

    kept: Path
    rows: int
    losses: list[str]
    mended: list[str]


def mend(
    driver: ModuleType,
    database: Path,
    damage: Damage,
    clock: Callable[[], float],
    wall_s: Callable[[], float],
    check_limit_s: float = CHECK_LIMIT_S,
) -> Repaired | None:
    """Repair the database if it needs it; None when it does not. Raises what `repair` raises, leaving it as it is.

    What was marked as damaged is examined wholly, its contents too: not all damage is SQLite's to see. What was not
    closed in good order is looked at for `check_limit_s`.
    """
    if _COPIED in damage.marked():
        _swap(database, damage)
    if not database.exists():
        return None
    is_marked, wal = damage.is_marked(), database.with_name(database.name + "-wal")
    if not is_marked and not (wal.exists() and wal.stat().st_size > 0):
        return None
    try:
        if is_marked:
            _refuse_newer(driver, database)
            found = examination.examine(driver, database, clock, is_full=True).findings
        else:
            found = raw.complaints(driver, database, "quick_check", check_limit_s, clock)
    except driver.Error as error:  # whoever opens it will say so
        log.warning("the database could not be checked: %s", error)
        return None
    if not found:
        damage.clear()
        return None
    log.error("the database is damaged and is being repaired: %s", "; ".join(found[:5]))
    done = repair(driver, database, damage, wall_s())
    _say(done)
    return done


def repair(driver: ModuleType, database: Path, damage: Damage, wall_s: float) -> Repaired:
    """Put what can be read of the database in its place. Raises RepairFailed, NewerDatabase, leaving it as it is."""
    _refuse_newer(driver, database)
    new = database.with_name(database.name + _NEW)
    kept = raw.unused(database.with_name(f"{database.name}.{DAMAGED}-{raw.stamp(wall_s)}"))
    try:
        _remove(new)
        copied, mended = _copy(driver, database, new, wall_s)
        if found := raw.complaints(driver, new, "integrity_check", math.inf, lambda: 0.0):
            raise RepairFailed(f"The copy is not sound: {found[0]}.", _hint(database))
        raw.sync(new)
        damage.mark({_COPIED: kept.name})
        _swap(database, damage)
    except (OSError, driver.Error, DBAPIError) as error:
        raise RepairFailed(f"{getattr(error, 'orig', error)}.", _hint(database)) from error
    finally:
        if _COPIED not in damage.marked():
            _remove(new)
    return Repaired(kept, sum(table.rows for table in copied), [_loss(table) for table in copied if table.lost], mended)


def _copy(driver: ModuleType, database: Path, new: Path, wall_s: float) -> tuple[list[Copied], list[str]]:
    with raw.writing(driver, new):  # makes it private
        pass
    engine = engines.writing(driver, new)
    try:
        with engine.begin() as connection:
            migrations.upgrade(connection, migrations.FRESH, migrations.HEAD)
        with raw.reading(driver, database) as source, raw.writing(driver, new) as target:
            target.execute("PRAGMA synchronous=OFF")  # until it is complete nobody depends on it
            salvage = Salvage(driver, source, target)
            copied = _tables(salvage)
            lost = _lost_keys(salvage, copied)
        with engine.connect() as connection:  # the only one that the engine has
            driver_connection: Any = connection.connection.driver_connection
            driver_connection.execute("PRAGMA foreign_keys=OFF")
        with Session(engine) as session:
            mended = mending.mend(session, lost, wall_s)
            session.commit()
    finally:
        engine.dispose()
    with raw.writing(driver, new) as target:
        target.execute("PRAGMA journal_mode=DELETE").fetchall()  # everything is in the one file that is moved
    return copied, mended


def _tables(salvage: Salvage) -> list[Copied]:
    checks = {
        tables.JournalRow.__tablename__: soundness.is_sound_message,
        tables.ChunkRow.__tablename__: soundness.is_sound_chunk,
        tables.SummaryRow.__tablename__: soundness.is_sound_summary,
    }
    copied = []
    for table in SQLModel.metadata.sorted_tables:
        if columns := salvage.columns(table.name):
            check = checks.get(table.name, lambda _: lambda row: True)
            copied.append(salvage.copy(table.name, check(columns)))
    return copied


def _lost_keys(salvage: Salvage, copied: list[Copied]) -> LostKeys:
    lossy = {table.table for table in copied if table.lost}

    def lost(table: str, columns: str, key: str) -> list[Row]:
        """What an index names and the copy has not."""
        has = f"SELECT count(*) FROM {table} WHERE ({key}) = ({', '.join('?' * len(key.split(',')))})"
        width = len(key.split(","))
        known = salvage.keys(table, columns) if table in lossy else []
        return [row for row in known if salvage.target.execute(has, row[:width]).fetchone()[0] == 0]

    return LostKeys(
        lost("journal", "stream_id, seq", "stream_id, seq"),
        lost("stream", "id, run_id, rank, attempt", "id"),
        salvage.keys("part", "id, stream_id, name"),
        {row[0] for row in lost("chunk", "part_id, number", "part_id, number")},
    )


def _refuse_newer(driver: ModuleType, database: Path) -> None:
    try:
        with raw.reading(driver, database) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    except driver.Error:  # then its contents say what can be kept
        return
    if version > tables.SCHEMA_VERSION:
        raise NewerDatabase(f"Its schema version is {version}, this server knows {tables.SCHEMA_VERSION}.")


def _hint(database: Path) -> str:
    """What to do when a repair fails: there may be a backup."""
    if (newest := backup.newest(database)) is None:
        return RepairFailed.hint
    return (
        f"Free as much space as the database takes and start again, or go back to the newest backup: move"
        f" {database.name} and {database.name}-wal away, and copy {newest.name} to {database.name}."
    )


def _swap(database: Path, damage: Damage) -> None:
    """Put the complete new file in place; may be begun again wherever it stopped."""
    new, kept = database.with_name(database.name + _NEW), database.with_name(damage.marked()[_COPIED])
    if new.exists():
        # the log goes first: one that stayed would be replayed into the new file
        for end in ("-wal", ""):
            old = database.with_name(database.name + end)
            if old.exists():
                old.replace(kept.with_name(kept.name + end))
        _unlink(database.with_name(database.name + "-shm"))
        new.replace(database)
        raw.sync(database.parent)
    damage.clear()
    raw.sync(database.parent)


def _remove(new: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        _unlink(new.with_name(new.name + end))


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _loss(table: Copied) -> str:
    return f"table {table.table}: {table.lost} rows lost, {table.rows} kept"


def _say(done: Repaired) -> None:
    log.error("the database was repaired: %d rows kept. The damaged file is %s", done.rows, done.kept)
    for sentence in [*done.losses, *done.mended]:
        log.error("lost by damage: %s", sentence)
    if not done.losses:
        log.error("lost by damage: no row of any table")
