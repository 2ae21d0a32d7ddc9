"""Tables as Parquet.

Rules of this file:
- Bit-exact: arrays are made from the raw float64s and a bitmap, never from Python floats; missing is null, NaN is NaN.
- The writer keeps about a kilobyte of each column of each row group until the end, so a wide run gets longer groups:
  with 8 * sqrt(rows) rows each, what it keeps and what waits to be written are about equal, and their sum is least.
- No statistics of values: readers that skip row groups by minimum and maximum get NaN and -0.0 wrong.
- pyarrow is an extra: it is imported when a table is begun, and its absence is a named refusal.
"""

import importlib
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossguard.protocol.numbers import dumps

from ...errors import ParquetNotInstalled
from .names import column
from .table import STEP, Block, Cut

CELLS = 1 << 20  # of a row group, at least: 8 MB of values
METADATA_KEY = b"lossguard"


class Parquet:
    """One file; the schema's metadata holds the run's facts as JSON under the key `lossguard`."""

    media_type, cells = "application/vnd.apache.parquet", CELLS

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """`facts`: what the metadata says of the run. Raises ParquetNotInstalled."""
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise ParquetNotInstalled() from error
        self._facts = facts
        self._sink = _Sink()

    def begin(self, asked: Cut) -> bytes:
        """The schema."""
        arrow, names = self._arrow, asked.names
        fields = [arrow.field(STEP, arrow.int64(), nullable=False)]
        fields += [arrow.field(column(name), arrow.float64()) for name in names]
        self._schema = arrow.schema(fields, metadata={METADATA_KEY: dumps(dict(self._facts))})
        self._group_rows = max(CELLS // max(1, len(names)), 8 * math.isqrt(asked.rows))
        self._waiting: list[Any] = []
        self._writer = self._parquet.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd" if arrow.Codec.is_available("zstd") else "snappy",
            use_dictionary=False,  # measured values do not repeat
            write_statistics=[STEP],
        )
        return self._sink.taken()

    def rows(self, block: Block) -> bytes:
        """A row group, when there are rows enough for one."""
        arrow, height = self._arrow, len(block.steps)
        arrays = [arrow.array(block.steps)]
        for index in range(block.values.shape[1]):
            values = np.ascontiguousarray(block.values[:, index])
            bitmap = np.packbits(block.present[:, index], bitorder="little")
            buffers = [arrow.py_buffer(bitmap), arrow.py_buffer(values)]
            arrays.append(arrow.Array.from_buffers(arrow.float64(), height, buffers))
        self._waiting.append(arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        if sum(batch.num_rows for batch in self._waiting) >= self._group_rows:
            self._write()
        return self._sink.taken()

    def end(self) -> bytes:
        """The last row group, and the footer without which it is no Parquet file."""
        if self._waiting:
            self._write()
        self._writer.close()
        self._arrow.default_memory_pool().release_unused()  # it keeps what it had for the next one, if there is one
        return self._sink.taken()

    def _write(self) -> None:
        group = self._arrow.Table.from_batches(self._waiting, schema=self._schema)
        self._waiting = []
        self._writer.write_table(group, row_group_size=group.num_rows)


class _Sink(io.RawIOBase):
    """What the writer writes, until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size_bytes += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size_bytes

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
