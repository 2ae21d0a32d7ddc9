"""Reads a server's database as an auditor would: the journal's frames by the protocol alone, and chunks by what their
format says; no server code."""

import contextlib
import math
import struct
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import zstandard

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame, Schema

try:
    import pysqlite3 as sqlite3
except ImportError:
    import sqlite3  # type: ignore[no-redef]


def stored_points(folder: Path, run: str) -> dict[str, list[tuple[int, float]]]:
    """Every stored point of a run by series, in the order of arrival; a doubled point shows up twice.

    Contributions, which the server derives, are there as far as they are folded.
    """
    names: dict[int, str] = {}
    with _reading(folder) as database:  # at one instant: a point is in a chunk or in the journal
        points = _folded(database, run)
        payloads = _payloads(database, run)
    for payload in payloads:
        message = decode_sequenced(payload)
        if isinstance(message, Schema):
            names.update({spec.id: spec.name for spec in message.series})
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for series, column in zip(message.series, columns, strict=True):
                points.setdefault(names[series], []).extend(zip(steps.tolist(), column.tolist(), strict=True))
    return points


def folded_points(folder: Path, run: str) -> dict[str, list[tuple[int, float]]]:
    """Every point in chunks by series, part after part."""
    with _reading(folder) as database:
        return _folded(database, run)


def chunk_points(data: bytes) -> list[tuple[int, float]]:
    """The (step, value)s of a chunk: version, count and checksum; zstd of first step, stride, bytes a difference, the
    differences; bytes a value, the values. Bytes of equal weight lie together."""
    version, count, _ = struct.unpack_from("<BHI", data)
    assert version == 1
    body = zstandard.ZstdDecompressor().decompress(data[7:])
    first, stride, width = struct.unpack_from("<qqB", body)
    end = 17 + width * (count - 1)
    gaps = [stride] * (count - 1)
    if width:
        gaps = [int.from_bytes(body[17 + at : end : count - 1], "little") for at in range(count - 1)]
    steps = list(accumulate(gaps, initial=first))
    size = body[end]
    packed = b"".join(body[end + 1 + at :: count] for at in range(count))
    return list(zip(steps, struct.unpack(f"<{count}{'f' if size == 4 else 'd'}", packed), strict=True))


def stored_messages(folder: Path, run: str) -> list[Any]:
    """Every message of a run that is in the journal, decoded, in order: all, as long as nothing is folded."""
    with _reading(folder) as database:
        return [decode_sequenced(payload) for payload in _payloads(database, run)]


def assert_no_hole(folder: Path, run: str) -> None:
    """Each stream's messages 1, 2, 3... are stored once, or were frames that are folded."""
    with _reading(folder) as database:
        for stream, last_seq, folded_seq in database.execute(
            "SELECT id, last_seq, folded_seq FROM stream WHERE run_id = ?", (run,)
        ).fetchall():
            rows = database.execute("SELECT seq FROM journal WHERE stream_id = ? ORDER BY seq", (stream,))
            seqs = [seq for (seq,) in rows.fetchall()]
            assert len(seqs) == len(set(seqs))
            assert [seq for seq in seqs if seq > folded_seq] == list(range(folded_seq + 1, last_seq + 1))


def assert_matches_record(points: dict[str, list[tuple[int, float]]], record: list[dict[str, Any]]) -> None:
    """Each step that the trainer recorded is stored once, with its bits; nothing else is."""
    assert [step for step, _ in points["loss/total"]] == [row["step"] for row in record]
    for row, (_, total) in zip(record, points["loss/total"], strict=True):
        assert same_bits(total, float.fromhex(row["total"]))
    for component in record[0]["loss"]:
        stored = points[f"loss/{component}"]
        assert len(stored) == len(record)
        for row, (_, value) in zip(record, stored, strict=True):
            assert same_bits(value, float.fromhex(row["loss"][component]))


def same_bits(a: float, b: float) -> bool:
    """Equal as bits, except that NaNs equal each other (a record in words has no payload)."""
    return a.hex() == b.hex() or (math.isnan(a) and math.isnan(b))


def _folded(database: Any, run: str) -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    rows = database.execute(
        "SELECT name, data FROM part JOIN stream ON stream.id = stream_id JOIN chunk ON part_id = part.id "
        "WHERE run_id = ? ORDER BY stream_id, first_seq, number",
        (run,),
    )
    for name, data in rows.fetchall():
        points.setdefault(name, []).extend(chunk_points(data))
    return points


def _payloads(database: Any, run: str) -> list[bytes]:
    rows = database.execute(
        "SELECT payload FROM journal JOIN stream ON stream.id = stream_id WHERE run_id = ? ORDER BY stream_id, seq",
        (run,),
    )
    return [payload for (payload,) in rows.fetchall()]


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[Any]:
    """The database as it is now, whatever the server writes meanwhile."""
    database = sqlite3.connect(f"file:{folder / 'lossguard.db'}?mode=ro", uri=True, isolation_level=None)
    try:
        database.execute("BEGIN")
        yield database
    finally:
        database.close()
