"""Tables as CSV and as JSON lines.

Rules of this file:
- A number is the shortest text that gives the same float64 again; a non-finite one is a word of the JSON codec.
- A missing value is an empty cell in CSV, and no key in JSON lines.
- msgspec writes a list of floats five times faster than `repr` does; it spells what is not finite `null`, which is put
  right afterwards.
"""

import msgspec
import numpy as np

from lossguard.protocol.frames import Columns
from lossguard.protocol.numbers import dumps, number_to_json

from .names import column, csv_column
from .table import STEP, Block, Cut

CELLS = 1 << 16  # a few megabytes of text at once


class Csv:
    """RFC 4180, UTF-8, lines end with CRLF as it says; every name in the header is quoted."""

    media_type, cells = "text/csv; charset=utf-8", CELLS

    def begin(self, asked: Cut) -> bytes:
        """The header."""
        quoted = ['"' + csv_column(name).replace('"', '""') + '"' for name in asked.names]
        return ",".join([STEP, *quoted]).encode() + b"\r\n"

    def rows(self, block: Block) -> bytes:
        """A line a row."""
        height, width = block.present.shape
        cells = np.full(height * width, b"", dtype=object)
        cells[block.present.ravel()] = texts(block.values[block.present])
        lines = []
        for step, start in zip(block.steps.tolist(), range(0, len(cells), width), strict=True):
            lines.append(b"%d,%b\r\n" % (step, b",".join(cells[start : start + width])))
        return b"".join(lines)

    def end(self) -> bytes:
        """Nothing."""
        return b""


class JsonLines:
    """One object a line: the step, then each series that has a point there."""

    media_type, cells = "application/jsonl; charset=utf-8", CELLS

    def begin(self, asked: Cut) -> bytes:
        """Nothing: every line names its series."""
        self._keys = [b"," + dumps(column(name)) + b":" for name in asked.names]
        return b""

    def rows(self, block: Block) -> bytes:
        """A line a row."""
        row, series = np.nonzero(block.present)
        numbers = texts(block.values[block.present], quote=b'"')
        cells = [self._keys[key] + text for key, text in zip(series.tolist(), numbers, strict=True)]
        ends = np.searchsorted(row, np.arange(len(block.steps) + 1)).tolist()
        lines = []
        for index, step in enumerate(block.steps.tolist()):
            lines.append(b'{"step":%d%b}\n' % (step, b"".join(cells[ends[index] : ends[index + 1]])))
        return b"".join(lines)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def texts(values: Columns, quote: bytes = b"") -> list[bytes]:
    """Each number as text; `quote` stands around the words."""
    if not len(values):
        return []
    found = msgspec.json.encode(values.tolist())[1:-1].split(b",")
    for index in np.flatnonzero(~np.isfinite(values)).tolist():
        found[index] = quote + str(number_to_json(float(values[index]))).encode() + quote
    return found
