"""What viewers are told, as bytes: docs/protocol.md section 3.

Rules of this file: pure. A message is encoded once for all who asked for the same; the cursor, which is each viewer's
own, is put behind it without encoding the rest again.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np

from ...store.rows import Rows

# A quarter of the 1 MiB that a message may have: an alert waits behind one message at most, and a viewer that stops
# reading holds no more than this beyond its mailbox.
PART_BYTES = 256 << 10
PART_STEPS = PART_BYTES // 32  # half of a part for one series: its steps and its values
NAME_OVERHEAD_BYTES = 5  # msgpack's longest head of a string

Wanted: TypeAlias = frozenset[str] | None  # names of series; None: all

_encoder = msgspec.msgpack.Encoder()


def body(message: Mapping[str, Any]) -> bytes:
    """A message that still lacks its cursor."""
    return _encoder.encode(message)


def with_cursor(message: bytes, cursor: str) -> bytes:
    """The message, a map of at most 14 entries, with one entry more."""
    assert 0x80 <= message[0] < 0x8F
    return b"%c%b\xa6cursor%b" % (message[0] + 1, message[1:], _encoder.encode(cursor))


def points_body(run_id: str, rows: Rows, is_conflated: bool = False) -> bytes:
    """A `points` message."""
    message = {
        "type": "points",
        "run": run_id,
        "series": list(rows.names),
        "n": len(rows.steps),
        "steps": rows.steps.astype("<f8").tobytes(),
        "values": np.ascontiguousarray(rows.columns, dtype="<f8").tobytes(),
    }
    return _encoder.encode({**message, "conflated": True} if is_conflated else message)


def size_bytes(rows: Rows) -> int:
    """What the rows take, as a message and in memory."""
    return sum(map(len, rows.names)) + rows.steps.nbytes + rows.columns.nbytes


def parts(rows: Rows) -> Iterator[Rows]:
    """The same rows in parts of PART_BYTES at most, each of some of the series."""
    if size_bytes(rows) + NAME_OVERHEAD_BYTES * len(rows.names) <= PART_BYTES:
        yield rows
        return
    for first in range(0, len(rows.steps), PART_STEPS):
        cut = slice(first, first + PART_STEPS)
        yield from _parts_by_series(Rows(rows.steps[cut], rows.names, rows.columns[:, cut]))


def _parts_by_series(rows: Rows) -> Iterator[Rows]:
    start, free_bytes = 0, PART_BYTES - rows.steps.nbytes
    left_bytes = free_bytes
    for index, name in enumerate(rows.names):
        needed_bytes = rows.steps.nbytes + len(name.encode()) + NAME_OVERHEAD_BYTES
        if needed_bytes > left_bytes and index > start:
            yield Rows(rows.steps, rows.names[start:index], rows.columns[start:index])
            start, left_bytes = index, free_bytes
        left_bytes -= needed_bytes
    yield Rows(rows.steps, rows.names[start:], rows.columns[start:])


def chosen(rows: Rows, places: Iterable[int]) -> Rows:
    """The rows of the series at `places`, in the order of the rows."""
    at = sorted(places)
    return Rows(rows.steps, tuple(rows.names[index] for index in at), rows.columns[at])
