"""The read side of points: what charts, tables and exports ask.

Rules of this file:
- Callers know `Points` and nothing of how points are stored: folded in parts, or still in the journal.
- A query is answered from one snapshot, at a cost that grows with the pixels asked and not with the length of the run.
- Where two shown points of a series share a step, the newer one counts: there, and only there, every point is read.
- Memory is bounded: unfolded points of the runs looked at last, up to CACHE_BYTES together, and always the one in use;
  and what one answer may hold, which is refused before its points are read.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lossguard.protocol.frames import Columns, Steps

from ..errors import TooManyPoints
from . import journal, runs
from .branches import shown
from .buckets import Buckets, bucketise, bucketise_entries
from .columns import VIEW_RANK, Reading, RunColumns
from .folded import blocks
from .folded.blocks import Blocks
from .folded.sight import MERGED_POINTS, Located, Sight, Size
from .folded.summaries import FAN_OUT

CACHE_BYTES = 64 << 20  # with that of blocks 128 MiB
# Of an answer: 64 charts of 4,096 pixels. As JSON that takes 120 MB while it is made.
MAX_BUCKETS = 1 << 18
# A level's entries a pixel, at most: 16,000 of a series over 2,000 pixels take 4 ms to read. Levels lie 32 apart, so a
# pixel has at least a quarter of one; less where so many series are asked at once that together they would take long.
ENTRIES_PER_BUCKET = 8
MAX_ENTRIES = 480_000  # of a query: about 0.1 s


@dataclass(frozen=True)
class SeriesExtent:
    """What a run has of one series."""

    name: str
    first_step: int
    last_step: int
    count: int


@dataclass(frozen=True)
class PointsAnswer:
    """The asked series' buckets, and the last step that any of the run's series has (-1: none)."""

    series: dict[str, Buckets]
    last_step: int


@dataclass(frozen=True)
class Branch:
    """What of a run is shown: of which run of its name, and where its streams are cut.

    `created_s` None: there is no such run. `cuts`: (stream, the message up to which it is cut, None: always; the step).
    """

    created_s: float | None
    cuts: frozenset[tuple[int, int | None, int]]

    def is_same_up_to(self, step: int, other: "Branch") -> bool:
        """True when nothing that was shown up to this step was taken back between one and the other."""
        mine, others = ({cut for cut in branch.cuts if cut[2] <= step} for branch in (self, other))
        return self.created_s == other.created_s and mine == others


class Points:
    """All runs' points. Thread-safe. Everything raises JournalDamaged, StorageError."""

    def __init__(
        self,
        reading: Reading,
        cache_bytes: int = CACHE_BYTES,
        block_cache_bytes: int = blocks.CACHE_BYTES,
        most_buckets: int = MAX_BUCKETS,
    ) -> None:
        self._reading, self._cache_bytes, self._most_buckets = reading, cache_bytes, most_buckets
        self._blocks = Blocks(block_cache_bytes)
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, RunColumns] = OrderedDict()

    def extents(self, run_id: str) -> list[SeriesExtent]:
        """Every series of the run that has a point."""
        with self._look(run_id) as sight:
            return [SeriesExtent(name, *extent) for name, extent in sight.extents().items()]

    def branch(self, run_id: str) -> Branch:
        """What is shown of the run now."""
        with self._reading() as session:
            stored = runs.get(session, run_id)
            heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
            found = shown(session, [(head, head.last_seq) for head in heads])
        # the end of a stream moves as it grows
        cuts = [
            (head.id, None if segment is segments[-1] else segment.up_to_seq, segment.below_step)
            for head, segments in zip(heads, found, strict=True)
            for segment in segments
        ]
        return Branch(None if stored is None else stored.created_s, frozenset(cuts))

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer:
        """Buckets of `names` over [first_step, last_step] (None: as far as there is any). Unknown names are empty.

        Raises TooManyPoints.
        """
        with self._look(run_id) as sight:
            located, low, high = _locate(sight, names, first_step, last_step)
            self._refuse_too_many(located, width)
            most = None if width is None else _most_entries(width, len(located.asked))
            answer: dict[str, Buckets] = {}
            for some in located.in_groups(MERGED_POINTS):
                found = sight.pieces(some)
                levels = {name: _level(sum(piece.count for piece in pieces), most) for name, pieces in found.items()}
                raw = sight.points({name: found[name] for name, level in levels.items() if level == 0})
                answer |= {name: bucketise(*points, low, high, width) for name, points in raw.items()}
                if width is not None:
                    coarse = sight.entries({name: (found[name], level) for name, level in levels.items() if level})
                    answer |= {name: bucketise_entries(each, low, high, width) for name, each in coarse}
            return PointsAnswer({name: answer[name] for name in names}, sight.last_step())

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]:
        """Every point over [first_step, last_step]: by name (steps [n] int64, increasing; values [n] float64)."""
        with self._look(run_id) as sight:
            return sight.points(sight.pieces(_locate(sight, names, first_step, last_step)[0]))

    def last_step(self, run_id: str, names: Sequence[str]) -> int:
        """The last step that any of these series has; -1: none. No point is read."""
        with self._look(run_id) as sight:
            return sight.ends(sight.spans(names).values())[1]

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        with self._lock:
            self._runs.pop(run_id, None)

    @contextmanager
    def _look(self, run_id: str) -> Iterator[Sight]:
        with self._lock:
            columns = self._runs.setdefault(run_id, RunColumns(run_id))
            self._runs.move_to_end(run_id)
        with columns.look(self._reading) as (session, tails, scope):
            self._forget_old()
            yield Sight(session, tails, self._blocks, scope)

    def _refuse_too_many(self, located: Located, width: int | None) -> None:
        sizes = located.sizes().values()
        most = None if width is None else _most_entries(width, len(sizes))
        wanted = sum(min(_entries(size, _level(size.points, most)), width or size.points) for size in sizes)
        if wanted > self._most_buckets:
            raise TooManyPoints(f"They are {wanted} where an answer holds at most {self._most_buckets}.")

    def _forget_old(self) -> None:
        with self._lock:
            while len(self._runs) > 1 and sum(run.size_bytes for run in self._runs.values()) > self._cache_bytes:
                self._runs.popitem(last=False)


def _locate(
    sight: Sight, names: Sequence[str], first_step: int | None, last_step: int | None
) -> tuple[Located, int, int]:
    """Where the series lie, and over which steps."""
    spans = sight.spans(names)
    low, high = sight.ends(spans.values())
    low, high = low if first_step is None else first_step, high if last_step is None else last_step
    return sight.locate(spans, low, high), low, high


def _most_entries(width: int, series: int) -> int:
    """Of each series."""
    return max(min(width * ENTRIES_PER_BUCKET, MAX_ENTRIES // max(1, series)), FAN_OUT)


def _entries(size: Size, level: int) -> int:
    """At most so many are read of a series; finer ones at both ends of each range."""
    in_ranges = int((size.points - size.loose) // FAN_OUT**level)
    return size.loose + in_ranges + 2 * FAN_OUT * level * size.ranges


def _level(count: int, most: int | None) -> int:
    """The finest level at which so many points are at most `most` entries; 0: the points themselves."""
    level = 0
    while most is not None and count > most * FAN_OUT**level:
        level += 1
    return level
