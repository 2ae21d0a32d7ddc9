"""Reads JSON lines, as trackers write them: an object a line.

Rules of this file:
- Nested maps become names with slashes, as trackers show them; the map `metrics` adds nothing to the names in it.
- A line {key, value, step} is one point (MLflow); any other line is many.
- Which key holds the step is decided by the first line that has one; a line without it is left out, and that is said.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import columns
from .csv_files import check_run
from .names import series
from .points import BadFile, Collector, Found, Series, number

METRICS = "metrics"


def read_jsonl(path: Path, name: str, step_key: str | None) -> Found:
    """The run that the file holds. Raises BadFile, OSError."""
    into = Collector(str(path))
    reader = _Reader(into, step_key)
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                reader.take(json.loads(raw), line)
            except (ValueError, RecursionError) as error:
                if raw.endswith(b"\n"):
                    what = f"It is no JSON object ({str(error)[:200]})."
                    raise BadFile(str(path), line, what, "Mend or remove the line.") from error
                into.remarks.append(f"line {line} is cut off and was left out")
    reader.end()
    return into.found(name)


class _Reader:
    """Takes the lines of one file."""

    def __init__(self, into: Collector, step_key: str | None) -> None:
        self._into, self._given, self._step = into, step_key, step_key
        self._without_step = self._lines = 0
        self._runs: set[str] = set()
        self._columns: dict[str, Series] = {}

    def take(self, line: Any, number_of_line: int) -> None:
        """One line. Raises ValueError when it is no object, BadFile."""
        if not isinstance(line, dict):
            raise ValueError("another kind of value")
        self._lines += 1
        if self._step is None or (self._given is None and self._without_step == self._lines - 1):
            self._step = columns.step_key(line, self._given)
        if self._step is None or line.get(self._step) is None:
            self._without_step += 1
            return
        step = self._into.step(line[self._step], number_of_line)
        for key in columns.TIMES:
            self._into.saw(line.get(key))
        name = columns.long_name_key(line, self._step)
        if name is not None and isinstance(line[name], str):
            self._take_point(line, name, step, number_of_line)
        else:
            self._take_row(line, step, number_of_line)

    def end(self) -> None:
        """The file is read. Raises BadFile when there was no step in it."""
        if self._without_step and self._without_step == self._lines:
            wanted = "a step" if self._given is None else f"{self._given!r}"
            raise BadFile(self._into.file, None, f"No line has {wanted}.", "Name its key with --step-column.")
        if self._without_step:
            self._into.remarks.append(f"{self._without_step} lines have no {self._step!r} and were left out")

    def _take_point(self, line: dict[str, Any], name: str, step: int, number_of_line: int) -> None:
        run = columns.first_of(columns.RUNS, line)
        if run is not None:
            check_run(line[run], self._runs, number_of_line, self._into)
        value = math.nan if columns.is_set(line.get(columns.NAN_FLAG)) else line[columns.VALUE]
        self._add(line[name], value, step, number_of_line)

    def _take_row(self, line: dict[str, Any], step: int, number_of_line: int) -> None:
        for key, value in line.items():
            if key == self._step:
                continue
            for name, inner in _flat(value if key == METRICS and isinstance(value, dict) else {key: value}, ""):
                self._add(name, inner, step, number_of_line)

    def _add(self, name: str, value: object, step: int, number_of_line: int) -> None:
        if value is None:
            return
        found: float | None = None
        if isinstance(value, str):
            word = number(value)
            found = word if word is not None and not math.isfinite(word) else None
        elif isinstance(value, int | float) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):  # an integer beyond float64
                found = float(value)
        if found is None:
            self._into.skipped += 1
            return
        if (column := self._columns.get(name)) is None:
            column = self._columns[name] = self._into.series(series(name), number_of_line)
        column.add(step, found)


def _flat(found: dict[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in found.items():
        if isinstance(value, dict) and "_type" not in value:  # W&B's histograms and images are no numbers
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value
