"""Reads a server's database as an auditor would: the journal's frames by the protocol alone, no server code."""

import math
from pathlib import Path
from typing import Any

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame, Schema

try:
    import pysqlite3 as sqlite3
except ImportError:
    import sqlite3  # type: ignore[no-redef]


def stored_points(folder: Path, run: str) -> dict[str, list[tuple[int, float]]]:
    """Every stored point of a run by series, in the order of arrival; a doubled point shows up twice."""
    names: dict[int, str] = {}
    points: dict[str, list[tuple[int, float]]] = {}
    for payload in _payloads(folder, run):
        message = decode_sequenced(payload)
        if isinstance(message, Schema):
            names.update({spec.id: spec.name for spec in message.series})
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for series, column in zip(message.series, columns, strict=True):
                points.setdefault(names[series], []).extend(zip(steps.tolist(), column.tolist(), strict=True))
    return points


def stored_messages(folder: Path, run: str) -> list[Any]:
    """Every stored message of a run, decoded, in order."""
    return [decode_sequenced(payload) for payload in _payloads(folder, run)]


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


def _payloads(folder: Path, run: str) -> list[bytes]:
    with sqlite3.connect(f"file:{folder / 'lossguard.db'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT payload FROM journal JOIN stream ON stream.id = stream_id WHERE run_id = ? ORDER BY stream_id, seq",
            (run,),
        ).fetchall()
    database.close()
    return [row[0] for row in rows]
