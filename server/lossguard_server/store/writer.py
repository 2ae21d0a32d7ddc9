"""The one thread that writes.

Rules of this file:
- One connection writes and checkpoints; nobody else does. That also removes what triggers SQLite's WAL-reset bug.
- Group commit: everything that waits is committed together (up to MAX_BATCH_BYTES or MAX_GATHER_S); an operation that
  comes alone is committed at once. Nobody waits for a timer.
- An operation is a callable of a session. It may run twice (a batch that fails is rolled back and each of its
  operations is tried alone), so it must touch nothing but the session.
- A result is handed out only after its commit returned.
- While the disk is full, data (operations with a size) are refused without touching it; what is small goes on, in the
  room that the ballast held. Every PROBE_S it is tried whether the ballast finds room again: then data are taken.
- Damage is met where it is: the operation that meets it is refused, others go on.
- After an I/O error nothing is written any more: a failed fsync must not be retried (the pages are marked clean).
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from ..errors import DatabaseDamaged, DiskFull, ServerError, StorageError, WriterClosed
from . import raw
from .upkeep.ballast import Ballast, NoBallast
from .upkeep.damage import Damage, NoDamage
from .upkeep.free_pages import give_back

MAX_BATCH_BYTES = 4 << 20
MAX_GATHER_S = 0.05
PROBE_S = 2.0

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

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        on_broken: Callable[[], None],
        ballast: Ballast | NoBallast | None = None,
        damage: Damage | NoDamage | None = None,
    ) -> None:
        """`clock` gives monotonic seconds; `on_broken` is told, once, when the disk has failed."""
        self._engine, self._clock, self._on_broken = engine, clock, on_broken
        self._ballast = ballast if ballast is not None else NoBallast()
        self._damage = damage if damage is not None else NoDamage()
        self._queue: queue.Queue[_Waiting[Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._closed = False
        self._broken: StorageError | None = None  # this and the next two are written by the thread alone
        self._is_full = False
        self._probe_due_s = 0.0
        self._care: Future[None] = Future()
        self._care.set_result(None)
        self._thread = threading.Thread(target=self._run, name="lossguard-writer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """What is wrong at present, as a sentence; None when nothing is. Any thread may ask."""
        if (error := self._broken) is None and self._is_full:
            error = DiskFull()
        if error is None and self._damage.found is not None:
            error = DatabaseDamaged(f"{self._damage.found}.")
        return None if error is None else error.message

    def tick(self) -> None:
        """Once a second, from any thread, which does not wait: the thread looks after the file when it comes to it."""
        if self._care.done():
            self._care = self.submit(self._look_after)

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
        self._ballast.make()
        open_ = True
        while open_:
            batch, open_ = self._gather()
            self._commit([waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()])
        self._checkpoint()
        self._ballast.drop()  # room is held back for a server that runs

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
        if self._is_full:
            batch = self._without_data(batch)
        if not batch:
            return
        was_full = self._is_full
        error = self._try(batch)
        if error is None:
            return
        is_first = self._is_full and not was_full  # the ballast has just made room for what is small
        if not is_first and (len(batch) == 1 or self._broken is not None):
            for waiting in batch:
                waiting.future.set_exception(self._broken or error)
            return
        for waiting in batch:
            self._commit([waiting])

    @staticmethod
    def _without_data(batch: list[_Waiting[Any]]) -> list[_Waiting[Any]]:
        for waiting in batch:
            if waiting.size_bytes > 0:
                waiting.future.set_exception(DiskFull())
        return [waiting for waiting in batch if waiting.size_bytes == 0]

    def _try(self, batch: list[_Waiting[Any]]) -> BaseException | None:
        """Run the batch in one transaction; None when it is committed, else why it is not (nothing of it is)."""
        if self._broken is not None:
            return self._broken
        try:
            with Session(self._engine) as session:
                results = [self._apply(session, waiting) for waiting in batch]
                session.commit()
        except ServerError as error:
            return error
        except DBAPIError as error:
            return self._typed(error)
        except Exception as error:  # a fault in an operation must not end the thread that everybody depends on
            log.exception("a write operation failed")
            return error
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)
        return None

    @staticmethod
    def _apply(session: Session, waiting: _Waiting[T]) -> T:
        result = waiting.operation(session)
        session.flush()
        return result

    def _typed(self, error: DBAPIError) -> StorageError:
        if raw.is_full(error.orig):
            self._enter_full()
            return DiskFull()
        if raw.is_damage(error.orig):
            self._damage.report(str(error.orig))
            return DatabaseDamaged(f"{error.orig}.")
        log.error("a write failed: %s", error.orig)
        failure = StorageError(f"{error.orig}.")
        if raw.code_of(error.orig) & 0xFF == raw.SQLITE_IOERR:
            self._broken = failure
            self._on_broken()
        return failure

    def _enter_full(self) -> None:
        if self._is_full:
            return
        self._is_full, self._probe_due_s = True, self._clock() + PROBE_S
        self._ballast.drop()
        log.error("%s %s", DiskFull().message, DiskFull.hint)

    def _look_after(self, session: Session) -> None:
        """Take data again when the disk has room; hand back what deleted runs have left."""
        if self._is_full and self._clock() >= self._probe_due_s:
            self._probe_due_s = self._clock() + PROBE_S
            if self._ballast.make():
                self._is_full = False
                log.warning("the disk has room again; data is stored")
        give_back(session)

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
