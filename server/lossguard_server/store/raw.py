"""Plain connections to a SQLite file, for what looks after the file itself: backups, checks, repairs.

Rules of this file: `reading` never changes a file, not even by folding its write-ahead log; whatever is damaged stays
as it was found. `Driver` errors pass through: their callers know what they mean.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB = 10, 11, 13, 26
SQLITE_IOERR_SHMSIZE = 10 | (19 << 8)
_PROGRESS_INSTRUCTIONS = 10_000  # SQLite calls back this often, well under a millisecond apart
_BUSY_MS = 5_000


def uri_path(path: Path) -> str:
    """The path as it stands in a SQLite URI."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


@contextlib.contextmanager
def reading(driver: ModuleType, path: Path) -> Iterator[Any]:
    """A connection that only reads, also beside a server; the file's write-ahead log is read with it."""
    connection = driver.connect(
        f"file:{uri_path(path)}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        connection.execute("PRAGMA cell_size_check=ON")
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def writing(driver: ModuleType, path: Path) -> Iterator[Any]:
    """A connection to a file of our own, which is made if need be, readable by its owner only."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = driver.connect(str(path), isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def code_of(error: BaseException | None) -> int:
    """SQLite's extended result code, 0 where there is none."""
    found = getattr(error, "sqlite_errorcode", 0)
    return found if isinstance(found, int) else 0


def is_damage(error: BaseException | None) -> bool:
    """True when SQLite found the file itself to be wrong."""
    return code_of(error) & 0xFF in (SQLITE_CORRUPT, SQLITE_NOTADB)


def is_full(error: BaseException | None) -> bool:
    """True when the disk has no room."""
    code = code_of(error)
    # the shared-memory file could not grow: no fsync failed, and the next try may find room
    return code & 0xFF == SQLITE_FULL or code == SQLITE_IOERR_SHMSIZE


def complaints(driver: ModuleType, path: Path, check: str, limit_s: float, clock: Callable[[], float]) -> list[str]:
    """What `check` (quick_check or integrity_check) finds wrong within `limit_s`; [] when it finds nothing."""
    found: list[str] = []
    deadline_s = clock() + limit_s
    try:
        with reading(driver, path) as connection:
            connection.set_progress_handler(lambda: clock() > deadline_s, _PROGRESS_INSTRUCTIONS)
            for (line,) in connection.execute(f"PRAGMA {check}"):
                found += [] if line == "ok" else [str(line)]
    except driver.Error as error:
        if is_damage(error):
            found.append(str(error))
        elif "interrupted" not in str(error):
            raise
    return found


def sync(path: Path) -> None:
    """What was written to a file, or renamed and removed in a folder, stays so after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(wall_s: float) -> str:
    """A time in a file's name: UTC, to the second."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def unused(path: Path) -> Path:
    """`path`, or the first free name that begins so."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
