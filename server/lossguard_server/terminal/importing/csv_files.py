"""Reads CSV: one row a step and a column a series, or one row a point.

Rules of this file: the separator is the one (comma, semicolon, tab, bar) that splits the header so that there is a
column of steps. A row that does not fit the header is an error, save a last one that the writer had no time to end.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import columns
from .names import csv_series
from .points import BadFile, Collector, Found, is_missing, number

SEPARATORS = ",;\t|"
TOLD = 6

Row = tuple[int, list[str]]


def read_csv(path: Path, name: str, step_column: str | None) -> Found:
    """The run that the file holds. Raises BadFile, OSError."""
    into = Collector(str(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            if not first.strip():
                raise BadFile(str(path), 1, "There is no header.", "Its first line must name the columns.")
            separator, header, step = _header(first, str(path), step_column)
            rows = _rows(csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True), into)
            if (name_column := columns.long_name_key(header, step)) is not None:
                _read_long(header, step, name_column, rows, into)
            else:
                _read_wide(header, step, rows, into)
        except UnicodeDecodeError as error:
            raise BadFile(str(path), None, f"It is not UTF-8 text ({error.reason}).", "Save it as UTF-8.") from error
    return into.found(name)


def _header(line: str, file: str, step_column: str | None) -> tuple[str, list[str], str]:
    """The separator, the columns and the one of steps."""
    found: list[list[str]] = []
    for separator in SEPARATORS:
        try:
            header = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error:
            continue
        found.append(header)
        if (step := columns.step_key(header, step_column)) is None:
            continue
        for name in header:
            if name and header.count(name) > 1:
                raise BadFile(file, 1, f"Two columns are called {name[:80]!r}.", "Rename one.")
        return separator, header, step
    shown = max(found, key=len, default=[])
    wanted = "of steps" if step_column is None else f"{step_column!r}"
    there = ", ".join(repr(name[:40]) for name in shown[:TOLD]) + (", ..." if len(shown) > TOLD else "")
    raise BadFile(file, 1, f"There is no column {wanted} among {there or 'none'}.", "Name it with --step-column.")


def _rows(reader: Any, into: Collector) -> Iterator[Row]:
    """(line, cells) of each row that is not blank. Raises BadFile."""
    try:
        for row in reader:
            if row:
                yield reader.line_num + 1, row  # the header was read before
    except csv.Error as error:
        what = f"It is not CSV ({error})."
        raise BadFile(into.file, reader.line_num + 1, what, "Mend or remove the line.") from error


def _fits(row: Row, width: int, rows: Iterator[Row], into: Collector) -> bool:
    """False of a last row that is cut off. Raises BadFile for any other that has not `width` cells."""
    line, cells = row
    if len(cells) == width:
        return True
    if len(cells) < width and next(rows, None) is None:
        into.remarks.append(f"line {line} is cut off and was left out")
        return False
    what = f"It has {len(cells)} cells, the header has {width}."
    raise BadFile(into.file, line, what, "Mend or remove the line.")


def _read_wide(header: Sequence[str], step: str, rows: Iterator[Row], into: Collector) -> None:
    step_at = header.index(step)
    time_at = [header.index(key) for key in columns.TIMES if key in header]
    # a column without a name is the index that pandas writes
    series = [(at, into.series(csv_series(name), 1)) for at, name in enumerate(header) if at != step_at and name]
    for row in rows:
        if not _fits(row, len(header), rows, into):
            return
        line, cells = row
        at_step = into.step(cells[step_at], line)
        for at in time_at:
            into.saw(cells[at])
        for at, each in series:
            text = cells[at]
            if not text:
                continue
            value = number(text)
            if value is not None:
                each.add(at_step, value)
            elif not is_missing(text):
                into.skipped += 1


def _read_long(header: Sequence[str], step: str, name: str, rows: Iterator[Row], into: Collector) -> None:
    run = columns.first_of(columns.RUNS, header)
    runs: set[str] = set()
    for row in rows:
        if not _fits(row, len(header), rows, into):
            return
        line, cells = row
        point = dict(zip(header, cells, strict=True))
        if run is not None:
            check_run(point[run], runs, line, into)
        for key in columns.TIMES:
            into.saw(point.get(key))
        text = point[columns.VALUE]
        value = math.nan if columns.is_set(point.get(columns.NAN_FLAG, "")) else number(text)
        if value is not None:
            into.series(csv_series(point[name]), line).add(into.step(point[step], line), value)
        elif not is_missing(text):
            into.skipped += 1


def check_run(run: object, runs: set[str], line: int, into: Collector) -> None:
    """Rows of several runs in one file would be mixed into one. Raises BadFile."""
    runs.add(str(run))
    if len(runs) > 1:
        first, second = sorted(runs)
        what = f"It belongs to another run than the lines before ({first[:40]!r}, {second[:40]!r})."
        raise BadFile(into.file, line, what, "Make a file for each run, and import them all.")
