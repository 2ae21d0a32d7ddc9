"""A DB-API module over apsw, as thin as SQLAlchemy's sqlite dialect allows: the store's own code on a recording VFS.

Rules of this file: it stands in for pysqlite3 in autocommit mode (`isolation_level=None`), which is how the store opens
its connections; `rewrite` may change a statement before SQLite sees it, for sabotage and for smaller numbers.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import apsw


class Error(Exception):
    """As in DB-API."""

    sqlite_errorcode = 0


class OperationalError(Error):
    """As in DB-API."""


class IntegrityError(Error):
    """As in DB-API."""


class Cursor:
    """As in DB-API, as far as SQLAlchemy uses it."""

    arraysize = 1
    lastrowid: int | None = None

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._cursor = connection.apsw.cursor()
        self._cursor.exec_trace = self._describe
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Cursor":
        """Run one statement."""
        before = self._connection.apsw.total_changes()
        self._run(sql, parameters)
        self._count(sql, before)
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> "Cursor":
        """Run one statement for each row of parameters."""
        before = self._connection.apsw.total_changes()
        for parameters in rows:
            self._run(sql, parameters)
        self._count(sql, before)
        return self

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        return self._guarded(lambda: next(self._cursor, None))

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """At most so many rows."""
        return [row for _ in range(size or self.arraysize) if (row := self.fetchone()) is not None]

    def fetchall(self) -> list[Any]:
        """What is left."""
        return list(self._guarded(self._cursor.fetchall))

    def __iter__(self) -> Any:
        return iter(self.fetchone, None)

    def close(self) -> None:
        """Let go."""
        self._cursor.close(True)

    def setinputsizes(self, *sizes: Any) -> None:
        """Nothing to do."""

    setoutputsize = setinputsizes

    def _run(self, sql: str, parameters: Any) -> None:
        self._guarded(lambda: self._cursor.execute(self._connection.rewrite(sql), parameters))
        self.lastrowid = self._connection.apsw.last_insert_rowid()

    def _describe(self, cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        # before the first row, because after the last one of none at all apsw has forgotten the columns
        self.description = tuple((name, None, None, None, None, None, None) for name, _ in cursor.get_description())
        self.description = self.description or None
        return True

    def _count(self, sql: str, before: int) -> None:
        is_change = re.match(r"\s*(insert|update|delete|replace)\b", sql, re.IGNORECASE)
        self.rowcount = self._connection.apsw.total_changes() - before if is_change else -1

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except apsw.ConstraintError as error:
            raise _typed(IntegrityError, error) from error
        except apsw.Error as error:
            raise _typed(OperationalError, error) from error


class Connection:
    """As in DB-API, in autocommit mode."""

    def __init__(self, path: str, vfs: str | None, rewrite: Callable[[str], str]) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self.apsw, self.rewrite = apsw.Connection(path, flags=flags, vfs=vfs), rewrite

    @property
    def in_transaction(self) -> bool:
        """True between BEGIN and its end."""
        return self.apsw.in_transaction

    def cursor(self, *_: Any) -> Cursor:
        """A cursor."""
        return Cursor(self)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """As sqlite3's shortcut."""
        return self.cursor().execute(sql, parameters)

    def commit(self) -> None:
        """Commit, where something is open."""
        if self.apsw.in_transaction:
            self.cursor().execute("COMMIT")

    def rollback(self) -> None:
        """Roll back, where something is open."""
        if self.apsw.in_transaction:
            self.cursor().execute("ROLLBACK")

    def close(self) -> None:
        """Let go."""
        self.apsw.close(True)

    def create_function(self, name: str, n: int, function: Any, deterministic: bool = False) -> None:
        """A function for SQL."""
        self.apsw.create_scalar_function(name, function, n, deterministic=deterministic)

    def set_progress_handler(self, handler: Any, instructions: int) -> None:
        """As sqlite3's."""
        self.apsw.set_progress_handler(None if handler is None else lambda: bool(handler()), instructions)


def driver(vfs: str | None = None, rewrite: Callable[[str], str] = lambda sql: sql) -> ModuleType:
    """A module that `Database` takes for its driver."""
    module = ModuleType("apsw_driver")
    version = apsw.sqlite_lib_version()
    facts = {
        "apilevel": "2.0", "paramstyle": "qmark", "threadsafety": 1, "sqlite_version": version,
        "sqlite_version_info": tuple(map(int, version.split("."))),
        "connect": lambda path, **_: Connection(str(path), vfs, rewrite), "Binary": bytes,
        "Error": Error, "DatabaseError": Error, "OperationalError": OperationalError, "IntegrityError": IntegrityError,
        "PARSE_DECLTYPES": 1, "PARSE_COLNAMES": 2,
    }  # fmt: skip
    for name in ("InterfaceError", "InternalError", "ProgrammingError", "NotSupportedError", "DataError", "Warning"):
        facts[name] = type(name, (Error,), {})
    vars(module).update(facts)
    return module


def _typed(kind: type[Error], error: apsw.Error) -> Error:
    typed = kind(str(error))
    typed.sqlite_errorcode = getattr(error, "extendedresult", 0)
    return typed
