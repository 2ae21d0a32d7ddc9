"""Folds in the background what was committed and judged: frames of the journal into chunks and summaries.

Rules of this file:
- A run is folded when enough waits, or when it has been quiet for a while, so that a finished run ends up folded.
- One thread, one pass at a time; a pass of one stream, then the next run's turn. The writer gets one small operation,
  between commits, and the next one only when that is stored; while commits come in, the thread rests in between.
- What fails is told once and tried again later: a full disk, a slow reader. Nothing depends on its being in time; what
  is not folded is read from the journal.
- A stream that is damaged is passed over: the run's others, of later attempts too, are folded all the same.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..errors import DatabaseDamaged, JournalDamaged, ServerError
from ..store import journal
from ..store.columns import Reading
from ..store.folded import folding
from ..store.journal import StreamHead
from ..store.writer import Writer
from .clock import Clock
from .turns import Turns

FOLD_BYTES = 512 << 10
FOLD_BATCHES = 1_024
POINTS_WORTH = 256  # of each series in a pass: its open chunk is written again with every one
MAX_FOLD_BYTES = 16 << 20  # of a run with very many series
QUIET_S = 5.0
RETRY_S = 30.0

log = logging.getLogger(__name__)


@dataclass
class _Run:
    """What a run has brought since it was last folded. Guarded by the folder's lock; `damaged` is its thread's."""

    woken_s: float
    size_bytes: int = 0
    batches: int = 0
    worth_bytes: int = FOLD_BYTES
    not_before_s: float = 0.0
    is_queued: bool = False
    has_failed: bool = False  # and that was told; until everything could be folded
    damaged: dict[int, ServerError] = field(default_factory=dict)  # streams that are passed over until the next try

    def is_due(self, now_s: float) -> bool:
        is_worth_it = self.size_bytes >= self.worth_bytes or self.batches >= FOLD_BATCHES
        return (is_worth_it or now_s - self.woken_s >= QUIET_S) and now_s >= self.not_before_s and not self.is_queued


class Folder:
    """Folds every run. Its methods may be called from any thread."""

    def __init__(self, writer: Writer, reading: Reading, clock: Clock) -> None:
        self._writer, self._reading, self._clock = writer, reading, clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lossguard-folder")
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._is_closed = False
        self._closing = threading.Event()
        self._brought = 0
        self._turns = Turns(clock.monotonic_s, lambda: self._brought, self._closing.wait)

    def wake(self, run_id: str, size_bytes: int = 0) -> None:
        """The run has committed a batch of so many bytes. Cheap."""
        with self._lock:
            run = self._runs.setdefault(run_id, _Run(0.0))
            run.woken_s = self._clock.monotonic_s()
            run.size_bytes += size_bytes
            run.batches += 1
            self._brought += 1

    def catch_up(self) -> None:
        """After a start: what was committed and not folded is due at the next tick. Raises StorageError."""
        with self._reading() as session:
            waiting = journal.unfolded_runs(session)
        with self._lock:
            for run_id in waiting:
                self._runs.setdefault(run_id, _Run(self._clock.monotonic_s() - QUIET_S))

    def tick(self) -> None:
        """About once a second: begin what is due."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            for run_id, run in self._runs.items():
                if run.is_due(now_s):
                    self._queue(run_id, run)

    def close(self) -> None:
        """Finish the pass in hand; the rest is folded after the next start."""
        with self._lock:
            self._is_closed = True
        self._closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _queue(self, run_id: str, run: _Run) -> None:
        if not self._is_closed:
            run.is_queued = True
            self._thread.submit(self._fold, run_id).add_done_callback(lambda future: self._after(run_id, future))

    # -- in the folder's thread -----------------------------------------------------------------------------------

    def _fold(self, run_id: str) -> bool:
        with self._turns.page():
            return self._pass(run_id)

    def _pass(self, run_id: str) -> bool:
        """One pass over the first stream that has something to fold; whether there may be more.

        Raises what a damaged stream raised, when nothing else is left to fold.
        """
        with self._lock:
            run = self._runs[run_id]
            worth_bytes, run.size_bytes, run.batches = run.worth_bytes, 0, 0
        with self._reading() as session:
            heads = journal.streams(session, run_id)
        for head in heads:
            if head.folded_seq < folding.foldable_seq(head) and head.id not in run.damaged:
                try:
                    if self._fold_stream(run, head, worth_bytes):
                        return True
                except (JournalDamaged, DatabaseDamaged) as error:
                    run.damaged[head.id] = error
        if run.damaged:
            damaged, run.damaged = run.damaged, {}
            raise next(iter(damaged.values()))
        self._rest(run_id, heads)
        return False

    def _fold_stream(self, run: _Run, head: StreamHead, worth_bytes: int) -> bool:
        with self._reading() as session:
            found = folding.plan(session, head.id, page_bytes=max(folding.PASS_BYTES, worth_bytes))
        if found is None:
            return False
        folded = folding.fold(found)
        # with its size, like a trainer's data: on a full disk the room that is left is not for this
        self._writer.submit(lambda session: folding.store(session, folded), folded.size_bytes).result()
        with self._lock:
            worth_bytes = 8 * POINTS_WORTH * len(folded.parts)
            run.worth_bytes = min(max(FOLD_BYTES, worth_bytes), MAX_FOLD_BYTES)
        return True

    def _rest(self, run_id: str, heads: list[StreamHead]) -> None:
        """Nothing can be folded now; what is not judged yet is looked at again."""
        with self._lock:
            run = self._runs[run_id]
            is_brought_meanwhile = run.batches > 0
            if not is_brought_meanwhile and all(head.folded_seq == head.last_seq for head in heads):
                del self._runs[run_id]
            elif not is_brought_meanwhile:
                run.woken_s = self._clock.monotonic_s()

    def _after(self, run_id: str, future: "Future[bool]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return
            run.is_queued = False
            if error is None:
                if future.result():
                    self._queue(run_id, run)  # behind the other runs
                else:
                    run.has_failed = False
                return
            run.not_before_s = self._clock.monotonic_s() + RETRY_S
            is_told, run.has_failed = run.has_failed, True
        if not is_told and isinstance(error, ServerError):
            log.warning("folding run %s waits: %s", run_id, error)
        elif not is_told:
            log.error("folding run %s failed", run_id, exc_info=error)
