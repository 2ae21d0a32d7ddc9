"""The SQLite file: one engine for the writer, one for read-only readers.

Rules of this file:
- SQLite below 3.51.3 can corrupt a database in WAL mode when two connections checkpoint at once: refused.
- Readers are time-limited: one long reader grew a WAL to 200 MB and blocked checkpoints.
- Before the file is opened it is where it may be, sound or repaired (upkeep/repair.py), and at this version's tables
  (upkeep/migrations).
- Damage that a reader meets is refused by name, for that question only, and reported: what SQLite sees, and what is
  stored and does not mean anything any more.
"""

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from ..errors import DatabaseDamaged, JournalDamaged, OldSqlite, ReadTimeout, StorageError, UnsupportedDatabase
from . import engines, raw
from .upkeep import ballast, file_system, migrations, repair
from .upkeep.backup import BEFORE, back_up
from .upkeep.ballast import Ballast
from .upkeep.damage import Damage, is_certain

SAFE_SQLITE = (3, 51, 3)
READ_LIMIT_S = 2.0
_PROGRESS_INSTRUCTIONS = 10_000  # SQLite calls back this often, well under a millisecond apart


def safe_driver(import_module: Callable[[str], ModuleType] = importlib.import_module) -> ModuleType:
    """The DB-API module of a SQLite that is safe in WAL mode. Raises OldSqlite."""
    found = []
    for name in ("pysqlite3.dbapi2", "sqlite3"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        if tuple(module.sqlite_version_info) >= SAFE_SQLITE:
            return module
        found.append(f"{name} brings {module.sqlite_version}")
    raise OldSqlite(f"At least {'.'.join(map(str, SAFE_SQLITE))} is needed; {', '.join(found)}.")


class Database:
    """An open database. `close` it when done."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        driver: ModuleType | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives monotonic seconds, `wall_s` epoch seconds, for names of files.

        A file that was left damaged is repaired first, an older one migrated. Raises StartupError when the file cannot
        be used.
        """
        driver = driver if driver is not None else safe_driver()
        self.path = _path_of(url)
        file_system.refuse_network(self.path)
        self.ballast = Ballast(self.path.with_name(ballast.NAME))
        self.damage = Damage(self.path)
        repair.mend(driver, self.path, self.damage, clock, wall_s)
        _make_private(self.path)
        self._clock = clock
        self.writer_engine = engines.writing(driver, self.path)
        _with_room(self.ballast, self.writer_engine)
        migrations.prepare(self.writer_engine, lambda revision: back_up(driver, self.path, BEFORE + revision, wall_s()))
        self._readers = engines.reading(driver, self.path)

    @contextlib.contextmanager
    def reading(self, limit_s: float = READ_LIMIT_S) -> Iterator[Session]:
        """A read-only session that is interrupted after `limit_s`. Raises ReadTimeout, StorageError."""
        with Session(self._readers) as session:
            try:
                driver_connection: Any = session.connection().connection.driver_connection
                deadline_s = self._clock() + limit_s
                driver_connection.set_progress_handler(lambda: self._clock() > deadline_s, _PROGRESS_INSTRUCTIONS)
                yield session
            except DBAPIError as error:
                if "interrupted" in str(error.orig):
                    raise ReadTimeout(f"The limit is {limit_s:g} s.") from error
                if raw.is_damage(error.orig):
                    self.damage.report(str(error.orig))
                    raise DatabaseDamaged(f"{error.orig}.") from error
                raise StorageError(f"{error.orig}.") from error
            except JournalDamaged as error:
                if is_certain(error):
                    self.damage.report(error.message)
                raise
            except PoolTimeoutError as error:
                raise ReadTimeout(f"All {engines.READERS} readers were busy for {engines.POOL_WAIT_S:g} s.") from error

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self.writer_engine.dispose()


def _path_of(url: str) -> Path:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise UnsupportedDatabase(f"This version stores in SQLite, not in {parsed.get_backend_name()}.")
    if not parsed.database or parsed.database == ":memory:":
        raise UnsupportedDatabase("A database in memory would lose what was acknowledged.")
    return Path(parsed.database).absolute()


def _make_private(path: Path) -> None:
    """The file, readable by its owner only; SQLite gives its WAL the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UnsupportedDatabase(f"{path} cannot be opened: {error.strerror}.") from error


def _with_room(held_back: Ballast, engine: Engine) -> None:
    """Open the file for the first time; on a full disk, in the room of the ballast. Raises UnsupportedDatabase."""
    while True:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            return
        except DBAPIError as error:
            if not held_back.is_there():
                raise UnsupportedDatabase(f"{error.orig}.") from error
            held_back.drop()
