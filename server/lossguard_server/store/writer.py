"""The one thread that writes.

Rules of this file:
- One connection writes and checkpoints; nobody else does. That also removes what triggers SQLite's WAL-reset bug.
- Group commit: everything that waits is committed together (up to MAX_BATCH_BYTES or MAX_GATHER_S); an operation that
  comes alone is committed at once. Nobody waits for a timer.
- An operation is a callable of a session. It may run twice (a batch that fails is rolled back and each of its
  operations is tried alone), so it must touch nothing but the session.
- A result is handed out only after its commit returned.
- A full disk is logged once an episode, which ends with the next commit that wrote something; of a trainer's data,
  when it was such that was refused (small bookkeeping still finds room in old pages).
- After an I/O error nothing is written any more: a failed fsync must not be retried (the pages are marked clean).
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from ..errors import DiskFull, ServerError, StorageError, WriterClosed

MAX_BATCH_BYTES = 4 << 20
MAX_GATHER_S = 0.05
SQLITE_IOERR, SQLITE_FULL = 10, 13

T = TypeVar("T")
Operation = Callable[[Session], T]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting(Generic[T]):
    operation: Operation[T]
    size_bytes: int
    future: "Future[T]"


class Writer:
    """Takes operations from any thread and commits them in the order in which they came."""

    def __init__(self, engine: Engine, clock: Callable[[], float], on_broken: Callable[[], None]) -> None:
        """`clock` gives monotonic seconds; `on_broken` is told, once, when the disk has failed."""
        self._engine, self._clock, self._on_broken = engine, clock, on_broken
        self._queue: queue.Queue[_Waiting[Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._closed = False
        self._broken: StorageError | None = None
        self._is_full = False  # these two are written by the thread alone
        self._refused_data = False
        self._thread = threading.Thread(target=self._run, name="lossguard-writer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why data is refused at present, None while it is not. Any thread may ask."""
        return DiskFull().message if self._is_full else None

    def submit(self, operation: Operation[T], size_bytes: int = 0) -> "Future[T]":
        """The operation's result, once it is on disk. The future raises ServerError or what the operation raised."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(WriterClosed())
            else:
                self._queue.put(_Waiting(operation, size_bytes, future))
        return future

    def close(self) -> None:
        """Commit what waits, checkpoint, stop. Safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._gather()
            self._commit([waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()])
        self._checkpoint()

    def _gather(self) -> tuple[list[_Waiting[Any]], bool]:
        """What waits now, and whether more may come. Blocks only while nothing waits."""
        batch: list[_Waiting[Any]] = []
        size_bytes = 0
        waiting = self._queue.get()
        deadline_s = self._clock() + MAX_GATHER_S
        while waiting is not None:
            batch.append(waiting)
            size_bytes += waiting.size_bytes
            if size_bytes >= MAX_BATCH_BYTES or self._clock() >= deadline_s:
                return batch, True
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Waiting[Any]]) -> None:
        if not batch:
            return
        error = self._try(batch)
        if error is None:
            return
        if len(batch) == 1 or self._broken is not None:
            for waiting in batch:
                waiting.future.set_exception(self._broken or error)
            return
        for waiting in batch:
            self._commit([waiting])

    def _try(self, batch: list[_Waiting[Any]]) -> BaseException | None:
        """Run the batch in one transaction; None when it is committed, else why it is not (nothing of it is)."""
        if self._broken is not None:
            return self._broken
        try:
            with Session(self._engine) as session:
                before = _changes(session) if self._is_full else 0
                results = [self._apply(session, waiting) for waiting in batch]
                has_written = self._is_full and _changes(session) > before
                session.commit()
        except ServerError as error:
            return error
        except DBAPIError as error:
            return self._typed(error, _has_data(batch))
        except Exception as error:  # a fault in an operation must not end the thread that everybody depends on
            log.exception("a write operation failed")
            return error
        if has_written and (_has_data(batch) or not self._refused_data):
            self._is_full = self._refused_data = False
            log.warning("the disk has room again; data is stored")
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)
        return None

    @staticmethod
    def _apply(session: Session, waiting: _Waiting[T]) -> T:
        result = waiting.operation(session)
        session.flush()
        return result

    def _typed(self, error: DBAPIError, is_data: bool) -> StorageError:
        code = cast(int, getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF
        if code == SQLITE_FULL:
            self._refused_data |= is_data
            if not self._is_full:
                self._is_full = True
                log.error("%s %s", DiskFull().message, DiskFull.hint)
            return DiskFull()
        log.error("a write failed: %s", error.orig)
        failure = StorageError(f"{error.orig}.")
        if code == SQLITE_IOERR:
            self._broken = failure
            self._on_broken()
        return failure

    def _checkpoint(self) -> None:
        """Fold the write-ahead log into the database, so that the next start has nothing to replay."""
        # the raw connection, because SQLAlchemy would begin a transaction first, in which no checkpoint is possible
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except self._engine.dialect.loaded_dbapi.Error as error:  # the next start checkpoints
            log.warning("the last checkpoint failed: %s", error)
        finally:
            connection.close()


def _has_data(batch: list[_Waiting[Any]]) -> bool:
    return any(waiting.size_bytes > 0 for waiting in batch)


def _changes(session: Session) -> int:
    """Rows that this connection has changed in its life: a commit that changed none is no proof of room."""
    return int(session.connection().exec_driver_sql("SELECT total_changes()").scalar_one())
