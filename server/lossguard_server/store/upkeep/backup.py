"""A checked copy of the database beside it, made before something irreversible.

Rules of this file: SQLite's online backup, which takes a consistent state whoever writes meanwhile. A copy has its name
only once it is complete, on disk, and found sound; what was left half done by a process that died is cleared away.
"""

import contextlib
from pathlib import Path
from types import ModuleType

from ...errors import BackupFailed
from .. import raw

BEFORE = "before-"  # how the purpose of a backup before a migration begins
_UNFINISHED = ".unfinished"


def back_up(driver: ModuleType, database: Path, purpose: str, wall_s: float) -> Path:
    """`<database>.<purpose>-<utc time>`, readable by its owner only. Raises BackupFailed, leaving nothing behind."""
    for left in database.parent.glob(f"{database.name}.*{_UNFINISHED}*"):
        left.unlink()
    target = raw.unused(database.with_name(f"{database.name}.{purpose}-{raw.stamp(wall_s)}"))
    copy = target.with_name(target.name + _UNFINISHED)
    try:
        with raw.reading(driver, database) as source, raw.writing(driver, copy) as destination:
            source.backup(destination)
            # else the copy would be in WAL mode like its source, and bring a log of its own
            destination.execute("PRAGMA journal_mode=DELETE").fetchall()
            found = [line for (line,) in destination.execute("PRAGMA quick_check")]
        if found != ["ok"]:
            raise BackupFailed(f"It is damaged: {found[0]}.", "Repair it first: lossguard doctor --repair.")
        raw.sync(copy)
        copy.rename(target)
        raw.sync(target.parent)
    except (OSError, driver.Error) as error:
        raise BackupFailed(f"{error}.") from error
    finally:
        with contextlib.suppress(OSError):
            copy.unlink()
    return target


def newest(database: Path) -> Path | None:
    """The newest backup beside the database; None when there is none."""
    # by name, which ends with the time: a folder that was copied has not the files' own times any more
    found = [path for path in database.parent.glob(f"{database.name}.{BEFORE}*") if not path.name.endswith(_UNFINISHED)]
    return max(found, default=None)
