"""The SQLite file: one engine for the writer, one for read-only readers.

Rules of this file:
- SQLite below 3.51.3 can corrupt a database in WAL mode when two connections checkpoint at once: refused.
- `synchronous=FULL`: with NORMAL, 53 % of 2,000 simulated power cuts lost acknowledged commits, with FULL none.
- Readers are `mode=ro`, `query_only` and time-limited: one long reader grew a WAL to 200 MB and blocked checkpoints.
"""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, SQLModel

from ..errors import NewerDatabase, OldSqlite, ReadTimeout, StorageError, UnsupportedDatabase
from . import tables

SAFE_SQLITE = (3, 51, 3)
READ_LIMIT_S = 2.0
READERS = 8
POOL_WAIT_S = 5.0
_PROGRESS_INSTRUCTIONS = 10_000  # SQLite calls back this often, well under a millisecond apart

WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=2000",  # 8 MB: larger WALs made the acknowledgement's p99 go from 19 ms to seconds
    "journal_size_limit=67108864",
    "busy_timeout=5000",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    "fullfsync=1",  # macOS only: its fsync does not reach the platter
)
READER_PRAGMAS = ("query_only=ON", "busy_timeout=5000", "trusted_schema=OFF", "mmap_size=0")


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

    def __init__(self, url: str, clock: Callable[[], float], driver: ModuleType | None = None) -> None:
        """`clock` gives monotonic seconds. Raises StartupError when the file cannot be used."""
        driver = driver if driver is not None else safe_driver()
        self.path = _path_of(url)
        _make_private(self.path)
        self._clock = clock
        self.writer_engine = _engine(driver, str(self.path), 1, _writer_connects)
        _prepare_schema(self.writer_engine)
        self._readers = _engine(driver, f"file:{_uri_path(self.path)}?mode=ro", READERS, _reader_connects)

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
                raise StorageError(f"{error.orig}.") from error
            except PoolTimeoutError as error:
                raise ReadTimeout(f"All {READERS} readers were busy for {POOL_WAIT_S:g} s.") from error

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


def _uri_path(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _engine(driver: ModuleType, database: str, size: int, connects: Callable[[DBAPIConnection], None]) -> Engine:
    def creator() -> DBAPIConnection:
        # check_same_thread: the pool hands a connection to one thread at a time, not always to the same
        connection: DBAPIConnection = driver.connect(
            database, uri=database.startswith("file:"), isolation_level=None, check_same_thread=False
        )
        connects(connection)
        return connection

    engine = create_engine(
        "sqlite://",
        module=driver,
        creator=creator,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
    )
    begin = "BEGIN IMMEDIATE" if connects is _writer_connects else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _writer_connects(connection: DBAPIConnection) -> None:
    _run_pragmas(connection, WRITER_PRAGMAS)


def _reader_connects(connection: DBAPIConnection) -> None:
    _run_pragmas(connection, READER_PRAGMAS)


def _run_pragmas(connection: DBAPIConnection, pragmas: tuple[str, ...]) -> None:
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
        cursor.fetchall()
    cursor.close()


def _prepare_schema(engine: Engine) -> None:
    """Make the tables of a fresh file; refuse a file that is newer, or not ours."""
    try:
        with engine.begin() as connection:
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            application = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
            empty = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
            if version > tables.SCHEMA_VERSION or (not empty and application != tables.APPLICATION_ID):
                raise NewerDatabase(f"Its schema version is {version}, this server knows {tables.SCHEMA_VERSION}.")
            SQLModel.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={tables.SCHEMA_VERSION}")
            connection.exec_driver_sql(f"PRAGMA application_id={tables.APPLICATION_ID}")
    except DBAPIError as error:
        raise UnsupportedDatabase(f"{error.orig}.") from error
