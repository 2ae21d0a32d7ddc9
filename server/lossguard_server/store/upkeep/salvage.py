"""Copies every readable row of a damaged database into a sound one.

Rules of this file:
- Rows are read by ranges of their row id, straight from the table: where a range cannot be read it is halved, until
  what is damaged stands alone; an index that can be read says where. Indices are made anew.
- A row whose bytes SQLite cannot doubt, but whose content says that it was changed, is not copied either.
- The source is never written to.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .. import raw

# Row ids that fail one by one: of a damaged page these are dozens. More only happens where nobody can say where a table
# ends, and would not end there.
MAX_FAILURES = 100_000
SPARSE = 4_096  # row ids without a known row between two known ones that are looked through all the same
_LAST_ROWID = (1 << 63) - 1

Row = tuple[Any, ...]
IsSound = Callable[[Row], bool]


@dataclass
class Copied:
    """What became of one table. `lost` is at most so many rows where its indices cannot be read either."""

    table: str
    rows: int = 0
    unsound: int = 0
    lost: int = 0
    keys: list[Row] = field(default_factory=list)  # of what its first unique index held


class Salvage:
    """One damaged source, one new target; both are plain connections."""

    def __init__(self, driver: ModuleType, source: Any, target: Any) -> None:
        self._driver, self.source, self.target = driver, source, target
        source.text_factory = _text

    def columns(self, table: str) -> list[str]:
        """The columns that source and target share."""
        ours = [row[1] for row in self.target.execute(f"PRAGMA table_info({table})")]
        theirs = {row[1] for row in self.source.execute(f"PRAGMA table_info({table})")}
        return [name for name in ours if name in theirs]

    def copy(self, table: str, is_sound: IsSound) -> Copied:
        """Every row of `table` that can be read and is sound. `is_sound` gets a row in the order of `columns`."""
        columns = self.columns(table)
        names = ", ".join(f'"{name}"' for name in columns)
        insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"
        select = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
        done = Copied(table)
        failures, known = 0, list[int]()
        pending = [(1, self._last_rowid(table))]
        self.target.execute("BEGIN")
        while pending:
            low, high = pending.pop()
            reached = low
            try:
                for rowid, *row in self.source.execute(select, (low, high)):
                    reached = rowid + 1
                    self._keep(insert, tuple(row), is_sound, done)
                reached = high + 1
            except self._driver.Error as error:
                if not raw.is_damage(error):
                    raise
            if reached > high:
                continue
            failures += 1
            known = known or sorted(row[0] for row in self.keys(table, "rowid"))
            middle = _middle(known, reached, high)
            if middle is not None and failures < MAX_FAILURES:
                pending += [(middle + 1, high), (reached, middle)]
            else:
                done.lost += 1
        self.target.execute("COMMIT")
        return self._compared(done)

    def _keep(self, insert: str, row: Row, is_sound: IsSound, done: Copied) -> None:
        if is_sound(row) and not any(isinstance(value, _NotText) for value in row):
            done.rows += self.target.execute(insert, row).rowcount
        else:
            done.unsound += 1

    def keys(self, table: str, columns: str) -> list[Row]:
        """These columns of every row, as far as an index that has them can be read."""
        found: list[Row] = []
        for index in self._indices(table):
            some: list[Row] = []
            try:
                some.extend(self.source.execute(f'SELECT {columns} FROM {table} INDEXED BY "{index}"'))
            except self._driver.Error:  # damaged, or an index that has not every row
                some = []
            found = max(found, some, key=len)
        return found

    def _compared(self, done: Copied) -> Copied:
        """With the number of rows that an index still knows of, which is exact."""
        # also where nothing failed: a page may have forgotten rows that an index still has
        known = len(self.keys(done.table, "rowid"))
        done.lost = known - done.rows if known and known >= done.rows else done.lost + done.unsound
        return done

    def _last_rowid(self, table: str) -> int:
        try:
            return int(self.source.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0)
        except self._driver.Error as error:
            if not raw.is_damage(error):
                raise
        known = self.keys(table, "rowid")
        return max(row[0] for row in known) if known else _LAST_ROWID

    def _indices(self, table: str) -> list[str]:
        return [row[1] for row in self.source.execute(f"PRAGMA index_list({table})") if not row[4]]


def _middle(known: Sequence[int], low: int, high: int) -> int | None:
    """Where to halve a range that cannot be read; None where that makes no sense. `known`: the row ids of an index, in
    order; empty where none can be read."""
    start, stop = bisect_left(known, low), bisect_right(known, high)
    if stop - start > 1:
        return known[(start + stop) // 2] - 1
    # row ids may be random numbers: nobody halves what lies between them until nothing is left
    return (low + high) // 2 if low < high and (not known or high - low < SPARSE) else None


class _NotText(bytes):
    """What stands where a text should be."""


def _text(data: bytes) -> str | _NotText:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _NotText(data)
